#!/usr/bin/python
from ansible_collections.opsready.golive.plugins.module_utils._actions import pg_fence
from ansible_collections.opsready.golive.plugins.module_utils._core.guard import run_module


def main():
    run_module(pg_fence.ARGUMENT_SPEC, pg_fence.body)


if __name__ == "__main__":
    main()
