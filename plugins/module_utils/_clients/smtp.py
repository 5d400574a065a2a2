# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One mail handed to a mail server (RFC 6409) over the standard library, with a deadline that holds.

TLS is as it was asked for, with a verified certificate, or nothing is sent: a server that does not offer STARTTLS is not
talked to in the clear. What is not ASCII is sent as quoted-printable or base64, which every server takes; only an address
whose part before the @ is not ASCII needs one that speaks SMTPUTF8.
"""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import datetime
import email.message
import email.policy
import email.utils
import functools
import re
import smtplib
import socket
import typing as t
from email.headerregistry import Address

from ansible_collections.opsready.golive.plugins.module_utils._clients.delivery import NotNow, Unconfirmed
from ansible_collections.opsready.golive.plugins.module_utils._clients.http import Channel, connected, secured, trust
from ansible_collections.opsready.golive.plugins.module_utils._core.clock import Deadline
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import (
    BadInput,
    Denied,
    GoliveError,
    TimedOut,
    UnexpectedAnswer,
    Unreachable,
)
from ansible_collections.opsready.golive.plugins.module_utils._core.scrub import beginning_of

#: How a connection is protected, and the port where it usually is.
PORTS = {"starttls": 587, "implicit": 465, "none": 25}
_REPLY_CHARACTERS = 200
#: So long is a goodbye waited for, in seconds; the message is accepted by then.
_GOODBYE_SECONDS = 1.0
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_NAMED = re.compile(r"(?P<name>[^<>]*?)\s*<(?P<address>[^<>]*)>")
_ADDRESS = re.compile(r"(?P<local>[^\s<>()\[\]\\,;:\"@]+)@(?P<domain>[^\s<>()\[\]\\,;:\"@]+)")


@dataclasses.dataclass(frozen=True)
class Server:
    """Where a mail is handed over. ``tls`` is one of PORTS; without a ``username`` nobody logs in."""

    host: str
    port: int
    tls: str
    username: str | None = None
    password: str | None = dataclasses.field(default=None, repr=False)
    ca_file: str | None = None

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclasses.dataclass(frozen=True)
class Reply:
    """What a mail server said: its code, and the beginning of its text."""

    code: int
    text: str

    def __str__(self) -> str:
        return f"{self.code} {self.text}".strip()

    @property
    def is_good(self) -> bool:
        return 200 <= self.code < 300

    @property
    def is_temporary(self) -> bool:
        return 400 <= self.code < 500


@dataclasses.dataclass(frozen=True)
class Submission:
    """Who of the recipients was accepted, who was refused and how. Without anybody accepted nothing was sent."""

    accepted: tuple[str, ...]
    refused: dict[str, Reply]
    reply: str


def address(text: str) -> Address:
    """``local@domain``, or ``Name <local@domain>``; the domain in ASCII (IDNA). Raises BadInput."""
    named = _NAMED.fullmatch(text.strip())
    found = _ADDRESS.fullmatch(named["address"] if named else text.strip())
    if found is None or _CONTROL.search(text):
        raise BadInput(f"{text!r} is not a mail address.")
    try:
        text.encode("utf-8")
        domain = found["domain"].encode("idna").decode("ascii")
        return Address(named["name"].strip('" ') if named else "", found["local"], domain)
    except (ValueError, UnicodeError):
        raise BadInput(f"{text!r} is not a mail address.")


def composed(
    sender: Address, recipients: t.Sequence[Address], *, subject: str, text: str, moment: datetime.datetime
) -> email.message.EmailMessage:
    """A mail with a Message-ID of its own. ``subject`` is one line."""
    is_utf8 = not all(each.username.isascii() for each in (sender, *recipients))
    message = email.message.EmailMessage(policy=email.policy.SMTP.clone(cte_type="7bit", utf8=is_utf8))
    message["From"] = sender
    message["To"] = tuple(recipients)
    message["Subject"] = subject
    message["Date"] = moment
    message["Message-ID"] = email.utils.make_msgid(idstring="golive", domain=sender.domain)
    message["Auto-Submitted"] = "auto-generated"  # RFC 3834: no answer from who is on holiday
    message.set_content(text)
    return message


def submit(
    server: Server,
    message: email.message.EmailMessage,
    *,
    sender: str,
    recipients: t.Sequence[str],
    deadline: Deadline,
) -> Submission:
    """Hand the mail over once, to those recipients.

    Raises Unreachable, TimedOut and NotNow where nothing was accepted and may be later; BadInput, NotTrusted, Denied and
    UnexpectedAnswer where it would not be; Unconfirmed where the whole mail was sent and not answered.
    """
    with contextlib.closing(_Session(server, deadline)) as session:
        session.connect()
        session.log_in()
        return session.hand_over(message, sender, recipients)


class _Session:
    """One connection to a mail server. smtplib knows the protocol; the deadline is the channel's."""

    def __init__(self, server: Server, deadline: Deadline) -> None:
        self._server = server
        self._deadline = deadline
        self._where = f"The mail server at {server}"
        # With a name of its own it asks no resolver for this host's.
        self._smtp = smtplib.SMTP(local_hostname="localhost")

    def close(self) -> None:
        self._smtp.close()

    def connect(self) -> None:
        server = self._server
        plug = connected(server.host, server.port, deadline=self._deadline)
        self._talk_over(self._protected(plug) if server.tls == "implicit" else plug)
        self._expect(self._reply(self._smtp.getreply, "the connection"), "the connection")
        self._greet()
        if server.tls == "starttls":
            if not self._smtp.has_extn("starttls"):
                raise UnexpectedAnswer(
                    f"{self._where} does not offer STARTTLS, so nothing was sent.",
                    remedy="Take its port with TLS from the start, tls: implicit.",
                )
            self._expect(self._command("STARTTLS"), "STARTTLS")
            self._talk_over(self._protected(t.cast(Channel, self._smtp.sock).plug))
            self._greet()

    def _protected(self, plug: socket.socket) -> socket.socket:
        server = self._server
        return secured(plug, trust(server.ca_file), server.host, deadline=self._deadline, where=str(server))

    def _talk_over(self, plug: socket.socket) -> None:
        """What was said before is forgotten: it may have been put in by somebody in between."""
        self._smtp.sock = Channel(plug, self._deadline, self._where)  # type: ignore[assignment]  # smtplib asks no more of a socket than a Channel has
        self._smtp.file = None
        name, own = socket.gethostname(), str(plug.getsockname()[0])
        literal = f"[IPv6:{own}]" if ":" in own else f"[{own}]"
        self._smtp.local_hostname = name if "." in name else literal

    def _greet(self) -> None:
        self._expect(self._reply(self._smtp.ehlo, "EHLO"), "EHLO")

    def log_in(self) -> None:
        """AUTH PLAIN, else LOGIN, once: a wrong password that is tried in each way locks accounts."""
        if not self._server.username:
            return
        offered = self._smtp.esmtp_features.get("auth", "").upper().split()
        user, password = self._server.username, self._server.password or ""
        if "PLAIN" in offered:
            reply = self._command("AUTH", "PLAIN " + _base64(f"\0{user}\0{password}"), doing="AUTH")
        elif "LOGIN" in offered:
            reply = self._command("AUTH", "LOGIN")
            for word in (user, password):
                if reply.code == 334:
                    reply = self._command(_base64(word), doing="AUTH")
        else:
            raise UnexpectedAnswer(f"{self._where} offers no login by AUTH PLAIN or LOGIN.")
        if reply.is_good:
            return
        if reply.is_temporary:
            raise NotNow(f"{self._where} refuses the login for now: {reply}.")
        raise Denied(f"{self._where} refuses the user name or password: {reply}.")

    def hand_over(self, message: email.message.EmailMessage, sender: str, recipients: t.Sequence[str]) -> Submission:
        beyond_ascii = [each for each in (sender, *recipients) if not each.isascii()]
        if beyond_ascii and not self._smtp.has_extn("smtputf8"):
            raise UnexpectedAnswer(f"{self._where} does not speak SMTPUTF8, which the address {beyond_ascii[0]} needs.")
        options = ["SMTPUTF8", "BODY=8BITMIME"] if beyond_ascii else []
        self._expect(self._reply(lambda: self._smtp.mail(sender, options), "the sender"), f"the sender {sender}")
        accepted, refused = self._recipients(recipients)
        if not accepted:
            return Submission((), refused, "")
        reply = self._command("DATA")
        if reply.code != 354:
            self._refuse(reply, "the mail")
        self._send(re.sub(rb"(?m)^\.", b"..", message.as_bytes()))
        # A server accepts nothing before this line, and may have accepted all after it.
        try:
            reply = self._reply(lambda: self._smtp.docmd("."), "the mail")
        except GoliveError as problem:
            raise Unconfirmed(f"{problem.message.rstrip('.')}; it may have accepted the mail.")
        self._expect(reply, "the mail")
        self._say_goodbye()
        return Submission(tuple(accepted), refused, str(reply))

    def _recipients(self, recipients: t.Sequence[str]) -> tuple[list[str], dict[str, Reply]]:
        accepted: list[str] = []
        refused: dict[str, Reply] = {}
        for recipient in recipients:
            reply = self._reply(functools.partial(self._smtp.rcpt, recipient), f"the recipient {recipient}")
            if reply.code == 421:  # it closes the connection
                self._refuse(reply, f"the recipient {recipient}")
            if reply.is_good:
                accepted.append(recipient)
            else:
                refused[recipient] = reply
        return accepted, refused

    def _say_goodbye(self) -> None:
        t.cast(Channel, self._smtp.sock).deadline = Deadline(_GOODBYE_SECONDS, clock=self._deadline.clock)
        with contextlib.suppress(GoliveError):
            self._command("QUIT")

    def _send(self, octets: bytes) -> None:
        def sent() -> tuple[int, bytes]:
            self._smtp.send(octets)
            return 250, b""

        self._reply(sent, "the mail")

    def _command(self, name: str, arguments: str = "", *, doing: str = "") -> Reply:
        return self._reply(lambda: self._smtp.docmd(name, arguments), doing or name)

    def _reply(self, ask: t.Callable[[], tuple[int, bytes]], doing: str) -> Reply:
        """Raises TimedOut, Unreachable for a connection that broke off, UnexpectedAnswer for what is not SMTP."""
        try:
            code, text = ask()
        except TimedOut:
            raise self._too_late(doing)
        except smtplib.SMTPServerDisconnected as problem:
            if isinstance(problem.__context__, socket.timeout):
                raise self._too_late(doing)
            raise Unreachable(f"{self._where} ended the connection at {doing}.")
        except smtplib.SMTPException:  # a line without an end
            code, text = -1, b""
        if code < 200:
            raise UnexpectedAnswer(f"{self._where} did not answer {doing} in SMTP.")
        return Reply(code, beginning_of(" ".join(text.decode("utf-8", "replace").split()), _REPLY_CHARACTERS))

    def _too_late(self, doing: str) -> TimedOut:
        return TimedOut(f"{self._where} did not answer {doing} within {self._deadline.seconds:.3g} s.")

    def _expect(self, reply: Reply, what: str) -> None:
        if not reply.is_good:
            self._refuse(reply, what)

    def _refuse(self, reply: Reply, what: str) -> t.NoReturn:
        if reply.is_temporary:
            raise NotNow(f"{self._where} refuses {what} for now: {reply}.")
        raise UnexpectedAnswer(f"{self._where} refuses {what}: {reply}.")


def _base64(text: str) -> str:
    return base64.b64encode(text.encode("utf-8")).decode("ascii")
