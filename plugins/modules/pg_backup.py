#!/usr/bin/python
from ansible_collections.opsready.golive.plugins.module_utils._actions import pg_backup
from ansible_collections.opsready.golive.plugins.module_utils._core.guard import run_module


def main():
    run_module(pg_backup.ARGUMENT_SPEC, pg_backup.body)


if __name__ == "__main__":
    main()
