"""The archive's unit tests need no server: an env file of their own, in which every address is one where nobody listens."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

NOBODY = "127.0.0.1:1"
SETTINGS = {
    "ENVIRONMENT": "test",
    "DATABASE_URL": f"postgresql+psycopg://nobody@{NOBODY}/ablage",
    "REDIS_URL": f"redis://{NOBODY}/0",
    "MINIO_ENDPOINT": f"http://{NOBODY}",
    "MINIO_BUCKET": "ablage",
    "MINIO_ACCESS_KEY": "nobody",
    "MINIO_SECRET_KEY": "nothing",
    "SECRET_KEY": "of the tests alone, and long enough",
    "JWT_SECRET_KEY": "of the tests alone, and another one",
    "CORS_ORIGINS": "https://ablage.example, https://scanner.example",
    "BASE_URL": "https://ablage.example",
}


def write_settings(path: Path, **changes: str) -> Path:
    path.write_text("".join(f"{key}={value}\n" for key, value in {**SETTINGS, **changes}.items()), encoding="utf-8")
    path.chmod(0o600)
    return path


@pytest.fixture(scope="session", autouse=True)
def settings_of_the_tests() -> Iterator[None]:
    with tempfile.TemporaryDirectory() as folder:
        os.environ["ABLAGE_ENV_FILE"] = str(write_settings(Path(folder) / "ablage.env"))
        yield
