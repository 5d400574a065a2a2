"""The backend process: `python -m ablage.backend --port PORT`."""

from __future__ import annotations

import argparse
import logging
import signal
import sys

import uvicorn

from ablage.main import create_app
from ablage.settings import load


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    arguments = parser.parse_args()
    logging.basicConfig(level=load().log_level, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    # uvicorn raises the signal again after its orderly end; a requested stop is exit code 0
    signal.signal(signal.SIGTERM, lambda *_unused: sys.exit(0))
    uvicorn.run(
        create_app(),
        host=arguments.host,
        port=arguments.port,
        timeout_graceful_shutdown=10,
        server_header=False,
        log_config=None,
    )


if __name__ == "__main__":
    main()
