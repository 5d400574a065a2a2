# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""S3's errors become ours: what was asked, what came back, what to do, and nothing secret."""

from __future__ import annotations

import typing as t

import pytest
from botocore import exceptions
from botocore.parsers import ResponseParserError

from ansible_collections.opsready.golive.plugins.module_utils._clients import s3
from ansible_collections.opsready.golive.plugins.module_utils._core.clock import Deadline
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import (
    BadInput,
    Denied,
    GoliveError,
    TimedOut,
    UnexpectedAnswer,
    Unreachable,
)


def _client_error(code: str, status: int = 400) -> exceptions.ClientError:
    answer: t.Any = {"Error": {"Code": code, "Message": "said\n so."}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return exceptions.ClientError(answer, "PutObject")


@pytest.mark.parametrize(
    ("raised", "kind", "said"),
    [
        (_client_error("AccessDenied"), Denied, "AccessDenied: said so."),
        (_client_error("", 403), Denied, "403"),
        (_client_error("RequestTimeTooSkewed", 403), Denied, "clocks"),
        (_client_error("NoSuchBucket", 404), s3.Absent, "NoSuchBucket"),
        (_client_error("", 404), s3.Absent, "404"),
        (_client_error("PreconditionFailed", 412), s3.AlreadyThere, "Another writer"),
        (_client_error("SlowDown", 503), Unreachable, "SlowDown"),
        (_client_error("", 500), Unreachable, "500"),
        (_client_error("NotImplemented", 501), s3.NotImplementedThere, "NotImplemented"),
        (_client_error("", 501), s3.NotImplementedThere, "501"),
        (_client_error("EntityTooSmall"), UnexpectedAnswer, "EntityTooSmall"),
        (exceptions.NoCredentialsError(), BadInput, "access_key"),
        (exceptions.ReadTimeoutError(endpoint_url="http://h"), TimedOut, "no answer"),
        (exceptions.ParamValidationError(report="bad\nkey"), BadInput, "bad key"),
        (exceptions.EndpointConnectionError(endpoint_url="http://h"), Unreachable, "cannot be reached"),
        (exceptions.DataNotFoundError(data_path="x"), UnexpectedAnswer, "DataNotFoundError"),
        (ResponseParserError("received\nPGDMP"), UnexpectedAnswer, "cannot be read as an answer to that.$"),
        (Denied("ours"), Denied, "ours"),
    ],
)
def test_each_error_says_what_was_done_and_what_came_back(
    raised: Exception, kind: type[GoliveError], said: str
) -> None:
    with pytest.raises(kind, match=said) as caught, s3.translated("Writing x", deadline=Deadline(9)):
        raise raised
    if said != "ours":
        assert str(caught.value).startswith("Writing x: ")


def test_a_broken_connection_after_the_limit_is_a_timeout() -> None:
    with pytest.raises(TimedOut), s3.translated("Writing x", deadline=Deadline(0)):
        raise exceptions.EndpointConnectionError(endpoint_url="http://h")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"endpoint_url": "https://u:canary@h"}, "holds credentials"),
        ({"endpoint_url": "h:9000"}, "is not a URL"),
        ({"endpoint_url": "http://[x"}, "is not a URL"),
        ({"endpoint_url": "http://h", "access_key": "a"}, "only one of them"),
        ({"endpoint_url": "http://h o s t"}, "is not a URL"),
    ],
)
def test_unusable_options_are_named(options: dict[str, str], said: str) -> None:
    with pytest.raises(BadInput, match=said) as caught:
        s3.s3_client(options, deadline=Deadline(5))
    assert "canary" not in str(caught.value)


def test_nothing_is_sent_after_the_limit() -> None:
    class Clock:
        now = 0.0

        def monotonic(self) -> float:
            return self.now

    clock = Clock()
    deadline = Deadline(5, clock=t.cast(t.Any, clock))
    client = s3.s3_client(
        {"endpoint_url": "http://127.0.0.1:1", "access_key": "a", "secret_key": "b"}, deadline=deadline
    )
    clock.now = 10.0
    with pytest.raises(TimedOut, match="Looking did not end within 5 s"), s3.translated("Looking", deadline=deadline):
        client.head_bucket(Bucket="bucket")


@pytest.mark.parametrize(("url", "parts"), [("s3://abc", ("abc", "")), ("s3://a-b.c/x//y/", ("a-b.c", "x//y"))])
def test_a_url_is_split(url: str, parts: tuple[str, str]) -> None:
    assert s3.split_url(url) == parts


@pytest.mark.parametrize("url", ["s3://", "s3:///x", "s3://UPPER/x", "http://b/x", "s3://-b-/x"])
def test_what_is_no_bucket_is_refused(url: str) -> None:
    with pytest.raises(BadInput):
        s3.split_url(url)
