"""Documents in the S3 bucket."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from ablage.settings import load

if TYPE_CHECKING:
    from collections.abc import Iterator


class StorageError(RuntimeError):
    """The bucket did not answer, or refused."""


@cache
def client() -> Any:
    # boto3 costs 0.4 s to import: the backend answers before it is loaded
    import boto3
    from botocore.config import Config

    settings = load()
    # a session of its own: boto3's default session may not be shared by threads
    return boto3.session.Session().client(
        "s3",
        endpoint_url=settings.minio_endpoint,
        aws_access_key_id=settings.minio_access_key,
        aws_secret_access_key=settings.minio_secret_key,
        region_name="us-east-1",
        config=Config(
            connect_timeout=2,
            read_timeout=20,
            retries={"max_attempts": 2},
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
            s3={"addressing_style": "path"},
        ),
    )


def call(operation: str, **arguments: Any) -> Any:
    """One S3 operation on the archive's bucket. Raises StorageError."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        return getattr(client(), operation)(Bucket=load().minio_bucket, **arguments)
    except (BotoCoreError, ClientError) as error:
        raise StorageError(f"{operation}: {type(error).__name__}") from error


def put(key: str, content: bytes, content_type: str) -> None:
    call("put_object", Key=key, Body=content, ContentType=content_type)


def read(key: str) -> bytes:
    return bytes(call("get_object", Key=key)["Body"].read())


def stream(key: str) -> Iterator[bytes]:
    return iter(call("get_object", Key=key)["Body"].iter_chunks(64 * 1024))


def delete(key: str) -> None:
    call("delete_object", Key=key)


def probe() -> None:
    """Raises StorageError if the bucket cannot be reached with our keys."""
    call("head_bucket")
