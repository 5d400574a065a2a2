"""The services that the reference system runs on, started from PyPI wheels without root and without containers."""
