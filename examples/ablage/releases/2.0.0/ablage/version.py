"""What this release is, and which database revision its code was written for."""

from __future__ import annotations

VERSION = "2.0.0"
SCHEMA_REVISION = "0003"
