"""Settings from an env file: the one place from which the archive learns its addresses and secrets."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

REQUIRED = (
    "ENVIRONMENT",
    "DATABASE_URL",
    "REDIS_URL",
    "MINIO_ENDPOINT",
    "MINIO_BUCKET",
    "MINIO_ACCESS_KEY",
    "MINIO_SECRET_KEY",
    "SECRET_KEY",
    "JWT_SECRET_KEY",
    "CORS_ORIGINS",
    "BASE_URL",
)


class SettingsError(RuntimeError):
    """The env file is missing, readable by others, or incomplete. Never carries a value."""


@dataclass(frozen=True)
class Settings:
    environment: str
    database_url: str = field(repr=False)
    redis_url: str = field(repr=False)
    minio_endpoint: str
    minio_bucket: str
    minio_access_key: str = field(repr=False)
    minio_secret_key: str = field(repr=False)
    secret_key: str = field(repr=False)
    jwt_secret_key: str = field(repr=False)
    cors_origins: tuple[str, ...]
    base_url: str
    log_level: str
    ocr_seconds: float
    max_request_body_bytes: int
    maintenance_bypass: str = field(repr=False)
    worker_hold_file: str
    health_cache_seconds: float


def read_env_file(path: Path) -> dict[str, str]:
    """KEY=VALUE lines; blank lines and lines starting with # are skipped.

    Raises SettingsError if the file is missing, malformed or open to other users.
    """
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        raise SettingsError(f"the env file {path} does not exist; ABLAGE_ENV_FILE names it") from None
    if stat.S_IMODE(mode) & 0o077:
        raise SettingsError(f"the env file {path} is open to other users; chmod 0600")
    values: dict[str, str] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        key, separator, value = text.partition("=")
        if not separator:
            raise SettingsError(f"{path}:{number}: expected KEY=VALUE")
        values[key.strip()] = value.strip()
    return values


def env_file() -> Path:
    return Path(os.environ.get("ABLAGE_ENV_FILE", "ablage.env"))


def database_url() -> str:
    """The process environment wins, so that a migration can be pointed at another database name.

    That URL carries no password: libpq takes it from PGPASSFILE.
    """
    return os.environ.get("DATABASE_URL") or load().database_url


@cache
def load() -> Settings:
    path = env_file()
    values = read_env_file(path)
    missing = [key for key in REQUIRED if not values.get(key)]
    if missing:
        raise SettingsError(f"{path} lacks {', '.join(missing)}")
    return Settings(
        environment=values["ENVIRONMENT"],
        database_url=os.environ.get("DATABASE_URL") or values["DATABASE_URL"],
        redis_url=values["REDIS_URL"],
        minio_endpoint=values["MINIO_ENDPOINT"],
        minio_bucket=values["MINIO_BUCKET"],
        minio_access_key=values["MINIO_ACCESS_KEY"],
        minio_secret_key=values["MINIO_SECRET_KEY"],
        secret_key=values["SECRET_KEY"],
        jwt_secret_key=values["JWT_SECRET_KEY"],
        cors_origins=tuple(origin.strip() for origin in values["CORS_ORIGINS"].split(",") if origin.strip()),
        base_url=values["BASE_URL"],
        log_level=values.get("LOG_LEVEL", "INFO"),
        ocr_seconds=float(values.get("OCR_SECONDS", "2")),
        max_request_body_bytes=int(float(values.get("MAX_REQUEST_BODY_MB", "10")) * 1024 * 1024),
        maintenance_bypass=values.get("MAINTENANCE_BYPASS", ""),
        worker_hold_file=values.get("WORKER_HOLD_FILE", ""),
        health_cache_seconds=float(values.get("HEALTH_CACHE_SECONDS", "0")),
    )
