#!/usr/bin/python
from ansible_collections.opsready.golive.plugins.module_utils._actions import migrate
from ansible_collections.opsready.golive.plugins.module_utils._core.guard import run_module


def main():
    run_module(migrate.ARGUMENT_SPEC, migrate.body, **migrate.CONSTRAINTS)


if __name__ == "__main__":
    main()
