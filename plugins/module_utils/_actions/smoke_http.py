# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Does the system do its work? Walk through it as a user does: log in, upload, wait for the job, read the result, tidy up.

A step that was answered otherwise than expected has failed; one that was not answered is unknown. Whatever a step made is removed
again, and what could not be removed is named.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import re
import secrets
import typing as t
from urllib.parse import urlencode

from ansible_collections.opsready.golive.plugins.module_utils._actions import http_expectation, placeholders
from ansible_collections.opsready.golive.plugins.module_utils._actions.http_expectation import EXPECTATION
from ansible_collections.opsready.golive.plugins.module_utils._actions.minimal_pdf import pdf_with
from ansible_collections.opsready.golive.plugins.module_utils._clients import http, jsonpath
from ansible_collections.opsready.golive.plugins.module_utils._core.argspec import RELEASE, Spec, compose, strings_in
from ansible_collections.opsready.golive.plugins.module_utils._core.clock import CLOCK, Deadline, utc_text
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import (
    ActionFailed,
    BadInput,
    Ended,
    GoliveError,
    UnexpectedAnswer,
)
from ansible_collections.opsready.golive.plugins.module_utils._core.fencing import held
from ansible_collections.opsready.golive.plugins.module_utils._core.finding import (
    Criterion,
    Judgement,
    apart,
    holds,
    one_of,
    unknown,
    worst,
)
from ansible_collections.opsready.golive.plugins.module_utils._core.guard import Context
from ansible_collections.opsready.golive.plugins.module_utils._core.scrub import beginning_of
from ansible_collections.opsready.golive.plugins.module_utils._core.sensitive_text import GROUPS, Sensitive

_STEP: Spec = {
    "name": {"type": "str", "required": True},
    "request": {
        "type": "dict",
        "required": True,
        "options": {
            "method": {"type": "str"},
            "url": {"type": "str", "required": True},
            "headers": {"type": "dict", "default": {}},
            "secret_headers": {"type": "dict", "default": {}, "no_log": True},
            "bearer": {"type": "str", "no_log": True},
            "json": {"type": "raw"},
            "form": {"type": "dict"},
            "body": {"type": "str"},
            "multipart": {
                "type": "list",
                "elements": "dict",
                "options": {
                    "field": {"type": "str", "required": True},
                    "filename": {"type": "str"},
                    "content_type": {"type": "str"},
                    "content": {"type": "str"},
                    "src": {"type": "path"},
                    "pdf_text": {"type": "str"},
                },
                "required_one_of": [("content", "src", "pdf_text")],
                "mutually_exclusive": [("content", "src", "pdf_text")],
            },
        },
        "mutually_exclusive": [("json", "form", "body", "multipart")],
    },
    "expect": {
        "type": "dict",
        "default": {},
        "options": {**EXPECTATION, "body_sha256": {"type": "str"}},
        "apply_defaults": True,
    },
    "capture": {"type": "dict", "default": {}},
    "poll": {
        "type": "dict",
        "options": {
            "until": {**EXPECTATION["json"], "required": True},
            "give_up": EXPECTATION["json"],
            "timeout": {"type": "float", "default": 60.0},
            "interval": {"type": "float", "default": 0.5},
        },
    },
    "secret": {"type": "bool", "default": False},
}

ARGUMENT_SPEC: Spec = compose(
    RELEASE,
    {
        "steps": {"type": "list", "elements": "dict", "required": True, "options": _STEP},
        "cleanup": {"type": "list", "elements": "dict", "default": [], "options": _STEP},
        "base_url": {"type": "str"},
        "ca_file": {"type": "path"},
        "connect_to": {"type": "str"},
        "headers": {"type": "dict", "default": {}},
        "secret_headers": {"type": "dict", "default": {}, "no_log": True},
        "variables": {"type": "dict", "default": {}},
        "secrets": {"type": "dict", "default": {}, "no_log": True},
        "runs": {"type": "int", "default": 1},
        "timeout": {"type": "float", "default": 120.0},
        "request_timeout": {"type": "float", "default": 30.0},
        "cleanup_timeout": {"type": "float", "default": 60.0},
        "enforce": {"type": "bool", "default": True},
    },
)

_GOOD_STATUSES = [200, 201, 202, 204]
_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_MOST_FILE_BYTES = 64 * 1024 * 1024
_EXCERPT_CHARACTERS = 200
#: Of so many an excerpt is cut: a secret at the end of these is far behind what is shown.
_MASKED_CHARACTERS = 64 * 1024
_SECRET_KEY = re.compile(r"token|secret|passw|credential|api_?key|authorization|cookie|session|jwt", re.IGNORECASE)
#: Longer strings in the answer of a secret step are taken for secrets, captured or not.
_SECRET_CHARACTERS = 16
#: Names that always have a value: distinct in each run, so that two runs do not meet.
_OWN_NAMES = ("run", "run_id")


@dataclasses.dataclass
class Body:
    """What is sent: bytes, their content type, and the digest of the file in it."""

    raw: bytes | None = None
    content_type: str | None = None
    sha256: str = ""


@dataclasses.dataclass
class Outcome:
    """One step, as it is told."""

    name: str
    run: int
    method: str
    url: str
    criteria: list[Criterion] = dataclasses.field(default_factory=list)
    seconds: float = 0.0
    http_status: int | None = None
    attempts: int = 0
    excerpt: str = ""
    response: http.Response | None = None

    @property
    def status(self) -> str:
        return worst(criterion.status for criterion in self.criteria)

    def told(self) -> dict[str, t.Any]:
        judgement = Judgement.of(apart(self.criteria))
        return {
            "name": self.name,
            "run": self.run,
            "request": f"{self.method} {self.url}",
            "status": self.status,
            "summary": judgement.summary,
            "http_status": self.http_status,
            "seconds": round(self.seconds, 3),
            "attempts": self.attempts,
            "excerpt": self.excerpt,
        }


# ---- reading the options


def method_of(request: t.Mapping[str, t.Any]) -> str:
    """The method named, else GET, or POST for a request with a body."""
    if request["method"]:
        return str(request["method"]).upper()
    has_body = any(request[name] is not None for name in ("json", "form", "body", "multipart"))
    return "POST" if has_body else "GET"


def captured_names(steps: t.Iterable[t.Mapping[str, t.Any]]) -> set[str]:
    return {name for step in steps for name in step["capture"]}


def secret_names(params: t.Mapping[str, t.Any]) -> set[str]:
    """Captured values that must not be shown: of secret steps, and whatever is sent as a credential."""
    found = {name for name in captured_names(params["steps"]) if _SECRET_KEY.search(name)}
    for step in [*params["steps"], *params["cleanup"]]:
        if step["secret"]:
            found |= set(step["capture"])
        found |= set(placeholders.names_in([step["request"]["bearer"] or "", step["request"]["secret_headers"]]))
    return found


def _needs(step: t.Mapping[str, t.Any]) -> set[str]:
    return set(placeholders.names_in([step["request"], step["expect"], step["poll"]]))


def refuse_unreadable(params: t.Mapping[str, t.Any]) -> None:
    """Raises BadInput, before anything is sent, for steps that could not be sent or judged."""
    if not params["steps"]:
        raise BadInput("steps is empty, so nothing would be tried.")
    for name, least in (("runs", 1), ("timeout", 0.001), ("request_timeout", 0.001), ("cleanup_timeout", 0.001)):
        if params[name] < least:
            raise BadInput(f"{name} is {params[name]}, expected more.")
    doubled = set(params["variables"]) & set(params["secrets"])
    if doubled:
        raise BadInput(f"{', '.join(sorted(doubled))} is both in variables and in secrets.")
    known = {*params["variables"], *params["secrets"], *_OWN_NAMES}
    missing = set(placeholders.names_in([params["headers"], params["secret_headers"]])) - known
    if missing:
        raise BadInput(f"The headers of all steps need ${{{sorted(missing)[0]}}}, which is no variable and no secret.")
    for where, steps in (("steps", params["steps"]), ("cleanup", params["cleanup"])):
        for index, step in enumerate(steps):
            label = f"{where}: number {index + 1} ({step['name']})"
            missing = _needs(step) - known
            if missing:
                raise BadInput(f"{label} needs ${{{sorted(missing)[0]}}}, which nothing before it gives.")
            _refuse_step(step, label, params)
            known |= set(step["capture"])


def _refuse_step(step: t.Mapping[str, t.Any], label: str, params: t.Mapping[str, t.Any]) -> None:
    request = step["request"]
    if not re.match(r"https?://|\$\{", request["url"]) and not params["base_url"]:
        raise BadInput(f"{label}: url {request['url']!r} is no whole URL, and there is no base_url.")
    try:
        http_expectation.refuse_unreadable(step["expect"], url="http://localhost/")
        if step["poll"]:
            http_expectation.refuse_unreadable({"json": step["poll"]["until"]}, url="http://localhost/")
            http_expectation.refuse_unreadable({"json": step["poll"]["give_up"]}, url="http://localhost/")
    except BadInput as problem:
        raise BadInput(f"{label}: {problem.message}")
    for name, place in step["capture"].items():
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", str(name)):
            raise BadInput(f"{label}: capture {name!r} is not a name of letters, digits and _.")
        if name in _OWN_NAMES or name in params["variables"] or name in params["secrets"]:
            raise BadInput(f"{label}: capture {name!r} is the name of a variable already.")
        if not isinstance(place, str):
            raise BadInput(f"{label}: capture {name!r} names no place in the answer.")
        if not re.match(r"header:|status$|(?:body|sent):sha256$", place):
            jsonpath.parse(place)


# ---- one walk


class Walk:
    """The steps of all runs, what they captured, and what they may have left behind."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self.params = context.params
        refuse_unreadable(self.params)
        self.scrub = context.scrub
        self.hidden = secret_names(self.params)
        self.outcomes: list[Outcome] = []
        self.cleanups: list[Outcome] = []
        self.left_behind: list[str] = []
        self.captured: dict[str, t.Any] = {}
        self.values: dict[str, t.Any] = {}
        self.has_changed = False
        self.deadline = Deadline(self.params["timeout"])

    def go(self) -> None:
        """All runs; each tidies up after itself, also when it is interrupted. Stops at the first step that is not good."""
        for run in range(1, self.params["runs"] + 1):
            self.captured = {}
            self.values = {
                **self.params["variables"],
                **self.params["secrets"],
                "run": run,
                "run_id": secrets.token_hex(4),
            }
            try:
                for step in self.params["steps"]:
                    outcome = self._step(step, run, self.deadline)
                    self.outcomes.append(outcome)
                    if outcome.status not in ("pass", "warn"):
                        return
            finally:
                self._tidy(run)

    def _tidy(self, run: int) -> None:
        limit = Deadline(self.params["cleanup_timeout"])
        capturable = captured_names(self.params["steps"])
        for step in reversed(self.params["cleanup"]):
            if (_needs(step) & capturable) - set(self.captured):
                continue  # what it would remove was never made
            outcome = self._step(step, run, limit)
            self.cleanups.append(outcome)
            if outcome.status not in ("pass", "warn"):
                self.left_behind.append(f"{step['name']}: {outcome.method} {outcome.url}: {outcome.told()['summary']}")

    def _step(self, step: t.Mapping[str, t.Any], run: int, limit: Deadline) -> Outcome:
        clock = limit.clock
        began = clock.monotonic()
        request = step["request"]
        method = method_of(request)
        outcome = Outcome(step["name"], run, method, "")
        try:
            url = self._url(request["url"])
            outcome.url = self.scrub.text(re.sub(r"[?#].*", "", url))
            sent = body_of(placeholders.filled(_body_options(request), self.values))
            self._ask(step, outcome, url, sent, limit)
        except GoliveError as problem:
            outcome.criteria.append(unknown(step["name"], problem.message.rstrip("."), remedy=problem.remedy))
            if method not in _SAFE_METHODS and outcome.attempts and outcome.response is None:
                self.left_behind.append(
                    f"{step['name']}: {method} {outcome.url} was not answered, it may have made something"
                )
        outcome.seconds = clock.monotonic() - began
        return outcome

    def _url(self, url: str) -> str:
        found = str(placeholders.filled(url, self.values, quoted=self.captured))
        if re.match(r"https?://", found):
            return found
        return f"{self.params['base_url'].rstrip('/')}/{found.lstrip('/')}"

    def _ask(self, step: t.Mapping[str, t.Any], outcome: Outcome, url: str, sent: Body, limit: Deadline) -> None:
        """Send, once or until polling ends, and judge. Raises what sending raises."""
        poll = step["poll"]
        patience = Deadline(min(poll["timeout"], limit.remaining())) if poll else limit
        expect = placeholders.filled(step["expect"], self.values)
        expect = {**expect, "status": expect["status"] or _GOOD_STATUSES}
        while True:
            limit.require(f"The smoke test, at {step['name']},")
            try:
                response = self._send(step, outcome, url, sent, limit)
            except BadInput:
                raise
            except GoliveError:
                if not poll or patience.remaining() <= poll["interval"]:
                    raise
            else:
                outcome.response = response
                outcome.http_status = response.status
                waits_for = self._waits_for(poll, response, step["name"]) if poll else []
                if not waits_for or self._gives_up(poll, response, step["name"]):
                    break
                if patience.remaining() <= poll["interval"]:
                    break
            limit.clock.sleep(poll["interval"])
        self._judge(step, outcome, response, expect, waits_for, sent)

    def _send(
        self, step: t.Mapping[str, t.Any], outcome: Outcome, url: str, sent: Body, limit: Deadline
    ) -> http.Response:
        request = step["request"]
        headers = {**self.params["headers"], **request["headers"]}
        if sent.content_type and not any(name.lower() == "content-type" for name in headers):
            headers["Content-Type"] = sent.content_type
        hidden = {**self.params["secret_headers"], **request["secret_headers"]}
        if request["bearer"]:
            hidden.update(http.bearer(str(placeholders.filled(request["bearer"], self.values))))
        outcome.attempts += 1
        self.has_changed = self.has_changed or outcome.method not in _SAFE_METHODS
        return http.request(
            outcome.method,
            url,
            deadline=Deadline(min(self.params["request_timeout"], limit.remaining())),
            headers=placeholders.filled(headers, self.values),
            secret_headers=placeholders.filled(hidden, self.values),
            body=sent.raw,
            ca_file=self.params["ca_file"],
            connect_to=self.params["connect_to"],
            max_body=_MOST_FILE_BYTES if _hashes_body(step) else http.MAX_BODY_BYTES,
        )

    def _criteria_of(self, expectations: t.Any, response: http.Response, label: str) -> list[Criterion]:
        filled = placeholders.filled(expectations, self.values)
        return http_expectation.criteria(response, {"json": filled, "status": [response.status]}, label=label)

    def _waits_for(self, poll: t.Mapping[str, t.Any], response: http.Response, label: str) -> list[Criterion]:
        return [each for each in self._criteria_of(poll["until"], response, label) if each.status != "pass"]

    def _gives_up(self, poll: t.Mapping[str, t.Any], response: http.Response, label: str) -> bool:
        if not poll["give_up"]:
            return False
        return all(each.status == "pass" for each in self._criteria_of(poll["give_up"], response, label))

    def _judge(
        self,
        step: t.Mapping[str, t.Any],
        outcome: Outcome,
        response: http.Response,
        expect: t.Mapping[str, t.Any],
        waits_for: t.Sequence[Criterion],
        sent: Body,
    ) -> None:
        label = step["name"]
        if step["secret"]:
            self._learn(response)
        outcome.criteria += http_expectation.criteria(response, expect, label=label)
        outcome.criteria += [dataclasses.replace(each, status="fail") for each in waits_for]
        if expect["body_sha256"]:
            digest = (
                "cut off"
                if response.is_truncated
                else hashlib.sha256(response.content(limit=_MOST_FILE_BYTES)).hexdigest()
            )
            outcome.criteria.append(one_of(f"{label} body sha256", digest, [str(expect["body_sha256"]).lower()]))
        if outcome.status in ("pass", "warn"):
            outcome.criteria += self._capture(step, response, sent)
        outcome.excerpt = "" if step["secret"] else self.scrub.text(excerpt_of(response))

    def _learn(self, response: http.Response) -> None:
        try:
            document = response.json()
        except UnexpectedAnswer:
            document = response.text()
        self.scrub.learn(text for text in strings_in(document) if len(text) >= _SECRET_CHARACTERS)

    def _capture(self, step: t.Mapping[str, t.Any], response: http.Response, sent: Body) -> t.Iterator[Criterion]:
        for name, place in step["capture"].items():
            value = place_in(response, place, sent)
            called = f"{step['name']} {place}"
            if value is None:
                yield holds(
                    called, False, measured="absent", expected="a value to keep", sentence=f"{called} is absent"
                )
                continue
            if name in self.hidden:
                self.scrub.learn(strings_in(value))
            self.captured[name] = value
            self.values[name] = value
            shown = "captured" if name in self.hidden else value
            yield holds(called, True, measured=shown, expected="a value to keep")

    def told(self) -> dict[str, t.Any]:
        return {
            "steps": [outcome.told() for outcome in self.outcomes],
            "cleanup": [outcome.told() for outcome in self.cleanups],
            "left_behind": self.left_behind,
            "captured": {name: value for name, value in self.captured.items() if name not in self.hidden},
            "changed": self.has_changed,
        }


def _body_options(request: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    return {name: request[name] for name in ("json", "form", "body", "multipart")}


def body_of(options: t.Mapping[str, t.Any]) -> Body:
    """The bytes of a request whose placeholders are filled. Raises BadInput."""
    if options["json"] is not None:
        raw = json.dumps(options["json"]).encode("utf-8")
        return Body(raw, "application/json", hashlib.sha256(raw).hexdigest())
    if options["form"] is not None:
        raw = urlencode(options["form"], doseq=True).encode("ascii")
        return Body(raw, "application/x-www-form-urlencoded", hashlib.sha256(raw).hexdigest())
    if options["body"] is not None:
        raw = str(options["body"]).encode("utf-8")
        return Body(raw, "text/plain; charset=utf-8", hashlib.sha256(raw).hexdigest())
    if options["multipart"] is not None:
        return _multipart(options["multipart"])
    return Body()


def _multipart(parts: t.Sequence[t.Mapping[str, t.Any]]) -> Body:
    """multipart/form-data (RFC 7578); the digest is that of the first part with a file name."""
    boundary = f"golive-{secrets.token_hex(16)}"
    pieces: list[bytes] = []
    digest = ""
    for part in parts:
        content = content_of(part)
        filename = part["filename"] or (os.path.basename(part["src"]) if part["src"] else None)
        kind = part["content_type"] or ("application/pdf" if part["pdf_text"] is not None else None)
        disposition = f'form-data; name="{_quoted(part["field"])}"'
        if filename:
            disposition += f'; filename="{_quoted(filename)}"'
            kind = kind or "application/octet-stream"
            digest = digest or hashlib.sha256(content).hexdigest()
        head = f"--{boundary}\r\nContent-Disposition: {disposition}\r\n"
        head += f"Content-Type: {_quoted(kind)}\r\n" if kind else ""
        pieces += [head.encode("utf-8"), b"\r\n", content, b"\r\n"]
    pieces.append(f"--{boundary}--\r\n".encode("ascii"))
    return Body(b"".join(pieces), f"multipart/form-data; boundary={boundary}", digest)


def _quoted(text: str) -> str:
    """As browsers write names in a form's part (WHATWG HTML, multipart/form-data)."""
    return text.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")


def content_of(part: t.Mapping[str, t.Any]) -> bytes:
    """What a part holds. Raises BadInput."""
    if part["content"] is not None:
        return str(part["content"]).encode("utf-8")
    if part["pdf_text"] is not None:
        return pdf_with(str(part["pdf_text"]))
    try:
        with open(part["src"], "rb") as source:
            content = source.read(_MOST_FILE_BYTES + 1)
    except OSError as problem:
        raise BadInput(f"The file {part['src']} cannot be read: {problem.strerror}.")
    if len(content) > _MOST_FILE_BYTES:
        raise BadInput(f"The file {part['src']} is larger than {_MOST_FILE_BYTES} bytes.")
    return content


def _hashes_body(step: t.Mapping[str, t.Any]) -> bool:
    return bool(step["expect"]["body_sha256"]) or "body:sha256" in (step["capture"] or {}).values()


def place_in(response: http.Response, place: str, sent: Body) -> t.Any:
    """The value at a place of the answer, or None: a JSON path, ``header:Name``, ``status``, ``body:sha256``, ``sent:sha256``."""
    if place == "status":
        return response.status
    if place == "sent:sha256":
        return sent.sha256 or None
    if place == "body:sha256":
        if response.is_truncated:
            return None
        return hashlib.sha256(response.content(limit=_MOST_FILE_BYTES)).hexdigest()
    if place.startswith("header:"):
        return response.header(place[len("header:") :].strip())
    try:
        values = jsonpath.find(response.json(), place)
    except UnexpectedAnswer:
        return None
    return values[0] if values else None


def _redacted(document: t.Any, key: str = "") -> t.Any:
    if isinstance(document, dict):
        return {name: _redacted(item, str(name)) for name, item in document.items()}
    if isinstance(document, list):
        return [_redacted(item, key) for item in document]
    return "…" if _SECRET_KEY.search(key) and document is not None else document


def excerpt_of(response: http.Response) -> str:
    """The beginning of an answer, without values of secret-looking keys, secrets by their form and personal data.

    Of binary content only its length.
    """
    kind = (response.header("content-type") or "").split(";")[0].strip().lower()
    if not response.body:
        return ""
    if "json" in kind and not response.is_truncated:
        try:
            text = json.dumps(_redacted(response.json()), ensure_ascii=False)
        except UnexpectedAnswer:
            text = f"{len(response.body)} bytes that are not JSON"
    elif kind.startswith("text/"):
        text = " ".join(response.text().split())
    else:
        text = f"{len(response.body)} bytes of {kind or 'unknown type'}"
    text = Sensitive(GROUPS).without(beginning_of(text, _MASKED_CHARACTERS))
    return text if len(text) <= _EXCERPT_CHARACTERS else text[:_EXCERPT_CHARACTERS] + "…"


def judged(walk: Walk) -> Judgement:
    """All steps together. What was left behind is a warning: the system works, somebody has to tidy up."""
    criteria = [criterion for outcome in walk.outcomes for criterion in outcome.criteria]
    if walk.left_behind:
        criteria.append(
            holds(
                "tidied up",
                False,
                measured=len(walk.left_behind),
                expected="nothing left behind",
                sentence="left behind: " + "; ".join(each.rstrip(".") for each in walk.left_behind),
                remedy="Remove it by hand.",
                level="warn",
            )
        )
    return Judgement.of(apart(criteria))


def body(context: Context) -> dict[str, t.Any]:
    """The module's work."""
    walk = Walk(context)
    started = utc_text(CLOCK.now())
    began = CLOCK.monotonic()
    if context.check_mode:
        judgement = Judgement.of(
            [unknown("smoke test", "the smoke test makes and removes things, so check mode does not run it")]
        )
        return {**_result(walk, judgement, started, 0.0), "changed": True}
    with held(context.params["release"], doing="smoke_http"):
        try:
            walk.go()
        except Ended as problem:  # what was made is removed by now
            problem.known.update(walk.told())
            raise
    judgement = judged(walk)
    result = _result(walk, judgement, started, CLOCK.monotonic() - began)
    if context.params["enforce"] and judgement.status in ("fail", "unknown"):
        raise ActionFailed(judgement.summary, remedy=judgement.remedy, known=result)
    if judgement.status == "pass":
        steps, took = len(walk.outcomes), result["finding"]["seconds"]
        result["text"] = f"smoke test: {steps} step{'' if steps == 1 else 's'} passed in {took:.1f} s"
    return result


def _result(walk: Walk, judgement: Judgement, started: str, seconds: float) -> dict[str, t.Any]:
    finding = {
        **dataclasses.asdict(judgement),
        "check": "smoke_http",
        "started": started,
        "seconds": round(seconds, 3),
        "evidence": {"steps": len(walk.outcomes), "runs": walk.params["runs"], "left_behind": walk.left_behind},
    }
    return {**walk.told(), "status": judgement.status, "finding": finding, "msg": judgement.summary}
