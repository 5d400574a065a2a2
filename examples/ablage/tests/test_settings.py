"""Settings come from one private file, whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest
from ablage import settings
from conftest import write_settings


def test_an_env_file_is_read_without_comments(tmp_path: Path) -> None:
    path = tmp_path / "ablage.env"
    path.write_text("# a comment\n\n A = 1 \nB=x=y\n", encoding="utf-8")
    path.chmod(0o600)
    assert settings.read_env_file(path) == {"A": "1", "B": "x=y"}


@pytest.mark.parametrize(("content", "mode", "said"), [("A=1\n", 0o644, "chmod 0600"), ("A\n", 0o600, ":1: expected")])
def test_a_file_that_others_read_or_that_is_malformed_is_refused(
    tmp_path: Path, content: str, mode: int, said: str
) -> None:
    path = tmp_path / "ablage.env"
    path.write_text(content, encoding="utf-8")
    path.chmod(mode)
    with pytest.raises(settings.SettingsError, match=said):
        settings.read_env_file(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(settings.SettingsError, match="ABLAGE_ENV_FILE names it"):
        settings.read_env_file(tmp_path / "nowhere")


def test_what_is_missing_is_named_without_a_value(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ABLAGE_ENV_FILE", str(write_settings(tmp_path / "ablage.env", BASE_URL="", SECRET_KEY="")))
    with pytest.raises(settings.SettingsError, match="lacks SECRET_KEY, BASE_URL"):
        settings.load.__wrapped__()


def test_settings_are_typed_and_do_not_show_secrets() -> None:
    loaded = settings.load()
    assert loaded.cors_origins == ("https://ablage.example", "https://scanner.example")
    assert loaded.max_request_body_bytes == 10 * 1024 * 1024
    assert loaded.secret_key not in repr(loaded)


def test_a_migration_can_be_pointed_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    assert settings.database_url() == settings.load().database_url
    monkeypatch.setenv("DATABASE_URL", "postgresql+psycopg://elsewhere/ablage")
    assert settings.database_url() == "postgresql+psycopg://elsewhere/ablage"
