# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An S3 client that ends at the deadline and speaks in our errors.

Checksums are sent only where we ask for them: S3-compatible servers break on the ones newer SDKs add by themselves.
"""

from __future__ import annotations

import contextlib
import re
import threading
import typing as t
from urllib.parse import urlsplit

from ansible_collections.opsready.golive.plugins.module_utils._core.clock import Deadline
from ansible_collections.opsready.golive.plugins.module_utils._core.deps import require
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import (
    BadInput,
    Denied,
    GoliveError,
    TimedOut,
    UnexpectedAnswer,
    Unreachable,
)
from ansible_collections.opsready.golive.plugins.module_utils._core.scrub import beginning_of

_DENIED = frozenset(
    (
        "403",
        "AccessDenied",
        "AllAccessDisabled",
        "AuthorizationHeaderMalformed",
        "ExpiredToken",
        "InvalidAccessKeyId",
        "InvalidToken",
        "RequestTimeTooSkewed",
        "SignatureDoesNotMatch",
        "Unauthorized",
    )
)
_BUSY = frozenset(("InternalError", "RequestTimeout", "ServiceUnavailable", "SlowDown", "500", "502", "503", "504"))
_ABSENT = frozenset(("404", "NoSuchBucket", "NoSuchKey", "NoSuchUpload", "NotFound"))


#: What every whole answer to an operation has; botocore takes one that broke off for an empty one.
_TOLD = {
    "CompleteMultipartUpload": "ETag",
    "CreateMultipartUpload": "UploadId",
    "HeadObject": "ContentLength",
    "PutObject": "ETag",
    "UploadPart": "ETag",
}
#: How often a request is sent where the limit has room for more than one.
ATTEMPTS = 4
#: Seconds of silence after which a request counts as lost.
SILENCE = 60.0
_AGAIN_SECONDS = 0.1


class _LimitPassed(TimedOut):
    """Nothing more is sent; ``translated`` says what was being done."""


class NoAnswer(UnexpectedAnswer):
    """What came back is no answer to what was asked; ``translated`` says what that was."""


class _OfRequest(UnexpectedAnswer):
    """``sent_again``: an earlier answer was lost, so what this one says may be what the lost request did."""

    sent_again = False


class Absent(_OfRequest):
    """The bucket, object or upload is not there."""


class AlreadyThere(_OfRequest):
    """The object exists, and was not to be overwritten."""


class NotImplementedThere(Unreachable):
    """The store does not know what the request asks for."""


class Session:
    """boto3's session: what describes S3 to it is read once (0.2 s), and many clients are made of it (0.03 s each).

    Any thread may, one at a time. Raises MissingLibrary.
    """

    def __init__(self) -> None:
        self._session = require("boto3").session.Session()
        self._making = threading.Lock()

    def client(self, **options: t.Any) -> t.Any:
        """A client of S3."""
        with self._making:
            return self._session.client("s3", **options)


def s3_client(
    params: t.Mapping[str, t.Any],
    *,
    deadline: Deadline,
    session: Session | None = None,
    attempts: int | None = None,
) -> t.Any:
    """A boto3 client of the options in ``argspec.S3``, for one item: it ends at this deadline, whoever uses it.

    Without an access key boto3's own chain is used. A request is sent ``attempts`` times at most, and each waits no longer
    than leaves time for the others. Raises BadInput, MissingLibrary. Nothing is sent yet.
    """
    session = session or Session()
    from botocore.config import Config

    endpoint = params.get("endpoint_url")
    if endpoint is not None:
        _require_plain_endpoint(str(endpoint))
    if bool(params.get("access_key")) != bool(params.get("secret_key")):
        raise BadInput("access_key and secret_key belong together, and only one of them is given.")
    left = deadline.require("Preparing the S3 client")
    # A short limit is spent on one attempt; a long one may repeat what a busy server refused.
    attempts = attempts or (ATTEMPTS if left > 60 else 1)
    silence = min(left / attempts, SILENCE)
    options: dict[str, t.Any] = {
        "connect_timeout": min(silence, 10.0),
        "read_timeout": silence,
        "retries": {"total_max_attempts": attempts, "mode": "standard"},
        "max_pool_connections": 16,
        "signature_version": "s3v4",
        "s3": {"addressing_style": params.get("addressing_style") or "path"},
    }
    for option in ("request_checksum_calculation", "response_checksum_validation"):
        if option in Config.OPTION_DEFAULTS:
            options[option] = "when_required"
    try:
        client = session.client(
            endpoint_url=endpoint,
            region_name=params.get("region") or "us-east-1",
            aws_access_key_id=params.get("access_key"),
            aws_secret_access_key=params.get("secret_key"),
            verify=params.get("ca_file"),
            config=Config(**options),
        )
    except ValueError:
        raise BadInput("endpoint_url is not a URL.", remedy="Write it as https://host:port.")

    def within_the_limit(request: t.Any, **_unused: t.Any) -> None:
        left = deadline.remaining()
        if left <= 0.0:
            raise _LimitPassed("Talking to S3")
        context = getattr(request, "context", None)
        if isinstance(context, dict):  # older ones wait for ``silence``, also where less is left
            context["read_timeout"] = min(left, silence)

    def broke_off(response: t.Any, operation: t.Any, **request: t.Any) -> float | None:
        field = _TOLD.get(operation.name)
        if field is None or response is None or request["attempts"] >= attempts:
            return None
        http, told = response
        return _AGAIN_SECONDS if http.status_code < 300 and told.get(field) in (None, "") else None

    client.meta.events.register("before-send.s3", within_the_limit)
    client.meta.events.register("needs-retry.s3", broke_off)
    return client


def _require_plain_endpoint(endpoint: str) -> None:
    try:
        parts = urlsplit(endpoint)
        secret = parts.password is not None or parts.username is not None
    except ValueError:
        raise BadInput("endpoint_url is not a URL.", remedy="Write it as https://host:port.")
    if secret:
        raise BadInput("endpoint_url holds credentials.", remedy="Pass them as access_key and secret_key.")
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise BadInput("endpoint_url is not a URL.", remedy="Write it as https://host:port.")


def _one_line(text: str) -> str:
    without_query = re.sub(r'(https?://[^"?\s]*)\?[^"\s]*', r"\1", text)
    return beginning_of(re.sub(r"\s+", " ", without_query).strip().rstrip("."), 300)


@contextlib.contextmanager
def translated(doing: str, *, deadline: Deadline) -> t.Iterator[None]:
    """Turn botocore's errors into ours; ``doing`` begins the sentence ("Writing s3://bucket/key")."""
    require("boto3")
    from botocore import exceptions
    from botocore.parsers import ResponseParserError

    try:
        yield
    except _LimitPassed:
        raise TimedOut(f"{doing} did not end within {deadline.seconds:g} s.")
    except (NoAnswer, ResponseParserError):  # the parser's text repeats the answer, which may be an object's content
        raise UnexpectedAnswer(f"{doing}: S3 answered with what cannot be read as an answer to that.")
    except GoliveError:
        raise
    except exceptions.ClientError as problem:
        raise _of_code(problem, doing)
    except exceptions.NoCredentialsError:
        raise BadInput(f"{doing}: no credentials were found.", remedy="Pass access_key and secret_key.")
    except (exceptions.ReadTimeoutError, exceptions.ConnectTimeoutError):
        limit = f" within {deadline.seconds:g} s" if deadline.expired() else ""
        raise TimedOut(f"{doing}: no answer from S3{limit}.")
    except exceptions.IncompleteReadError as problem:
        raise Unreachable(f"{doing}: S3 cannot be reached: its answer broke off: {_one_line(str(problem))}.")
    except exceptions.ParamValidationError as problem:
        raise BadInput(f"{doing}: {_one_line(str(problem))}.")
    except (exceptions.ConnectionError, exceptions.HTTPClientError) as problem:
        if deadline.expired():
            raise TimedOut(f"{doing}: no answer from S3 within {deadline.seconds:g} s.")
        raise Unreachable(f"{doing}: S3 cannot be reached: {_one_line(str(problem))}.")
    except exceptions.BotoCoreError as problem:
        raise UnexpectedAnswer(f"{doing}: {type(problem).__name__}: {_one_line(str(problem))}.")


def _of_code(problem: t.Any, doing: str) -> GoliveError:
    answer = problem.response
    code = str(answer.get("Error", {}).get("Code", ""))
    metadata = answer.get("ResponseMetadata", {})
    status = str(metadata.get("HTTPStatusCode", ""))
    said = _one_line(str(answer.get("Error", {}).get("Message", ""))) or "no reason given"
    sentence = f"{doing}: S3 answered {code or status}: {said}."
    if code in _DENIED or status in ("401", "403"):
        if code == "RequestTimeTooSkewed":
            return Denied(sentence, remedy="The clocks of this host and the server differ: set them by NTP.")
        return Denied(sentence, remedy="Check access_key, secret_key and the bucket's policy.")
    if code in _ABSENT or status == "404":
        return _told_of(Absent(sentence, remedy="Check the bucket and the key."), metadata)
    if code in ("PreconditionFailed", "ConditionalRequestConflict") or status == "412":
        remedy = "Another writer took this name; nothing of it was changed."
        return _told_of(AlreadyThere(sentence, remedy=remedy), metadata)
    if code == "NotImplemented" or status == "501":
        return NotImplementedThere(sentence)
    if code in _BUSY or status[:1] == "5":
        return Unreachable(sentence)
    return UnexpectedAnswer(sentence)


def _told_of(problem: _OfRequest, metadata: t.Mapping[str, t.Any]) -> _OfRequest:
    problem.sent_again = was_sent_again(metadata)
    return problem


def was_sent_again(metadata: t.Mapping[str, t.Any]) -> bool:
    """Whether an answer's ``ResponseMetadata`` says that it is not that of the first request."""
    return bool(metadata.get("RetryAttempts"))


def said(doing: str, answer: t.Mapping[str, t.Any], field: str) -> str:
    """What every whole answer has; botocore takes one that broke off for an empty one. Raises Unreachable."""
    if answer.get(field) in (None, ""):
        raise Unreachable(f"{doing}: S3 cannot be reached: its answer broke off, without {field}.")
    return str(answer[field])


def region_of(location: t.Mapping[str, t.Any]) -> str:
    """The region that GetBucketLocation tells: the oldest two have no name, and another one, there."""
    constraint = str(location.get("LocationConstraint") or "us-east-1")
    return {"EU": "eu-west-1"}.get(constraint, constraint)


def split_url(url: str) -> tuple[str, str]:
    """``s3://bucket/a/prefix`` as ``("bucket", "a/prefix")``. Raises BadInput."""
    match = re.fullmatch(r"s3://([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:/(.*))?", url)
    if match is None:
        raise BadInput(f"{url} is not s3://bucket/prefix.")
    return match.group(1), (match.group(2) or "").strip("/")
