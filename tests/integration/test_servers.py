# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The servers that other tests trust are themselves what they say."""

from __future__ import annotations

import os
import socket
import ssl
import subprocess
import sys
import urllib.request

import pytest

from tests.parts import need_part
from tests.servers import (
    S3,
    Answer,
    DemoCa,
    HangingServer,
    HttpServer,
    MotoS3,
    Postgres,
    Redis,
    SmtpServer,
    TlsServer,
    accepts,
    await_true,
    debian_postgres_versions,
)


def test_postgres_answers_with_its_password_only(postgres: Postgres) -> None:
    import psycopg

    assert postgres.execute("SELECT current_setting('server_version_num')::int / 10000") == [(18,)]
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        postgres.connect(password="wrong")


def test_postgres_programs_never_run_as_root(postgres: Postgres) -> None:
    assert os.stat(f"/proc/{postgres.pid}").st_uid != 0


def test_a_database_of_ones_own_is_gone_after_dropping(postgres: Postgres) -> None:
    name = postgres.create_database()
    postgres.drop_database(name)
    assert postgres.execute("SELECT 1 FROM pg_database WHERE datname = %s", name) == []


def test_debian_postgres_speaks_tls(demo_ca: DemoCa) -> None:
    versions = debian_postgres_versions()
    need_part("debian-postgres", versions)
    with Postgres(versions[0], tls=demo_ca.issue()) as server:
        assert server.execute("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()") == [(True,)]


def test_redis_asks_for_its_password(redis_server: Redis) -> None:
    import redis

    assert redis_server.client().ping()
    with pytest.raises(redis.AuthenticationError):
        redis.Redis(port=redis_server.port).ping()


def test_a_suspended_server_hangs_and_comes_back() -> None:
    import redis

    with Redis() as server:
        server.suspend()
        with pytest.raises(redis.TimeoutError):
            redis.Redis(port=server.port, socket_timeout=0.2, retry=None).ping()
        server.resume()
        assert server.client().ping()


def test_s3_keeps_bytes_and_refuses_a_wrong_key(s3: S3) -> None:
    import boto3
    from botocore.exceptions import ClientError

    bucket = s3.create_bucket()
    s3.client().put_object(Bucket=bucket, Key="a", Body=b"bytes")
    assert (s3.bytes_directory / bucket / "a").read_bytes() == b"bytes"
    wrong = boto3.client(
        "s3",
        endpoint_url=s3.endpoint,
        aws_access_key_id=s3.access_key,
        aws_secret_access_key="wrong",
        region_name="us-east-1",
    )
    with pytest.raises(ClientError):
        wrong.list_objects_v2(Bucket=bucket)


def test_s3_can_refuse_writes(s3: S3) -> None:
    from botocore.exceptions import ClientError

    bucket = s3.create_bucket()
    s3.refuse_writes(bucket)
    with pytest.raises(ClientError):
        s3.client().put_object(Bucket=bucket, Key="a", Body=b"bytes")


def test_moto_versions_objects(moto_s3: MotoS3) -> None:
    bucket = moto_s3.create_bucket()
    moto_s3.client().put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    assert moto_s3.client().put_object(Bucket=bucket, Key="a", Body=b"1")["VersionId"] != "null"


def test_http_answers_follow_their_script(http_server: HttpServer) -> None:
    http_server.route("/health", [Answer(200, {"status": "starting"}), Answer(200, {"status": "ok"})])
    bodies = [urllib.request.urlopen(f"{http_server.url}/health").read() for unused_turn in range(3)]
    assert bodies == [b'{"status": "starting"}', b'{"status": "ok"}', b'{"status": "ok"}']
    assert [request.path for request in http_server.requests] == ["/health"] * 3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, None),
        ({"days": -2}, "certificate has expired"),
        ({"self_signed": True}, "self-signed certificate"),
        ({"names": ["other.example.org"]}, "Hostname mismatch"),
        ({"with_chain": False}, "unable to get local issuer"),
    ],
)
def test_tls_serves_the_certificate_it_was_given(
    intermediate_ca: DemoCa, options: dict[str, object], message: str | None
) -> None:
    trusting = ssl.create_default_context(cadata=intermediate_ca.root.pem)
    with TlsServer(intermediate_ca.issue(**options)) as server:  # type: ignore[arg-type]  # the table mixes types
        with socket.create_connection((server.host, server.port), timeout=10) as plain:
            if message is None:
                trusting.wrap_socket(plain, server_hostname="localhost").close()
                return
            with pytest.raises(ssl.SSLCertVerificationError, match=message):
                trusting.wrap_socket(plain, server_hostname="localhost")


def test_a_mail_server_insists_on_tls_and_on_a_login(demo_ca: DemoCa) -> None:
    import smtplib

    trusting = ssl.create_default_context(cadata=demo_ca.pem)
    with SmtpServer(tls=demo_ca.issue(), users={"u": "right"}, replies={"DATA": ["451 later"]}) as server:
        with smtplib.SMTP("localhost", server.port, "localhost", timeout=10) as client:
            assert client.mail("a@example.org")[0] == 530
            client.starttls(context=trusting)
            client.ehlo()
            assert client.mail("a@example.org")[0] == 530
            with pytest.raises(smtplib.SMTPAuthenticationError):
                client.login("u", "wrong")
            client.login("u", "right")
            with pytest.raises(smtplib.SMTPDataError, match="later"):
                client.sendmail("a@example.org", ["b@example.org"], "text")
            client.sendmail("a@example.org", ["b@example.org"], "text")
    (taken,) = server.mails
    assert (taken.sender, taken.recipients, taken.content, taken.is_encrypted) == (
        "a@example.org",
        ["b@example.org"],
        b"text\r\n",
        True,
    )


def test_a_hanging_server_accepts_and_never_answers(hanging_server: HangingServer) -> None:
    with socket.create_connection((hanging_server.host, hanging_server.port), timeout=0.2) as connection:
        connection.sendall(b"PING\r\n")
        with pytest.raises(TimeoutError):
            connection.recv(1)


def test_a_refused_port_refuses(refused_port: int) -> None:
    assert not accepts(refused_port)


def test_servers_end_with_the_process_that_started_them() -> None:
    script = "from tests.servers import Redis; import os; r = Redis().start(); print(r.pid, flush=True); os.kill(os.getpid(), 9)"
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    pid = int(ended.stdout)

    def is_gone() -> bool:
        try:
            with open(f"/proc/{pid}/stat") as stat:
                return stat.read().rpartition(")")[2].split()[0] == "Z"
        except FileNotFoundError:
            return True

    await_true(is_gone, seconds=10, what="the orphaned server's end")
