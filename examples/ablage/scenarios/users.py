"""People at work while a release happens: they upload, hand in OCR jobs, and one reports through psql."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import secrets
import ssl
import subprocess
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from scenarios.pictures import broker
from scenarios.workspace import Facts, Workspace

REPORTER = "bericht"
PAUSE_SECONDS = 0.2


class Refused(RuntimeError):
    """The archive did not do what was asked; ``status`` is 0 where nobody answered."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(f"HTTP {status}: {text}" if status else text)
        self.status = status


class Archive:
    """The archive as a user's browser sees it: through the proxy, with a certificate that is checked."""

    def __init__(self, facts: Facts) -> None:
        self._port = int(facts["proxy_port"])
        self._context = ssl.create_default_context(cafile=facts["ca_file"])
        self._facts = facts
        self._token = ""

    def ask(self, method: str, path: str, body: bytes | None = None, kind: str = "application/json") -> Any:
        """One request. Raises Refused."""
        headers = {"Accept": "application/json", "Content-Type": kind}
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        connection = http.client.HTTPSConnection("localhost", self._port, timeout=10, context=self._context)
        try:
            connection.request(method, f"/api/v1{path}", body, headers)
            answer = connection.getresponse()
            content = answer.read()
        except (OSError, http.client.HTTPException) as problem:
            raise Refused(0, type(problem).__name__) from problem
        finally:
            connection.close()
        if answer.status >= 300:
            raise Refused(answer.status, content.decode(errors="replace")[:200])
        return json.loads(content) if content and answer.headers.get_content_type() == "application/json" else content

    def post(self, path: str, **body: Any) -> Any:
        return self.ask("POST", path, json.dumps(body).encode())

    def login(self) -> None:
        found = self.post(
            "/auth/login", username=self._facts["user_name"], password=self._facts.secret("user_password")
        )
        self._token = found["access_token"]

    def health(self) -> dict[str, Any]:
        found: dict[str, Any] = self.ask("GET", "/health/detailed")
        return found

    def upload(self, name: str) -> int:
        """Upload the test document; returns its id."""
        content = Path(self._facts["test_document"]).read_bytes()
        boundary = uuid.uuid4().hex
        head = f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n'
        body = head.encode() + b"Content-Type: application/pdf\r\n\r\n" + content + f"\r\n--{boundary}--\r\n".encode()
        found = self.ask("POST", "/documents", body, f"multipart/form-data; boundary={boundary}")
        return int(found["id"])

    def submit(self, document: int, delay_seconds: float = 0) -> str:
        """Hand in an OCR job; returns its id."""
        return str(self.post("/ocr/process", document_id=document, delay_seconds=delay_seconds)["job_id"])


class AtWork:
    """Something that a person does again and again, in a thread, until the block is left. A failure of ours is kept and raised."""

    def __init__(self, act: Callable[[], None], *, pause_seconds: float = PAUSE_SECONDS) -> None:
        self._act, self._pause_seconds = act, pause_seconds
        self._stopped = threading.Event()
        self._problem: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        try:
            while not self._stopped.is_set():
                self._act()
                # people pause; how long is no promise, only a rate
                self._stopped.wait(self._pause_seconds)
        except BaseException as problem:  # whatever it is, the block must hear of it
            self._problem = problem

    def __enter__(self) -> AtWork:
        self._thread.start()
        return self

    def stop(self) -> None:
        self._stopped.set()
        self._thread.join(30)

    def __exit__(self, kind: object, *_unused: object) -> None:
        self.stop()
        if self._problem is not None and kind is None:
            raise self._problem


@dataclass
class QueueFillers:
    """Users who hand in jobs so that ``depth`` always wait, while the archive takes them."""

    facts: Facts
    archive: Archive
    document: int
    depth: int
    handed_in: list[str] = field(default_factory=list)
    #: Answers that left open whether the job was taken.
    unclear: int = 0

    def __call__(self) -> None:
        with broker(self.facts) as client:
            missing = self.depth - int(client.llen("ocr"))
        for _unused in range(missing):
            try:
                self.handed_in.append(self.archive.submit(self.document))
            except Refused as refused:
                self.unclear += refused.status not in (502, 503)
                return


@dataclass
class Uploaders:
    """Users who upload a document whenever the archive lets them."""

    archive: Archive
    uploaded: list[tuple[float, int]] = field(default_factory=list)
    refused: int = 0

    def __call__(self) -> None:
        try:
            identifier = self.archive.upload(f"nutzer-{len(self.uploaded)}.pdf")
        except Refused:
            self.refused += 1
        else:
            self.uploaded.append((time.time(), identifier))


@dataclass(frozen=True)
class Written:
    """One attempt to write: when it was answered, with which mark, and what came of it (written, refused, unclear)."""

    at: float
    mark: str
    result: str


class Reporter:
    """Somebody with psql and a role of their own, who writes a row a few times a second, and comes back when thrown out."""

    def __init__(self, workspace: Workspace, facts: Facts) -> None:
        self._facts = facts
        self._password = secrets.token_hex(16)
        self._passfile = workspace.tmp / "bericht.pgpass"
        self._session: subprocess.Popen[str] | None = None
        self._errors = workspace.tmp / "bericht.stderr"
        self.attempts: list[Written] = []
        self.sessions = 0

    def create_role(self) -> None:
        """The role and its grants, some of them on columns; they have to survive a restore."""
        import psycopg
        from psycopg import sql

        owner = {"host": self._facts["postgres_host"], "port": self._facts["postgres_port"], "user": "postgres",
                 "password": self._facts.secret("db_superuser_password"), "dbname": self._facts["database"]}  # fmt: skip
        with psycopg.connect(**owner, autocommit=True) as connection:
            verifier = connection.pgconn.encrypt_password(self._password.encode(), REPORTER.encode(), b"scram-sha-256")
            connection.execute(
                sql.SQL("create role {} login password {}").format(
                    sql.Identifier(REPORTER), sql.Literal(verifier.decode())
                )
            )
            for statement in (
                "grant connect on database ablage to bericht",
                "grant insert on events to bericht",
                "grant select (id, action) on events to bericht",
                "alter role bericht in database ablage set lock_timeout = '10s'",
                "alter database ablage connection limit 80",
                "comment on table events is 'Wer was wann getan hat'",
                "comment on column documents.note is 'Freitext der Poststelle'",
            ):
                connection.execute(statement)
        line = f"{self._facts['postgres_host']}:{self._facts['postgres_port']}:*:{REPORTER}:{self._password}\n"
        descriptor = os.open(self._passfile, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(line)

    def _connect(self) -> subprocess.Popen[str]:
        dsn = f"postgresql://{REPORTER}@{self._facts['postgres_host']}:{self._facts['postgres_port']}/{self._facts['database']}"
        self.sessions += 1
        with self._errors.open("a", encoding="utf-8") as errors:
            return subprocess.Popen(
                [f"{self._facts['postgres_bin_dir']}/psql", "-X", "-A", "-t", "-q", "-w", "-v", "ON_ERROR_STOP=1", dsn],
                env={"PATH": "/usr/bin:/bin", "PGPASSFILE": str(self._passfile), "PGCONNECT_TIMEOUT": "5"},
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True, errors="replace",
            )  # fmt: skip

    def __call__(self) -> None:
        if self._session is None:
            self._session = self._connect()
        mark = f"{REPORTER} {len(self.attempts)}"
        answer = ""
        try:
            if self._session.stdin is not None and self._session.stdout is not None:
                self._session.stdin.write(
                    f"insert into events (actor, action) values ('{REPORTER}', '{mark}') returning id;\n"
                )
                self._session.stdin.flush()
                answer = self._session.stdout.readline().strip()
        except BrokenPipeError:
            pass
        if answer:
            self.attempts.append(Written(time.time(), mark, "written"))
            return
        # psql ended: 2 is "the connection went away", 1 and 3 that the server refused; a row may have been
        # written before a connection went away, so that is unclear and not refused
        was_connected = any(attempt.result == "written" for attempt in self.attempts[-1:])
        self.attempts.append(Written(time.time(), mark, "unclear" if was_connected else "refused"))
        self.close()

    def close(self) -> None:
        """End the session."""
        if self._session is None:
            return
        if self._session.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self._session.stdin.close()
        try:
            self._session.wait(5)
        except subprocess.TimeoutExpired:
            self._session.kill()
            self._session.wait()
        if self._session.stdout is not None:
            self._session.stdout.close()
        self._session = None
