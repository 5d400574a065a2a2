# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""notify against real mail servers and webhooks: who is told, who is told twice (nobody), and what is said of the rest."""

from __future__ import annotations

import email
import email.policy
import json
import os
import signal
import socket
import subprocess
import sys
import typing as t
from email.message import EmailMessage
from pathlib import Path

import pytest

from ansible_collections.opsready.golive.plugins.module_utils._core.fencing import lock_directory
from tests.leaks import assert_no_leak
from tests.module_examples import examples_of
from tests.playbook import run_playbook
from tests.returned import contradictions
from tests.servers import (
    Answer,
    DemoCa,
    HangingServer,
    HttpServer,
    RefusedPort,
    Request,
    ScriptedServer,
    SmtpServer,
    TakenMail,
    await_true,
)

serves = pytest.mark.serves

HOOK = "/services/T0AB1CD2E/B0EF3GH4I/geheim5haken6zeichen7"
PASSWORD = "geheim-mail-paßwort"
KEY = "geheim-routing-key"
LINK = "https://reports.example.org/archive/2.0.0/index.html"
SUBJECT = "archive 2.0.0 is live"


class Notify(t.Protocol):
    def __call__(self, *channels: t.Mapping[str, t.Any], check: bool = False, **options: t.Any) -> dict[str, t.Any]: ...


@pytest.fixture
def notify(run_module_here: t.Any) -> Notify:
    def run(*channels: t.Mapping[str, t.Any], check: bool = False, **options: t.Any) -> dict[str, t.Any]:
        arguments = {"subject": SUBJECT, "channels": list(channels), "interval": 0.01, **options}
        secrets = [HOOK, HOOK.rpartition("/")[2], PASSWORD, KEY]
        return t.cast("dict[str, t.Any]", run_module_here("notify", arguments, check=check, secrets=secrets))

    return run


@pytest.fixture
def ca_file(demo_ca: DemoCa, tmp_path: Path) -> str:
    return str(demo_ca.issue().write(tmp_path / "tls").ca)


def hook(server: HttpServer, **options: t.Any) -> dict[str, t.Any]:
    return {"name": "chat", "webhook": {"url": f"{server.url}{HOOK}", **options}}


def mail(port: int, **options: t.Any) -> dict[str, t.Any]:
    plain = {"host": "localhost", "port": port, "tls": "none", "from": "golive@example.org", "to": ["ops@example.org"]}
    return {"name": "team", "mail": {**plain, **options}}


def read(taken: TakenMail) -> EmailMessage:
    found = email.message_from_bytes(taken.content, policy=email.policy.default)
    assert isinstance(found, EmailMessage)
    return found


def content_of(letter: EmailMessage) -> str:
    """The text, with its lines as a reader sees them."""
    return str(letter.get_content()).replace("\r\n", "\n")


# ── told ──


@serves("S1.60", case="pass")
def test_the_team_is_told_with_a_link_and_the_proof_is_kept(
    notify: Notify, http_server: HttpServer, demo_ca: DemoCa, ca_file: str
) -> None:
    http_server.route(HOOK, Answer(200, "ok"))
    with SmtpServer(tls=demo_ca.issue(), users={"golive": PASSWORD}) as server:
        secure = {"tls": "starttls", "ca_file": ca_file, "username": "golive", "password": PASSWORD}
        to = ["ops@example.org", "Bäckend <backend@example.org>"]
        channels = [hook(http_server), mail(server.port, to=to, **secure)]
        done = notify(*channels, text="Downtime 29 s of 60 s.\n", link=LINK)
    assert not done.get("failed"), done
    assert (done["status"], done["changed"]) == ("pass", True)
    body = json.loads(http_server.requests[0].body)
    assert body == {"text": f"{SUBJECT}\nDowntime 29 s of 60 s.\n{LINK}"}
    assert http_server.requests[0].headers["Content-Type"] == "application/json"
    (taken,) = server.mails
    assert (taken.is_encrypted, taken.mechanism) == (True, "PLAIN")
    assert taken.recipients == ["ops@example.org", "backend@example.org"]
    letter = read(taken)
    assert (letter["Subject"], letter["Auto-Submitted"]) == (SUBJECT, "auto-generated")
    assert letter["To"] == "ops@example.org, Bäckend <backend@example.org>"
    assert content_of(letter) == f"Downtime 29 s of 60 s.\n{LINK}\n"
    # The evidence of the item: status per channel, message id, time, link.
    evidence = done["finding"]["evidence"]
    chat, team = evidence["channels"]
    assert evidence["link"] == LINK
    assert (chat["http_status"], chat["to"]) == (200, f"127.0.0.1:{http_server.port} (http)")
    assert (team["message_id"], team["answer"]) == (letter["Message-ID"], "250 2.0.0 Ok: queued as 1")
    assert team["accepted"] == ["ops@example.org", "backend@example.org"]
    assert chat["sent_at"] >= done["finding"]["started"]
    assert team["sent_at"] >= done["finding"]["started"]
    assert done["text"] == "notified: chat; team"


@serves("S1.60", case="fail")
def test_nobody_told_is_a_failed_finding_and_no_failed_task(
    notify: Notify, http_server: HttpServer, demo_ca: DemoCa, ca_file: str
) -> None:
    http_server.route(HOOK, Answer(404, "no_service"))
    with SmtpServer(tls=demo_ca.issue(), users={"golive": PASSWORD}) as server:
        wrong = {"tls": "starttls", "ca_file": ca_file, "username": "golive", "password": "geheim-falsch"}
        channels = [hook(http_server), mail(server.port, **wrong)]
        done = notify(*channels, link=LINK)
        enforced = notify(*channels, link=LINK, enforce=True)
    assert not done.get("failed"), done
    assert (done["status"], done["changed"], done["finding"]["status"]) == ("fail", False, "fail")
    chat, team = done["finding"]["evidence"]["channels"]
    assert (chat["http_status"], chat["sent_at"], chat["attempts"]) == (404, "", 1)
    assert "answered 404, expected 200, 201, 202, 204: no_service" in chat["problem"]
    assert "refuses the user name or password: 535" in team["problem"]
    assert (team["attempts"], server.logins) == (1, ["golive", "golive"])
    assert done["text"].startswith("NOT notified: chat (127.0.0.1:")
    assert server.mails == []
    assert (enforced["failed"], enforced["status"]) == (True, "fail")
    assert "chat was not told" in enforced["msg"].replace("Chat", "chat")
    assert "geheim-falsch" not in json.dumps([done, enforced])


def test_somebody_told_is_a_warning_that_names_who_was_not(notify: Notify, http_server: HttpServer) -> None:
    http_server.route(HOOK, Answer(200))
    with RefusedPort() as nobody:
        done = notify(hook(http_server), mail(nobody.port), request_timeout=0.5, timeout=1, enforce=True)
    assert not done.get("failed"), done
    assert (done["status"], done["changed"]) == ("warn", True)
    assert done["msg"].lower().startswith("team was not told: nothing listens on localhost:")
    assert done["text"].splitlines()[0] == "notified: chat"
    assert done["text"].splitlines()[1].startswith("NOT notified: team (Nothing listens on")
    assert done["channels"][1]["attempts"] > 1


def test_tls_from_the_start_and_the_other_way_to_log_in(notify: Notify, demo_ca: DemoCa, ca_file: str) -> None:
    with SmtpServer(tls=demo_ca.issue(), implicit=True, users={"golive": PASSWORD}, without=["PLAIN"]) as server:
        secure = {"tls": "implicit", "ca_file": ca_file, "username": "golive", "password": PASSWORD}
        done = notify(mail(server.port, **secure))
        plain = notify(mail(server.port, tls="none"), timeout=0.5)
    assert done["status"] == "pass", done["msg"]
    assert [(taken.is_encrypted, taken.mechanism) for taken in server.mails] == [(True, "LOGIN")]
    assert plain["status"] == "fail"


def test_what_is_not_ascii_arrives_as_it_was_meant(notify: Notify, http_server: HttpServer) -> None:
    http_server.route(HOOK, Answer(200))
    text = "Größe: 4 µm\n.ein Punkt am Anfang\n.\n" + "ü" * 2000
    with SmtpServer() as server:
        done = notify(
            hook(http_server),
            mail(server.port, **{"from": "Übergabe <golive@bücher.example>", "to": ["ops@bücher.example"]}),
            subject="Größe geändert – " * 8 + "Ende",
            text=text,
        )
    assert done["status"] == "pass", done["msg"]
    letter = read(server.mails[0])
    assert server.mails[0].content.isascii()
    assert server.mails[0].recipients == ["ops@xn--bcher-kva.example"]
    assert letter["Subject"] == "Größe geändert – " * 8 + "Ende"
    assert letter["From"] == "Übergabe <golive@xn--bcher-kva.example>"
    assert content_of(letter) == f"{text}\n"
    assert text in json.loads(http_server.requests[0].body)["text"]


def test_an_address_beyond_ascii_needs_a_server_that_takes_it(notify: Notify) -> None:
    with SmtpServer(smtputf8=True) as able, SmtpServer() as unable:
        done = notify(mail(able.port, to=["jörg@example.org"]))
        refused = notify(mail(unable.port, to=["jörg@example.org"]))
    assert done["status"] == "pass", done["msg"]
    assert able.mails[0].recipients == ["jörg@example.org"]
    assert "To: jörg@example.org" in able.mails[0].content.decode()
    assert (refused["status"], refused["channels"][0]["attempts"]) == ("fail", 1)
    assert "does not speak SMTPUTF8, which the address jörg@example.org needs" in refused["msg"]
    assert unable.mails == []


def test_a_webhook_gets_the_callers_own_json_headers_and_method(notify: Notify, http_server: HttpServer) -> None:
    http_server.route(f"PUT {HOOK}", Answer(202))
    own = {
        "method": "PUT",
        "json": {"summary": "live", "details": {"n": 1}},
        "secret_json": {"routing_key": KEY},
        "headers": {"content-type": "application/x-own"},
        "secret_headers": {"X-Key": KEY},
        "status": [202],
    }
    assert notify(hook(http_server, **own))["status"] == "pass"
    (request,) = http_server.requests
    assert json.loads(request.body) == {"summary": "live", "details": {"n": 1}, "routing_key": KEY}
    assert (request.headers["content-type"], request.headers["X-Key"]) == ("application/x-own", KEY)


def test_no_secret_is_in_what_is_sent(notify: Notify, http_server: HttpServer) -> None:
    http_server.route(HOOK, Answer(200))
    token = HOOK.rpartition("/")[2]
    with SmtpServer() as server:
        done = notify(
            hook(http_server),
            {"name": "own", "webhook": {"url": f"{http_server.url}{HOOK}", "json": {"a": [f"b {PASSWORD}"]}}},
            mail(server.port, username=None),
            {**mail(server.port, host="127.0.0.1", username="u", password=PASSWORD), "name": "secret"},
            subject=f"failed with {PASSWORD}",
            text=f"POST {http_server.url}{HOOK} and {token} and postgres://u:geheim-dsn@h/x; services go on",
            link=f"https://u:geheim-dsn@reports.example.org/{token}",
        )
    sent = [request.body.decode() for request in http_server.requests] + [str(read(each)) for each in server.mails]
    assert len(sent) == 3
    assert_no_leak([PASSWORD, token, HOOK, "geheim-dsn"], "\n".join(sent), "a message")
    assert all("services go on" in each for each in sent if "failed with" in each or "POST" in each)
    assert "geheim-dsn" not in json.dumps(done)


def test_a_line_break_in_the_subject_begins_no_header(notify: Notify) -> None:
    with SmtpServer() as server:
        done = notify(mail(server.port), subject="live\r\nBcc: evil@example.org\n\nX: \x00\x85y", text=".a\n.\n..b")
    assert done["status"] == "pass", done["msg"]
    letter = read(server.mails[0])
    assert letter["Subject"] == "live Bcc: evil@example.org X: y"
    assert letter["Bcc"] is None
    assert server.mails[0].recipients == ["ops@example.org"]
    assert content_of(letter) == ".a\n.\n..b\n", "a lone dot ends no mail"


# ── told once ──


def test_what_may_pass_is_tried_again_until_it_is_taken(notify: Notify, http_server: HttpServer) -> None:
    busy = {"Retry-After": "0"}
    http_server.route(HOOK, [Answer(503), Answer(429, "slow down", busy), Answer(200, "ok")])
    again = {"MAIL": ["451 4.3.0 Later"], "RCPT ops@example.org": ["450 4.2.1 Busy"], "DATA": ["452 4.3.1 Full"]}
    with SmtpServer(replies=again) as server:
        done = notify(hook(http_server), mail(server.port))
    assert done["status"] == "pass", done["msg"]
    assert [channel["attempts"] for channel in done["channels"]] == [3, 4]
    assert len({request.body for request in http_server.requests}) == 1
    assert [taken.recipients for taken in server.mails] == [["ops@example.org"]]
    assert read(server.mails[0])["Message-ID"] == done["channels"][1]["message_id"]


def test_a_wish_for_more_time_than_there_is_ends_the_attempts(notify: Notify, http_server: HttpServer) -> None:
    http_server.route(HOOK, Answer(503, "closed", {"Retry-After": "3600"}))
    done = notify(hook(http_server))
    assert (done["status"], len(http_server.requests)) == ("fail", 1)
    assert "closed; it wants 3600 s until the next attempt" in done["msg"]


@pytest.mark.parametrize("status", [400, 501])
def test_what_will_not_pass_is_tried_once(notify: Notify, http_server: HttpServer, status: int) -> None:
    http_server.route(HOOK, Answer(status, b"\x1f\x8b", {"Content-Encoding": "gzip"}))
    done = notify(hook(http_server))
    assert (done["status"], len(http_server.requests)) == ("fail", 1)
    assert f"answered {status}, expected 200, 201, 202, 204." in done["msg"]


def test_who_has_the_mail_gets_no_second_one_while_others_are_tried_again(notify: Notify) -> None:
    replies = {
        "RCPT late@example.org": ["450 4.2.1 Busy"] * 2,
        "RCPT gone@example.org": ["550 5.1.1 No such user"] * 9,
    }
    to = ["ops@example.org", "late@example.org", "gone@example.org", "ops@example.org"]
    with SmtpServer(replies=replies) as server:
        done = notify(mail(server.port, to=to))
    assert [taken.recipients for taken in server.mails] == [["ops@example.org"], ["late@example.org"]]
    (team,) = done["channels"]
    assert (done["status"], done["changed"], team["attempts"]) == ("warn", True, 3)
    assert team["accepted"] == ["ops@example.org", "late@example.org"]
    assert team["refused"] == {"gone@example.org": "550 5.1.1 No such user"}
    assert "was not told as a whole" in done["msg"]
    assert "gone@example.org: 550 5.1.1 No such user" in done["msg"]


def test_nobody_of_a_mail_accepted_is_nobody_told(notify: Notify) -> None:
    replies = {"RCPT ops@example.org": ["550 5.1.1 No such user"]}
    with SmtpServer(replies=replies) as server:
        done = notify(mail(server.port))
    assert (done["status"], done["changed"], done["channels"][0]["attempts"]) == ("fail", False, 1)
    assert server.mails == []


def test_a_webhook_that_took_the_request_and_says_nothing_is_not_asked_twice(
    notify: Notify, http_server: HttpServer, hanging_server: HangingServer
) -> None:
    silent = {"name": "silent", "webhook": {"url": f"http://127.0.0.1:{hanging_server.port}{HOOK}"}}
    done = notify(silent, request_timeout=0.3)
    assert (done["status"], done["changed"], hanging_server.accepted) == ("unknown", True, 1)
    assert "may not have been told" in done["msg"]
    assert "did not answer POST ******** within 0.3 s; it may have taken the message" in done["msg"]
    http_server.route(HOOK, Answer(504, "waited in vain"))
    gateway = notify(hook(http_server), enforce=True)
    assert (gateway["failed"], gateway["status"], len(http_server.requests)) == (True, "unknown", 1)
    told = {"name": "told", "webhook": {"url": f"{http_server.url}/other"}}
    http_server.route("/other", Answer(200))
    assert notify(hook(http_server), told)["status"] == "warn"


# ── not told ──


def talk(*replies: bytes, ends: bool = False) -> t.Callable[[socket.socket], None]:
    """A mail server that gives these replies, each to one command, and then nothing, or ends the connection."""

    def converse(connection: socket.socket) -> None:
        for number, reply in enumerate(replies):
            if number and not connection.recv(65536):
                return
            connection.sendall(reply)
        while connection.recv(65536) and not ends:
            pass

    return converse


GREETING, HELLO, TAKEN = b"220 hello\r\n", b"250-mail\r\n250 AUTH PLAIN\r\n", b"250 ok\r\n"
PHASES = {
    "the connection": (),
    "EHLO": (GREETING,),
    "AUTH": (GREETING, HELLO),
    "the sender": (GREETING, HELLO, b"235 in\r\n"),
    "the recipient ops@example.org": (GREETING, HELLO, b"235 in\r\n", TAKEN),
    "DATA": (GREETING, HELLO, b"235 in\r\n", TAKEN, TAKEN),
}


@pytest.mark.parametrize("phase", PHASES)
def test_a_mail_server_that_hangs_is_named_with_the_place_and_keeps_nobody_else_waiting(
    notify: Notify, http_server: HttpServer, phase: str
) -> None:
    http_server.route(HOOK, Answer(200))
    with ScriptedServer(talk(*PHASES[phase])) as server:
        login = {"username": "golive", "password": PASSWORD}
        done = notify(mail(server.port, **login), hook(http_server), timeout=0.3)
    team, chat = done["channels"]
    assert (done["status"], chat["is_sent"]) == ("warn", True)
    assert f"did not answer {phase} within" in team["problem"]
    assert (team["is_unconfirmed"], team["accepted"]) == (False, [])


@pytest.mark.parametrize("ends", [False, True])
def test_a_mail_server_that_has_the_mail_and_says_nothing_is_not_given_it_twice(notify: Notify, ends: bool) -> None:
    has_all = (GREETING, HELLO, TAKEN, TAKEN, b"354 go on\r\n")
    with ScriptedServer(talk(*has_all, ends=ends)) as server:
        done = notify(mail(server.port), request_timeout=0.5)
    assert (done["status"], done["changed"], server.accepted) == ("unknown", True, 1)
    assert "it may have accepted the mail" in done["msg"]
    assert done["channels"][0]["is_unconfirmed"]


def test_a_mail_server_that_hangs_at_goodbye_has_the_mail(notify: Notify) -> None:
    with ScriptedServer(talk(GREETING, HELLO, TAKEN, TAKEN, b"354 go on\r\n", b"250 taken\r\n", ends=True)) as server:
        done = notify(mail(server.port, to=["ops@example.org"]))
    assert (done["status"], done["channels"][0]["answer"]) == ("pass", "250 taken")


LOGGED_IN = (GREETING, HELLO, b"235 in\r\n")
ALL_GOOD = (*LOGGED_IN, TAKEN, TAKEN, b"354 go on\r\n", TAKEN, b"221 bye\r\n")


@pytest.mark.parametrize(
    ("replies", "says", "is_repeated"),
    [
        ((b"554 no service here\r\n",), "refuses the connection: 554 no service here", False),
        ((b"421 too many\r\n",), "refuses the connection for now: 421 too many", True),
        ((GREETING, b"502 what\r\n"), "refuses EHLO: 502 what", False),
        ((GREETING, HELLO, b"535 no\r\n"), "refuses the user name or password: 535 no", False),
        ((GREETING, HELLO, b"454 busy\r\n"), "refuses the login for now: 454 busy", True),
        ((GREETING, b"250 mail\r\n"), "offers no login by AUTH PLAIN or LOGIN", False),
        ((*LOGGED_IN, b"553 not you\r\n"), "refuses the sender golive@example.org: 553 not you", False),
        ((*LOGGED_IN, TAKEN, b"421 closing\r\n"), "ops@example.org for now: 421 closing", True),
        ((*LOGGED_IN, TAKEN, TAKEN, b"554 none\r\n"), "refuses the mail: 554 none", False),
        ((*LOGGED_IN, TAKEN, TAKEN, b"354 go on\r\n", b"552 too large\r\n"), "refuses the mail: 552 too large", False),
        ((b"HTTP/1.1 400 Bad Request\r\n",), "did not answer the connection in SMTP", False),
        ((b"220 " + b"x" * 9000,), "did not answer the connection in SMTP", False),
        ((), "did not answer the connection within", True),
        ((GREETING, b""), "ended the connection at EHLO", True),
    ],
)
def test_what_a_mail_server_says_is_told_and_decides_whether_it_is_asked_again(
    notify: Notify, replies: tuple[bytes, ...], says: str, is_repeated: bool
) -> None:
    turns = [replies, replies, ALL_GOOD]

    def converse(connection: socket.socket) -> None:
        said = turns.pop(0)
        if said[-1:] == (b"",):
            connection.sendall(said[0])
            connection.recv(65536)
        else:
            talk(*said)(connection)

    options = {"username": "golive", "password": PASSWORD}
    with ScriptedServer(converse) as server:
        once = notify(mail(server.port, **options), interval=60, request_timeout=0.5)
        assert (once["status"], once["changed"], server.accepted) == ("fail", False, 1)
        assert says in once["msg"]
        again = notify(mail(server.port, **options), request_timeout=0.5)
    assert again["status"] == ("pass" if is_repeated else "fail")
    assert again["channels"][0]["attempts"] == (2 if is_repeated else 1)


def test_a_server_that_drips_a_byte_at_a_time_is_given_up_at_the_limit(notify: Notify) -> None:
    def converse(connection: socket.socket) -> None:
        connection.settimeout(0.02)
        while True:
            connection.sendall(b"2")
            try:
                if not connection.recv(1):
                    return
            except TimeoutError:
                continue

    with ScriptedServer(converse) as server:
        done = notify(mail(server.port), timeout=0.2)
    assert "did not answer the connection within" in done["msg"]


def test_a_certificate_that_nobody_trusts_gets_nothing(notify: Notify, demo_ca: DemoCa) -> None:
    with HttpServer({HOOK: Answer(200)}, tls=demo_ca.issue()) as web:
        with SmtpServer(tls=demo_ca.issue()) as server, SmtpServer(tls=demo_ca.issue(), implicit=True) as implicit:
            channels = [
                hook(web),
                mail(server.port, tls="starttls"),
                mail(implicit.port, tls="implicit"),
            ]
            done = notify(*channels)
        missing = notify(hook(web, ca_file="/nonexistent/ca.pem"))
    assert (done["status"], done["changed"]) == ("fail", False)
    assert [channel["attempts"] for channel in done["channels"]] == [1, 1, 1]
    assert all(
        "certificate of" in channel["problem"] and "refused" in channel["problem"] for channel in done["channels"]
    )
    assert "give the private authority as ca_file" in done["finding"]["remedy"]
    assert (web.requests, server.mails, implicit.mails) == ([], [], [])
    assert "The ca_file /nonexistent/ca.pem cannot be used" in missing["channels"][0]["problem"]


def test_a_file_of_authorities_that_cannot_be_read_to_its_end_keeps_nobody_waiting(
    notify: Notify, demo_ca: DemoCa, tmp_path: Path
) -> None:
    os.mkfifo(tmp_path / "ca.pem")
    with HttpServer({HOOK: Answer(200)}, tls=demo_ca.issue()) as web:
        done = notify(hook(web, ca_file=str(tmp_path / "ca.pem")), timeout=0.5)
    assert "No answer within 0.5 s" in done["channels"][0]["problem"]
    # What the daemon thread waits for, so that it ends.
    os.close(os.open(tmp_path / "ca.pem", os.O_WRONLY))


def test_with_a_private_authority_a_webhook_is_told(notify: Notify, demo_ca: DemoCa, ca_file: str) -> None:
    with HttpServer({HOOK: Answer(200)}, tls=demo_ca.issue()) as web:
        assert notify(hook(web, ca_file=ca_file))["status"] == "pass"


def test_a_server_without_starttls_gets_nothing_in_the_clear(notify: Notify) -> None:
    heard: list[bytes] = []

    def converse(connection: socket.socket) -> None:
        connection.sendall(GREETING)
        while octets := connection.recv(65536):
            heard.append(octets)
            connection.sendall(HELLO)

    with ScriptedServer(converse) as server:
        login = {"username": "golive", "password": PASSWORD}
        done = notify(mail(server.port, tls="starttls", **login))
    assert (done["status"], done["channels"][0]["attempts"]) == ("fail", 1)
    assert "does not offer STARTTLS, so nothing was sent" in done["msg"]
    assert [octets.split()[0] for octets in heard] == [b"ehlo"]


def test_what_somebody_puts_in_before_tls_is_not_believed(notify: Notify, demo_ca: DemoCa, ca_file: str) -> None:
    context = demo_ca.issue().server_context()

    def converse(connection: socket.socket) -> None:
        connection.sendall(GREETING)
        connection.recv(65536)
        connection.sendall(b"250-mail\r\n250 STARTTLS\r\n")
        connection.recv(65536)
        connection.sendall(b"220 go\r\n250-forged\r\n250 AUTH PLAIN\r\n235 in\r\n" + TAKEN * 2 + b"354 go\r\n" + TAKEN)
        with context.wrap_socket(connection, server_side=True) as shaken:
            shaken.recv(65536)
            shaken.sendall(b"550 nothing for you\r\n")
            shaken.recv(65536)

    with ScriptedServer(converse) as server:
        done = notify(mail(server.port, tls="starttls", ca_file=ca_file))
    assert done["status"] == "fail"
    assert "refuses EHLO: 550 nothing for you" in done["msg"]


@pytest.mark.parametrize(
    ("location", "says"),
    [
        (
            "https://login.example.org/geheim-umweg?x=1",
            "points to https://login.example.org:443, which is not followed",
        ),
        ("/elsewhere", "points to http://127.0.0.1:"),
        ("ftp://x/", "points to a place that cannot be read"),
    ],
)
def test_a_redirect_is_not_followed_and_is_named(
    notify: Notify, http_server: HttpServer, location: str, says: str
) -> None:
    http_server.route(HOOK, Answer(302, "", {"Location": location}))
    done = notify(hook(http_server))
    assert (done["status"], len(http_server.requests)) == ("fail", 1)
    assert "answered 302" in done["msg"]
    assert says in done["msg"]
    assert "geheim-umweg" not in json.dumps(done)


def test_a_webhook_that_repeats_what_it_was_sent_shows_no_secret(notify: Notify, http_server: HttpServer) -> None:
    def echo(request: Request) -> Answer:
        return Answer(
            400, f"no such hook {request.path}; {request.headers['X-Key']}; {request.body.decode()} " + "x" * 300
        )

    http_server.route(HOOK, echo)
    done = notify(hook(http_server, secret_headers={"X-Key": KEY}, secret_json={"key": KEY}))
    assert "no such hook ********; ********" in done["msg"]


# ── before anything is sent ──


def test_check_mode_connects_to_nothing_and_says_who_would_be_told(notify: Notify, http_server: HttpServer) -> None:
    with SmtpServer() as server:
        told = notify(
            hook(http_server), mail(server.port, to=["a@example.org", "b@example.org"]), check=True, link=LINK
        )
    assert not told.get("failed"), told
    assert (told["changed"], told["status"], told["finding"]["left_out"]) == (True, "unknown", True)
    assert (http_server.requests, server.connections) == ([], 0)
    assert told["message"] == {"subject": SUBJECT, "text": "", "link": LINK}
    assert told["text"] == (
        f"would notify: chat at 127.0.0.1:{http_server.port} (http); "
        f"team at localhost:{server.port}, for a@example.org, b@example.org"
    )


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"subject": " \n\x00"}, "subject is empty"),
        ({"channels": []}, "channels is empty, so nobody would be told"),
        ({"timeout": 0}, "timeout is 0, expected more than 0 seconds"),
        ({"channels": [{"name": "x"}]}, "one of the following is required: webhook, mail"),
        ({"channels": [{**mail(25), "webhook": {"url": "http://x/"}}]}, "mutually exclusive"),
        ({"channels": [mail(25, username="u")]}, "username and password are given together"),
        ({"channels": [mail(25, to=[])]}, "number 1 (team): to is empty"),
        ({"channels": [mail(65536)]}, "port is 65536"),
        ({"channels": [mail(25, host="mail.example.org:587")]}, "expected a name or an address, without a port"),
        ({"channels": [mail(25, to=["a@b\nRCPT TO:<evil@example.org>"])]}, "is not a mail address"),
        ({"channels": [mail(25, to=["<a@b>\r\nBcc: c@d"])]}, "is not a mail address"),
        ({"channels": [mail(25, **{"from": "E\nvil <a@example.org>"})]}, "is not a mail address"),
        ({"channels": [mail(25, to=["nobody"])]}, "'nobody' is not a mail address"),
        ({"channels": [mail(25, to=["a@" + "ü" * 70 + ".org"])]}, "is not a mail address"),
        ({"channels": [mail(25, host="mail.example.org", username="u", password=PASSWORD)]}, "in the clear"),
        ({"channels": [{"name": "x", "webhook": {"url": f"https://u:{KEY}@x/y"}}]}, "url is no whole http(s) URL"),
        ({"channels": [{"name": "x", "webhook": {"url": f"ftp://x{HOOK}"}}]}, "url is no whole http(s) URL"),
        ({"channels": [{"name": "x", "webhook": {"url": "http://x/", "status": []}}]}, "status is empty"),
        ({"channels": [{"name": "x", "webhook": {"url": "http://x/", "headers": {"A": "b\nc"}}}]}, "line break"),
        (
            {"channels": [{"name": "x", "webhook": {"url": "http://x/", "secret_headers": {"A": f"\n{KEY}"}}}]},
            "header A",
        ),
    ],
)
def test_what_could_not_be_sent_is_refused(notify: Notify, options: dict[str, t.Any], says: str) -> None:
    channels = options.pop("channels", [mail(25)])
    refused = notify(*channels, **options)
    assert refused["failed"]
    assert says in refused["msg"], refused["msg"]


def test_a_password_in_the_clear_stays_on_this_host(notify: Notify) -> None:
    with SmtpServer(users={"u": PASSWORD}) as server:
        for host in ("localhost", "127.0.0.1"):
            assert notify(mail(server.port, host=host, username="u", password=PASSWORD))["status"] == "pass"


# ── as a whole ──


def test_a_release_that_another_took_over_tells_nobody(notify: Notify, http_server: HttpServer) -> None:
    http_server.route(HOOK, Answer(200))
    system = f"notify-{os.urandom(4).hex()}"
    try:
        assert notify(hook(http_server), release=f"{system}/r-2/2/0123456789abcdef")["status"] == "pass"
        stale = notify(hook(http_server), release=f"{system}/r-1/1/0123456789abcdef")
    finally:
        for left in Path(lock_directory()).glob(f"{system}*.lock"):
            left.unlink()
    assert "is stale: release r-2 has taken over" in stale["msg"]
    assert len(http_server.requests) == 1


def test_a_run_that_is_ended_says_who_knows(http_server: HttpServer) -> None:
    http_server.route(HOOK, Answer(200))
    system = f"notify-{os.urandom(4).hex()}"
    with HangingServer() as hanging:
        arguments = {
            "subject": SUBJECT,
            "channels": [hook(http_server), mail(hanging.port)],
            "release": f"{system}/r-1/1/0123456789abcdef",
            "_ansible_remote_tmp": "/tmp",
        }
        child = subprocess.Popen(
            [sys.executable, "-m", "tests.module_process", "notify"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=Path(__file__).resolve().parents[2],
        )
        try:
            assert child.stdin is not None
            child.stdin.write(json.dumps(arguments).encode())
            child.stdin.close()
            child.stdin = None
            await_true(lambda: bool(http_server.requests) and hanging.accepted > 0, seconds=60, what="both attempts")
            child.send_signal(signal.SIGTERM)
            out, _err = child.communicate(timeout=60)
        finally:
            child.kill()
            child.wait()
            for left in Path(lock_directory()).glob(f"{system}*.lock"):
                left.unlink()
    answer = json.loads(out)
    assert answer["failed"]
    assert "SIGTERM" in answer["msg"]
    assert [channel["attempts"] for channel in answer["channels"]] == [1, 1]
    assert not answer["channels"][1]["is_sent"]


def test_what_is_documented_is_what_is_returned_and_the_examples_run(
    run_module_here: t.Any, http_server: HttpServer, demo_ca: DemoCa, ca_file: str
) -> None:
    http_server.route("*", Answer(202))
    replies = {"RCPT backend@example.org": ["550 5.1.1 No such user"]}
    with SmtpServer(tls=demo_ca.issue(), users={"golive": PASSWORD}, replies=replies) as server:
        examples = examples_of(
            "notify",
            {
                "{{ vault_chat_webhook }}": f"{http_server.url}{HOOK}",
                "host: mail.example.org": f"host: localhost\n          port: {server.port}\n          ca_file: {ca_file}",
                "{{ vault_mail_password }}": PASSWORD,
                "https://events.example.org": http_server.url,
                "{{ vault_routing_key }}": KEY,
                'release: "{{ golive_release.token }}"': "enforce: false",
            },
        )
        results = [run_module_here("notify", options, secrets=[PASSWORD, KEY, HOOK]) for options in examples.values()]
    assert [result["status"] for result in results] == ["warn", "pass"]
    assert contradictions("notify", results) == []


def test_in_a_play_nothing_secret_is_shown_and_the_outcome_is(
    tmp_path: Path, http_server: HttpServer, refused_port: int
) -> None:
    http_server.route("*", Answer(404, "gone"))
    secrets = {"hook": f"{http_server.url}{HOOK}", "password": PASSWORD, "key": KEY}
    options = {
        "subject": SUBJECT,
        "text": "with {{ secrets.password }}",
        "interval": 60,
        "channels": [
            {"name": "chat", "webhook": {"url": "{{ secrets.hook }}", "secret_json": {"key": "{{ secrets.key }}"}}},
            mail(refused_port, username="golive", password="{{ secrets.password }}"),
        ],
    }
    task = {"name": "Tell", "opsready.golive.notify": options}
    played = run_playbook(
        [{"hosts": "localhost", "gather_facts": False, "tasks": [task]}],
        extra_vars={"secrets": secrets},
        directory=tmp_path,
        args=["-vvvvv"],
    )
    assert played.rc == 0, played.text[-3000:]
    assert played.of("Tell").result["status"] == "fail"
    assert "NOT notified: chat (" in played.stdout
    assert json.loads(http_server.requests[0].body) == {"text": f"{SUBJECT}\nwith ********", "key": KEY}
    shown = played.stdout + played.stderr + json.dumps([result.result for result in played.results])
    assert_no_leak([HOOK, HOOK.rpartition("/")[2], PASSWORD, KEY], shown, "the play")
