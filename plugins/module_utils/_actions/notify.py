# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Does the team know how it ended? One message over several channels, side by side: webhooks and mail.

A message is sent again only where nobody can have got it: never once a server took it, nor where it may have. What could not be
told is a finding. Secrets that the module was given are masked in what it sends, and a webhook's URL is one of them.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import email.utils
import functools
import ipaddress
import json
import re
import typing as t
from urllib.parse import parse_qsl, unquote, urljoin, urlsplit

from ansible_collections.opsready.golive.plugins.module_utils._clients import http, smtp
from ansible_collections.opsready.golive.plugins.module_utils._clients.delivery import NotNow, Unconfirmed
from ansible_collections.opsready.golive.plugins.module_utils._core.argspec import RELEASE, Spec, compose
from ansible_collections.opsready.golive.plugins.module_utils._core.clock import CLOCK, Clock, Deadline, utc_text
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import (
    ActionFailed,
    BadInput,
    Ended,
    GoliveError,
    TimedOut,
    UnexpectedAnswer,
    Unreachable,
)
from ansible_collections.opsready.golive.plugins.module_utils._core.fencing import held
from ansible_collections.opsready.golive.plugins.module_utils._core.finding import (
    Criterion,
    Judgement,
    apart,
    holds,
    plain,
    unknown,
)
from ansible_collections.opsready.golive.plugins.module_utils._core.guard import Context, where_it_broke
from ansible_collections.opsready.golive.plugins.module_utils._core.scrub import Scrubber, beginning_of
from ansible_collections.opsready.golive.plugins.module_utils._core.side_by_side import side_by_side

_WEBHOOK: Spec = {
    "url": {"type": "str", "required": True, "no_log": True},
    "method": {"type": "str", "choices": ["POST", "PUT"], "default": "POST"},
    "headers": {"type": "dict", "default": {}},
    "secret_headers": {"type": "dict", "default": {}, "no_log": True},
    "json": {"type": "dict"},
    "secret_json": {"type": "dict", "default": {}, "no_log": True},
    "status": {"type": "list", "elements": "int", "default": [200, 201, 202, 204]},
    "ca_file": {"type": "path"},
}
_MAIL: Spec = {
    "host": {"type": "str", "required": True},
    "port": {"type": "int"},
    "tls": {"type": "str", "choices": list(smtp.PORTS), "default": "starttls"},
    "username": {"type": "str"},
    "password": {"type": "str", "no_log": True},
    "from": {"type": "str", "required": True},
    "to": {"type": "list", "elements": "str", "required": True},
    "ca_file": {"type": "path"},
}
ARGUMENT_SPEC: Spec = compose(
    RELEASE,
    {
        "subject": {"type": "str", "required": True},
        "text": {"type": "str", "default": ""},
        "link": {"type": "str"},
        "channels": {
            "type": "list",
            "elements": "dict",
            "required": True,
            "options": {
                "name": {"type": "str", "required": True},
                "webhook": {"type": "dict", "options": _WEBHOOK},
                "mail": {"type": "dict", "options": _MAIL},
            },
            "required_one_of": [("webhook", "mail")],
            "mutually_exclusive": [("webhook", "mail")],
        },
        "timeout": {"type": "float", "default": 30.0},
        "request_timeout": {"type": "float", "default": 10.0},
        "interval": {"type": "float", "default": 1.0},
        "enforce": {"type": "bool", "default": False},
    },
)

#: A further attempt has at least so long, or it is not made.
_LEAST_SECONDS = 1.0
_ANSWER_BYTES = 64 * 1024
_ANSWER_CHARACTERS = 200
#: What a gateway says that waited in vain: whom it asked may have taken the message.
_UNCONFIRMED = frozenset({504, 524})
#: A server's error that the same request meets again.
_FOR_GOOD = frozenset({501, 505})
#: A part of a URL is taken for a token with a digit in it, or when it is longer than a word.
_TOKEN = re.compile(r"(?=.*[0-9]).{8,}|.{20,}")


@dataclasses.dataclass(frozen=True)
class Message:
    """What is told, without secrets."""

    subject: str
    text: str
    link: str

    @staticmethod
    def of(params: t.Mapping[str, t.Any], scrub: Scrubber) -> Message:
        return Message(
            one_line(scrub.text(params["subject"])), scrub.text(params["text"]), scrub.text(params["link"] or "")
        )

    def lines(self, *, with_subject: bool) -> str:
        parts = [self.subject if with_subject else "", self.text.strip(), self.link]
        return "\n".join(part for part in parts if part)


@dataclasses.dataclass
class Outcome:
    """One channel, as it is told."""

    name: str
    kind: str
    to: str
    recipients: list[str] = dataclasses.field(default_factory=list)
    attempts: int = 0
    #: Somebody has the message; with a ``problem`` besides, not everybody.
    is_sent: bool = False
    is_unconfirmed: bool = False
    sent_at: str = ""
    http_status: int | None = None
    message_id: str = ""
    answer: str = ""
    accepted: list[str] = dataclasses.field(default_factory=list)
    refused: dict[str, str] = dataclasses.field(default_factory=dict)
    seconds: float = 0.0
    problem: str = ""
    remedy: str = ""

    def told(self) -> dict[str, t.Any]:
        """As JSON; what belongs to another kind of channel is left out."""
        everything = {**dataclasses.asdict(self), "seconds": round(self.seconds, 3)}
        of_mail = ("recipients", "message_id", "answer", "accepted", "refused")
        foreign = ("http_status",) if self.kind == "mail" else of_mail
        return {key: value for key, value in everything.items() if key not in {*foreign, "remedy"}}

    def criterion(self, *, somebody_knows: bool) -> Criterion:
        """What it means: a failure where nobody could be told, a warning where somebody was."""
        level = "warn" if somebody_knows else "fail"
        problem = self.problem.rstrip(".")
        if self.is_unconfirmed and not somebody_knows:
            return unknown(self.name, f"{self.name} may not have been told: {problem}", remedy=self.remedy)
        doubt = "may not have been told" if self.is_unconfirmed else "was not told"
        doubt = "was not told as a whole" if self.is_sent else doubt
        return holds(
            self.name,
            not problem,
            measured=f"told at {self.sent_at}, {self.answer}" if not problem else doubt,
            expected="told",
            sentence=f"{self.name} {doubt}: {problem}",
            remedy=self.remedy,
            level=level,
        )


class Webhook:
    """A channel that is told by one HTTP request with JSON."""

    def __init__(self, name: str, options: t.Mapping[str, t.Any], message: Message, context: Context) -> None:
        self._options = options
        origin, target = http.origin_of(options["url"])
        self.outcome = Outcome(name, "webhook", f"{origin.host}:{origin.port} ({origin.scheme})")
        # The whole of it only in what the server or the client says: as an ordinary word it may stand in the message.
        self._hide = Scrubber({target, target.partition("?")[0], unquote(target)} - {"/"})
        body = options["json"] if options["json"] is not None else {"text": message.lines(with_subject=True)}
        self._body = json.dumps({**context.scrub.value(body), **options["secret_json"]}).encode("utf-8")

    def attempt(self, deadline: Deadline) -> None:
        """Send it once. Raises NotNow, Unreachable, Unconfirmed, and whatever else was wrong."""
        headers = dict(self._options["headers"])
        if not any(name.lower() == "content-type" for name in headers):
            headers["Content-Type"] = "application/json"
        with http.HttpClient(ca_file=self._options["ca_file"], keep=False) as client:
            try:
                response = client.request(
                    self._options["method"],
                    self._options["url"],
                    deadline=deadline,
                    headers=headers,
                    secret_headers=self._options["secret_headers"],
                    body=self._body,
                    max_body=_ANSWER_BYTES,
                )
            except GoliveError as problem:
                if not client.has_asked:
                    raise
                said = self._hide.text(problem.message).rstrip(".")
                raise Unconfirmed(f"{said}; it may have taken the message.")
        self._judge(response, deadline.clock)

    def _judge(self, response: http.Response, clock: Clock) -> None:
        outcome, status = self.outcome, response.status
        outcome.http_status, outcome.answer = status, f"HTTP {status}"
        if status in self._options["status"]:
            outcome.is_sent, outcome.sent_at = True, utc_text(clock.now())
            return
        said = f"{outcome.to} answered {status}, expected {plain(self._options['status'])}{self._excerpt(response)}."
        if 300 <= status < 400:
            raise UnexpectedAnswer(
                f"{outcome.to} answered {status} and points to {_elsewhere(response)}, which is not followed.",
                remedy="Give the URL that takes the message.",
            )
        if status in _UNCONFIRMED:
            raise Unconfirmed(f"{said.rstrip('.')}; who is behind it may have taken the message.")
        if status == 429 or (status >= 500 and status not in _FOR_GOOD):
            raise NotNow(said, known={"retry_after": retry_after(response.header("retry-after"), clock)})
        raise UnexpectedAnswer(said)

    def _excerpt(self, response: http.Response) -> str:
        text = ""
        with contextlib.suppress(UnexpectedAnswer):
            text = beginning_of(" ".join(self._hide.text(response.text()).split()), _ANSWER_CHARACTERS)
        return f": {text}" if text else ""


class Mail:
    """A channel that is told by one mail; who was refused for now is tried again, who has it is not."""

    def __init__(self, name: str, options: t.Mapping[str, t.Any], message: Message, context: Context) -> None:
        self._server = smtp.Server(
            host=_host(options["host"]),
            port=options["port"] or smtp.PORTS[options["tls"]],
            tls=options["tls"],
            username=options["username"],
            password=options["password"],
            ca_file=options["ca_file"],
        )
        sender, recipients = smtp.address(options["from"]), [smtp.address(each) for each in options["to"]]
        self._sender = sender.addr_spec
        self._waiting = list(dict.fromkeys(each.addr_spec for each in recipients))
        self._message = smtp.composed(
            sender, recipients, subject=message.subject, text=message.lines(with_subject=False), moment=CLOCK.now()
        )
        self.outcome = Outcome(
            name,
            "mail",
            str(self._server),
            recipients=list(self._waiting),
            message_id=str(self._message["Message-ID"]),
        )

    def attempt(self, deadline: Deadline) -> None:
        """Hand it over once, for whom it was not accepted yet. Raises as Webhook.attempt."""
        outcome = self.outcome
        handed = smtp.submit(
            self._server, self._message, sender=self._sender, recipients=self._waiting, deadline=deadline
        )
        if handed.accepted:
            outcome.is_sent, outcome.answer = True, handed.reply
            outcome.sent_at = outcome.sent_at or utc_text(deadline.clock.now())
        outcome.accepted += handed.accepted
        outcome.refused = {
            **{name: said for name, said in outcome.refused.items() if name not in handed.accepted},
            **{name: str(reply) for name, reply in handed.refused.items()},
        }
        self._waiting = [name for name, reply in handed.refused.items() if reply.is_temporary]
        if outcome.refused:
            said = f"{outcome.to} refused " + "; ".join(f"{name}: {reply}" for name, reply in outcome.refused.items())
            raise NotNow(said) if self._waiting else UnexpectedAnswer(said)


Channel = t.Union[Webhook, Mail]


# ---- reading the options


def one_line(text: str) -> str:
    """Without line breaks and control characters: in a subject they would begin another header."""
    return " ".join(re.sub(r"[\x00-\x20\x7f-\x9f]+", " ", text).split())


def refuse_unreadable(params: t.Mapping[str, t.Any]) -> None:
    """Raises BadInput, before anything is sent, for what could not be sent. No URL is quoted."""
    if not one_line(params["subject"]):
        raise BadInput("subject is empty.")
    if not params["channels"]:
        raise BadInput("channels is empty, so nobody would be told.")
    for name in ("timeout", "request_timeout", "interval"):
        if params[name] <= 0:
            raise BadInput(f"{name} is {params[name]:g}, expected more than 0 seconds.")
    for number, channel in enumerate(params["channels"], 1):
        label = f"channels: number {number} ({channel['name']})"
        try:
            if channel["webhook"]:
                _refuse_webhook(channel["webhook"])
            else:
                _refuse_mail(channel["mail"])
        except BadInput as problem:
            raise BadInput(f"{label}: {problem.message}", remedy=problem.remedy)


def _refuse_webhook(options: t.Mapping[str, t.Any]) -> None:
    try:
        http.origin_of(options["url"])
    except BadInput:  # its words quote the URL
        raise BadInput("url is no whole http(s) URL without user name and password.")
    http.checked_headers(options["headers"])
    http.checked_headers(options["secret_headers"])
    if not options["status"]:
        raise BadInput("status is empty, so no answer would be good.")


def _refuse_mail(options: t.Mapping[str, t.Any]) -> None:
    _host(options["host"])
    if not options["to"]:
        raise BadInput("to is empty, so nobody would be told.")
    if options["port"] is not None and not 0 < options["port"] < 65536:
        raise BadInput(f"port is {options['port']}, expected 1 to 65535.")
    for each in (options["from"], *options["to"]):
        smtp.address(each)
    if bool(options["username"]) != bool(options["password"]):
        raise BadInput("username and password are given together, or neither is.")
    if options["tls"] == "none" and options["password"] and not _is_this_host(options["host"]):
        raise BadInput(
            f"With tls: none the password would go to {options['host']} in the clear.",
            remedy="Take starttls or implicit; none with a password is for a server on this host.",
        )


def _host(text: str) -> str:
    """A mail server's name, in ASCII, or its address. Raises BadInput."""
    try:
        if ":" in text:
            return str(ipaddress.IPv6Address(text))
        return http.host_and_port(text, default_port=25)[0]
    except (BadInput, ValueError):
        raise BadInput(f"host is {text!r}, expected a name or an address, without a port.")


def _is_this_host(host: str) -> bool:
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return host == "localhost"


def tokens_in(url: str) -> set[str]:
    """What in a webhook's URL looks like a token: its words may stand in a message, and these may not."""
    parts = urlsplit(url)
    found = [*parts.path.split("/"), *(value for unused, value in parse_qsl(parts.query)), parts.fragment]
    return {form for each in found if _TOKEN.fullmatch(each) for form in (each, unquote(each))}


def retry_after(header: str | None, clock: Clock) -> float:
    """The seconds that a server wants to be left alone, 0.0 where it says none or says it unreadably."""
    text = (header or "").strip()
    if re.fullmatch(r"[0-9]{1,9}", text):
        return float(text)
    with contextlib.suppress(ValueError, TypeError, IndexError):  # what parsing a date raises depends on the Python
        moment = email.utils.parsedate_to_datetime(text)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=datetime.timezone.utc)
        return max(0.0, (moment - clock.now()).total_seconds())
    return 0.0


def _elsewhere(response: http.Response) -> str:
    """The origin that a redirect names: the rest of it may be as secret as the URL is."""
    try:
        return str(http.origin_of(urljoin(response.url, response.header("location") or ""))[0])
    except (BadInput, ValueError):
        return "a place that cannot be read"


# ---- telling


def tell(channel: Channel, *, deadline: Deadline, request_timeout: float, interval: float) -> None:
    """Try until it is told, cannot be, or time is up. ``channel.outcome`` says how it went; nothing is raised for that."""
    outcome, clock = channel.outcome, deadline.clock
    began, pause = clock.monotonic(), interval
    while True:
        outcome.attempts += 1
        outcome.problem = outcome.remedy = ""
        wish = 0.0
        try:
            channel.attempt(Deadline(min(request_timeout, deadline.remaining()), clock=clock))
            break
        except GoliveError as problem:
            outcome.problem, outcome.remedy = problem.message, problem.remedy
            outcome.is_unconfirmed = isinstance(problem, Unconfirmed)
            wish = problem.known.get("retry_after", 0.0)
            if not isinstance(problem, (Unreachable, NotNow)):
                break
        except Exception as problem:
            outcome.problem = (
                f"{type(problem).__name__} at {where_it_broke(problem)}; this is a defect, please report it."
            )
            outcome.is_unconfirmed = True
            break
        # An attempt that is cut short may leave a server with the message and us without its word.
        if max(pause, wish) + min(request_timeout, _LEAST_SECONDS) > deadline.remaining():
            if wish > pause:
                outcome.problem = f"{outcome.problem.rstrip('.')}; it wants {wish:g} s until the next attempt."
            break
        clock.sleep(max(pause, wish))
        pause *= 2
    outcome.seconds = clock.monotonic() - began


class Round:
    """All channels of one message, and how each went."""

    def __init__(self, context: Context) -> None:
        self.params = context.params
        refuse_unreadable(self.params)
        for entry in self.params["channels"]:
            if entry["webhook"]:
                context.scrub.learn(tokens_in(entry["webhook"]["url"]))
        self.message = Message.of(self.params, context.scrub)
        self.channels: list[Channel] = [
            Webhook(entry["name"], entry["webhook"], self.message, context)
            if entry["webhook"]
            else Mail(entry["name"], entry["mail"], self.message, context)
            for entry in self.params["channels"]
        ]
        self._left_alone: dict[int, Outcome] = {}

    @property
    def outcomes(self) -> list[Outcome]:
        return [self._left_alone.get(index, channel.outcome) for index, channel in enumerate(self.channels)]

    def go(self) -> None:
        """Side by side, so that one that hangs keeps nobody else from knowing."""
        deadline = Deadline(self.params["timeout"])
        patience = {name: self.params[name] for name in ("request_timeout", "interval")}
        jobs = [functools.partial(tell, channel, deadline=deadline, **patience) for channel in self.channels]
        # The clients watch the deadline in all that they do but reading a file, which a file system may keep for ever.
        watched = not any((entry["webhook"] or entry["mail"])["ca_file"] for entry in self.params["channels"])
        answers = side_by_side(jobs, deadline=deadline, width=len(jobs), watched=watched)
        for index, answer in enumerate(answers):
            if isinstance(answer, TimedOut):  # its thread is stuck, and may still come to something
                late = dataclasses.replace(self.channels[index].outcome)
                late.problem, late.is_unconfirmed, late.seconds = answer.message, True, deadline.seconds
                self._left_alone[index] = late

    def judged(self) -> Judgement:
        somebody_knows = any(outcome.is_sent for outcome in self.outcomes)
        return Judgement.of(apart(outcome.criterion(somebody_knows=somebody_knows) for outcome in self.outcomes))

    def left_out(self) -> Judgement:
        """Check mode."""
        return Judgement.of(
            apart(
                unknown(each.name, f"{_planned(each)} would be told; check mode sends nothing", left_out=True)
                for each in self.outcomes
            )
        )

    def told(self) -> dict[str, t.Any]:
        return {
            "channels": [outcome.told() for outcome in self.outcomes],
            "message": dataclasses.asdict(self.message),
            "changed": any(outcome.is_sent or outcome.is_unconfirmed for outcome in self.outcomes),
        }


def _planned(outcome: Outcome) -> str:
    whom = f", for {', '.join(outcome.recipients)}" if outcome.recipients else ""
    return f"{outcome.name} at {outcome.to}{whom}"


def body(context: Context) -> dict[str, t.Any]:
    """The module's work."""
    telling = Round(context)
    started, began = utc_text(CLOCK.now()), CLOCK.monotonic()
    if context.check_mode:
        result = _result(telling, telling.left_out(), started, 0.0)
        return {**result, "changed": True, "text": _printed("would notify", map(_planned, telling.outcomes))}
    with held(context.params["release"], doing="notify"):
        try:
            telling.go()
        except Ended as problem:  # who knows by now is known
            problem.known.update(telling.told())
            raise
    judgement = telling.judged()
    result = _result(telling, judgement, started, CLOCK.monotonic() - began)
    if context.params["enforce"] and judgement.status in ("fail", "unknown"):
        raise ActionFailed(judgement.summary, remedy=judgement.remedy, known=result)
    good = [outcome.name for outcome in telling.outcomes if not outcome.problem]
    bad = [f"{outcome.name} ({outcome.problem.rstrip('.')})" for outcome in telling.outcomes if outcome.problem]
    return {**result, "text": "\n".join(filter(None, (_printed("notified", good), _printed("NOT notified", bad))))}


def _printed(word: str, names: t.Iterable[str]) -> str:
    listed = "; ".join(names)
    return f"{word}: {listed}" if listed else ""


def _result(telling: Round, judgement: Judgement, started: str, seconds: float) -> dict[str, t.Any]:
    told = telling.told()
    finding = {
        **dataclasses.asdict(judgement),
        "check": "notify",
        "started": started,
        "seconds": round(seconds, 3),
        "evidence": {"channels": told["channels"], "link": telling.message.link},
    }
    return {**told, "status": judgement.status, "finding": finding, "msg": judgement.summary}
