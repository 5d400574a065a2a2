# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Celery's messages and redis URLs, read without a server."""

from __future__ import annotations

import base64
import json
import typing as t

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ansible_collections.opsready.golive.plugins.module_utils._clients import celery_redis, redis
from ansible_collections.opsready.golive.plugins.module_utils._clients.celery_redis import SEPARATOR, Message
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import (
    BadInput,
    Denied,
    TimedOut,
    UnexpectedAnswer,
    Unreachable,
)

SERVER = redis.parsed("redis://h:6390/2")


@pytest.mark.parametrize(
    ("url", "name", "username", "is_tls"),
    [
        ("redis://h", "Redis at h:6379 database 0", None, False),
        ("rediss://app@h:6390/3", "Redis at h:6390 database 3", "app", True),
        ("redis://h:1/?db=4", "Redis at h:1 database 4", None, False),
        ("rediss://h?ssl_cert_reqs=CERT_REQUIRED", "Redis at h:6379 database 0", None, True),
        ("unix:///run/r.sock?db=5", "Redis at /run/r.sock database 5", None, False),
        ("redis+socket:///run/r.sock?virtual_host=6", "Redis at /run/r.sock database 6", None, False),
    ],
)
def test_a_url_names_server_and_database(url: str, name: str, username: str | None, is_tls: bool) -> None:
    server = redis.parsed(url)
    assert (server.name, server.username, server.is_tls) == (name, username, is_tls)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("redis://:canary-5b1f@h", "holds a password"),
        ("redis://u:canary-5b1f@h", "holds a password"),
        ("redis://h?password=canary-5b1f", "holds a password"),
        ("http://h", "has the scheme 'http'"),
        ("redis://h:port", "is not a URL"),
        ("redis://h/jobs", "names the database 'jobs'"),
        ("redis:///0", "names no host"),
        ("unix://", "names no socket"),
        ("redis://h?retry=1", "parameters that are not known here: retry"),
        ("rediss://h?ssl_cert_reqs=none", "turns certificate verification off"),
    ],
)
def test_a_url_that_cannot_be_used_is_refused_without_repeating_it(url: str, said: str) -> None:
    with pytest.raises(BadInput, match=said) as caught:
        redis.parsed(url)
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize(
    ("error", "text", "kind"),
    [
        ("AuthenticationError", "WRONGPASS", Denied),
        ("TimeoutError", "x", TimedOut),
        ("BusyLoadingError", "LOADING", UnexpectedAnswer),
        ("ConnectionError", "Error 111 connecting", Unreachable),
        ("ConnectionError", "max number of clients reached", Unreachable),
        ("ConnectionError", "CERTIFICATE_VERIFY_FAILED", Unreachable),
        ("ConnectionError", "HELLO NOAUTH", Denied),
        ("ResponseError", "NOPERM no right", Denied),
        ("ResponseError", "ERR unknown", UnexpectedAnswer),
    ],
)
def test_the_librarys_errors_become_ours(error: str, text: str, kind: type[Exception]) -> None:
    import redis as library

    with pytest.raises(kind, match="Redis at h:6390 database 2"), redis.asking(SERVER):
        raise getattr(library.exceptions, error)(text)


def test_other_errors_pass_or_are_named() -> None:
    import redis as library

    with pytest.raises(Unreachable, match="No route"), redis.asking(SERVER):
        raise OSError(113, "No route")
    with pytest.raises(Denied, match="own"), redis.asking(SERVER):
        raise Denied("own")
    with pytest.raises(library.exceptions.WatchError), redis.asking(SERVER):
        raise library.exceptions.WatchError


def test_text_never_raises() -> None:
    assert redis.text(b"\xff") == "�"
    assert redis.text("a") == "a"


def envelope(**fields: t.Any) -> bytes:
    return json.dumps({"headers": {}, "properties": {}, **fields}).encode()


def test_protocol_2_is_read_from_the_headers() -> None:
    raw = envelope(headers={"id": "1", "task": "jobs.a", "eta": "2026"}, body="not looked at")
    assert celery_redis.identity(raw, "celery") == Message("1", "jobs.a", "2026", "celery")


@pytest.mark.parametrize(
    "raw",
    [
        b"[" * 100_000,
        envelope(body="[" * 100_000),
        envelope(headers={"id": "\ud800x", "task": "jobs.a"}),
        envelope(headers={"id": "1", "task": "jobs.\udfff"}),
        envelope(headers={"id": "1", "task": "jobs.a", "eta": "\ud800"}),
        envelope(headers={"id": "1", "task": "jobs.a"}, properties=[]),
        envelope(headers=["task"]),
        b"\xff\xfe\x00",
    ],
)
def test_what_cannot_be_read_has_an_id_of_its_bytes_and_no_task(raw: bytes) -> None:
    message = celery_redis.identity(raw, "k")
    assert message == celery_redis.identity(raw, "k")
    assert (message.task, message.eta, message.key) == (None, None, "k")
    assert message.id.startswith("unreadable-") and message.id.isascii()
    assert message.id != celery_redis.identity(raw + b" ", "k").id


@pytest.mark.parametrize("raw", [b"[" * 100_000, envelope(body="{" + '"a":{' * 5000), envelope(body=[]), b"[]", b"x"])
def test_an_answer_of_a_worker_that_cannot_be_read_is_unexpected(raw: bytes) -> None:
    with pytest.raises(UnexpectedAnswer, match=r"A worker's answer (cannot be read|names no worker)"):
        celery_redis._answer(raw)


@pytest.mark.parametrize("is_encoded", [True, False])
def test_protocol_1_is_read_from_the_body(is_encoded: bool) -> None:
    body = json.dumps({"id": "1", "task": "jobs.a", "args": []})
    if is_encoded:
        raw = envelope(body=base64.b64encode(body.encode()).decode(), properties={"body_encoding": "base64"})
    else:
        raw = envelope(body=body)
    assert celery_redis.identity(raw, "k") == Message("1", "jobs.a", None, "k")


@given(
    raw=st.one_of(
        st.binary(max_size=50),
        st.recursive(
            st.none() | st.integers() | st.text(max_size=3),
            lambda inner: (
                st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["headers", "body", "id", "task"]), inner)
            ),
        ).map(lambda value: json.dumps(value).encode()),
    )
)
@example(raw=b'{"headers": {"task": null, "id": ""}}')
@example(raw=b'{"headers": {"task": null, "id": null}}')
def test_whatever_lies_in_a_queue_has_an_id_that_does_not_change(raw: bytes) -> None:
    seen = celery_redis.identity(raw, None)
    assert seen.id
    assert seen == celery_redis.identity(raw, None)


def test_broken_base64_is_unreadable_and_not_a_crash() -> None:
    raw = envelope(body="a", properties={"body_encoding": "base64"})
    assert celery_redis.identity(raw, None).id.startswith("unreadable-")


@given(priority=st.one_of(st.none(), st.integers(-5, 20), st.just("high")))
def test_a_priority_names_the_list_that_kombu_would_choose(priority: t.Any) -> None:
    from kombu.transport.redis import Channel

    suffix = celery_redis.priority_suffix({"priority": priority}, [0, 3, 6, 9])
    clipped = max(0, min(9, priority)) if isinstance(priority, int) else 0
    channel = Channel.__new__(Channel)
    channel._closed = True  # so that its finaliser has nothing to end
    assert "q" + suffix == Channel._q_for_pri(channel, "q", clipped)


def test_a_list_belongs_to_its_queue() -> None:
    assert celery_redis.lists_of("q")[0] == "q"
    assert {celery_redis.queue_of(key) for key in celery_redis.lists_of("q")} == {"q"}
    assert celery_redis.lists_of("q")[9] == f"q{SEPARATOR}9"


def test_patterns_of_topic_exchanges() -> None:
    assert celery_redis._topic_matches(r"^jobs\.[^\.]+$", "jobs.a")
    assert not celery_redis._topic_matches(r"^jobs\.[^\.]+$", "mail.a")
    assert not celery_redis._topic_matches("(", "a")


@pytest.mark.parametrize("raw", [b"no json", b"[]", envelope(body="[]"), envelope(body="torn")])
def test_an_answer_that_cannot_be_read_is_an_error(raw: bytes) -> None:
    with pytest.raises(UnexpectedAnswer):
        celery_redis._answer(raw)
