"""The search index that the backend loads before it serves."""

from __future__ import annotations

import threading

ready = threading.Event()
_loaded = threading.Event()


def build() -> None:
    """The defect of this release: it waits for a signal that nothing gives."""
    _loaded.wait()
    ready.set()
