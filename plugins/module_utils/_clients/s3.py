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


class Absent(UnexpectedAnswer):
    """The bucket, object or upload is not there."""


class AlreadyThere(UnexpectedAnswer):
    """The object exists, and was not to be overwritten."""


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


def s3_client(params: t.Mapping[str, t.Any], *, deadline: Deadline, session: Session | None = None) -> t.Any:
    """A boto3 client of the options in ``argspec.S3``, for one item: it ends at this deadline, whoever uses it.

    Without an access key boto3's own chain is used. Raises BadInput, MissingLibrary. Nothing is sent yet.
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
    attempts = 4 if left > 60 else 1
    options: dict[str, t.Any] = {
        "connect_timeout": min(left, 10.0),
        "read_timeout": min(left, 60.0),
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

    def within_the_limit(**_unused: t.Any) -> None:
        deadline.require("Talking to S3")

    client.meta.events.register("before-send.s3", within_the_limit)
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
    return beginning_of(re.sub(r"\s+", " ", text).strip().rstrip("."), 300)


@contextlib.contextmanager
def translated(doing: str, *, deadline: Deadline) -> t.Iterator[None]:
    """Turn botocore's errors into ours; ``doing`` begins the sentence ("Writing s3://bucket/key")."""
    require("boto3")
    from botocore import exceptions

    try:
        yield
    except GoliveError:
        raise
    except exceptions.ClientError as problem:
        raise _of_code(problem, doing)
    except exceptions.NoCredentialsError:
        raise BadInput(f"{doing}: no credentials were found.", remedy="Pass access_key and secret_key.")
    except (exceptions.ReadTimeoutError, exceptions.ConnectTimeoutError):
        raise TimedOut(f"{doing}: no answer from S3 within {deadline.seconds:g} s.")
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
    status = str(answer.get("ResponseMetadata", {}).get("HTTPStatusCode", ""))
    said = _one_line(str(answer.get("Error", {}).get("Message", ""))) or "no reason given"
    sentence = f"{doing}: S3 answered {code or status}: {said}."
    if code in _DENIED or status in ("401", "403"):
        if code == "RequestTimeTooSkewed":
            return Denied(sentence, remedy="The clocks of this host and the server differ: set them by NTP.")
        return Denied(sentence, remedy="Check access_key, secret_key and the bucket's policy.")
    if code in _ABSENT or status == "404":
        return Absent(sentence, remedy="Check the bucket and the key.")
    if code in ("PreconditionFailed", "ConditionalRequestConflict") or status == "412":
        return AlreadyThere(sentence, remedy="Another writer took this name; nothing of it was changed.")
    if code in _BUSY or status[:1] == "5":
        return Unreachable(sentence)
    return UnexpectedAnswer(sentence)


def said(doing: str, answer: t.Mapping[str, t.Any], field: str) -> str:
    """What every whole answer has; botocore takes one that broke off for an empty one. Raises Unreachable."""
    if not answer.get(field):
        raise Unreachable(f"{doing}: S3 cannot be reached: its answer broke off, without {field}.")
    return str(answer[field])


def split_url(url: str) -> tuple[str, str]:
    """``s3://bucket/a/prefix`` as ``("bucket", "a/prefix")``. Raises BadInput."""
    match = re.fullmatch(r"s3://([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:/(.*))?", url)
    if match is None:
        raise BadInput(f"{url} is not s3://bucket/prefix.")
    return match.group(1), (match.group(2) or "").strip("/")
