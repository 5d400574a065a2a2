#!/usr/bin/python
from ansible_collections.opsready.golive.plugins.module_utils._actions import pg_restore
from ansible_collections.opsready.golive.plugins.module_utils._core.guard import run_module


def main():
    run_module(pg_restore.ARGUMENT_SPEC, pg_restore.body, **pg_restore.CONSTRAINTS)


if __name__ == "__main__":
    main()
