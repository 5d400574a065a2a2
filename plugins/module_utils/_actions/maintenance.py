# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Is maintenance on for users, and does it stay so while the application is stopped? Switch it, and prove it on a user path.

A flag inside the application dies with it: users then see 502, and the new version before anybody lets them in. So a layer that
the release does not stop is switched first and proven by itself.
"""

from __future__ import annotations

import dataclasses
import json
import os
import typing as t

from ansible_collections.opsready.golive.plugins.module_utils._actions import http_expectation
from ansible_collections.opsready.golive.plugins.module_utils._actions.comparison import Comparison
from ansible_collections.opsready.golive.plugins.module_utils._actions.http_expectation import CONNECTION, PATIENCE
from ansible_collections.opsready.golive.plugins.module_utils._clients import http, jsonpath
from ansible_collections.opsready.golive.plugins.module_utils._core import foreign_json
from ansible_collections.opsready.golive.plugins.module_utils._core.argspec import RELEASE, Spec, compose
from ansible_collections.opsready.golive.plugins.module_utils._core.clock import CLOCK, Deadline, utc_text
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import (
    ActionFailed,
    BadInput,
    Ended,
    GoliveError,
    Refused,
    UnexpectedAnswer,
)
from ansible_collections.opsready.golive.plugins.module_utils._core.fencing import Token, held
from ansible_collections.opsready.golive.plugins.module_utils._core.finding import Criterion, holds, one_of
from ansible_collections.opsready.golive.plugins.module_utils._core.guard import Context
from ansible_collections.opsready.golive.plugins.module_utils._core.whole_file import sync_folder, write_whole

_SWITCH: Spec = {
    "method": {"type": "str", "default": "POST"},
    "url": {"type": "str", "required": True},
    "body": {"type": "raw"},
    "status": {"type": "list", "elements": "int", "default": [200, 201, 202, 204]},
}

ARGUMENT_SPEC: Spec = compose(
    RELEASE,
    {
        "state": {"type": "str", "required": True, "choices": ["enabled", "disabled", "status"]},
        "layers": {
            "type": "list",
            "elements": "dict",
            "required": True,
            "options": {
                "name": {"type": "str", "required": True},
                "backend": {"type": "str", "required": True, "choices": ["file", "http"]},
                "survives_stop": {"type": "bool", "default": False},
                "path": {"type": "path"},
                "enable": {"type": "dict", "options": _SWITCH},
                "disable": {"type": "dict", "options": _SWITCH},
                "read": {
                    "type": "dict",
                    "options": {
                        "url": {"type": "str", "required": True},
                        "path": {"type": "str", "required": True},
                        "enabled": {"type": "raw", "default": True},
                        "disabled": {"type": "raw", "default": False},
                    },
                },
                **CONNECTION,
                "request_timeout": {"type": "float", "default": 10.0},
            },
            "required_if": [("backend", "file", ("path",)), ("backend", "http", ("enable", "disable"))],
        },
        "verify": {
            "type": "dict",
            "options": {
                "url": {"type": "str", "required": True},
                **CONNECTION,
                **PATIENCE,
                "status": {"type": "list", "elements": "int", "default": [200]},
                "version_header": {"type": "str"},
                "version": {"type": "str"},
            },
            "required_together": [("version_header", "version")],
        },
        "bypass_header": {
            "type": "dict",
            "no_log": False,
            "options": {
                "name": {"type": "str", "required": True},
                "value": {"type": "str", "required": True, "no_log": True},
            },
        },
        "verify_bypass": {"type": "bool", "default": False},
        "reason": {"type": "str", "default": "release"},
        "force": {"type": "bool", "default": False},
        "keep_foreign": {"type": "bool", "default": False},
    },
)
CONSTRAINTS: dict[str, t.Any] = {
    "required_if": [
        ("state", "enabled", ("verify",)),
        ("state", "disabled", ("verify",)),
        ("verify_bypass", True, ("bypass_header", "verify")),
    ]
}

NO_OUTER_LAYER = (
    "No layer survives the stop of the application: its own flag ends with it, and users see errors or a version that "
    "nobody let them into."
)
#: A flag is a few words; more is not ours.
_MOST_FLAG_BYTES = 4096


@dataclasses.dataclass(frozen=True)
class Seen:
    """What a layer says of itself: ``enabled``, ``disabled`` or ``unknown``, and whose flag it is."""

    state: str
    flag: dict[str, t.Any] | None = None


class Layer(t.Protocol):
    """One place where maintenance is switched. Raises the one error family."""

    name: str
    survives_stop: bool

    def read(self) -> Seen: ...

    def switch(self, state: str, flag: t.Mapping[str, t.Any]) -> None: ...


class FlagFile:
    """A file whose presence makes the proxy answer 503. Everybody may read it, so that the proxy can."""

    def __init__(self, options: t.Mapping[str, t.Any]) -> None:
        self.name: str = options["name"]
        self.survives_stop: bool = options["survives_stop"]
        self.path: str = options["path"]
        if not os.path.isabs(self.path):
            raise BadInput(f"Layer {self.name}: path {self.path!r} is not absolute.")
        if not os.path.isdir(os.path.dirname(self.path)):
            raise BadInput(f"Layer {self.name}: the folder {os.path.dirname(self.path)} does not exist.")

    def read(self) -> Seen:
        try:
            with open(self.path, "rb") as source:
                raw = source.read(_MOST_FLAG_BYTES)
        except FileNotFoundError:
            return Seen("disabled")
        except OSError as problem:
            raise ActionFailed(f"Layer {self.name}: {self.path} cannot be read: {problem.strerror}.")
        try:
            flag = foreign_json.read(raw)
        except ValueError:
            flag = None
        # A file that somebody touched by hand has no owner that could be read.
        return Seen("enabled", flag if isinstance(flag, dict) else {})

    def switch(self, state: str, flag: t.Mapping[str, t.Any]) -> None:
        try:
            if state == "enabled":
                write_whole(self.path, json.dumps(flag, sort_keys=True).encode() + b"\n", mode=0o644)
            elif os.path.lexists(self.path):
                os.unlink(self.path)
                sync_folder(os.path.dirname(self.path))
        except OSError as problem:
            raise ActionFailed(f"Layer {self.name}: {self.path} cannot be changed: {problem.strerror}.")


class HttpSwitch:
    """An interface that switches maintenance by requests, such as an application's own admin endpoint."""

    def __init__(self, options: t.Mapping[str, t.Any]) -> None:
        self.name: str = options["name"]
        self.survives_stop: bool = options["survives_stop"]
        self._options = options
        for switch in ("enable", "disable"):
            http.origin_of(options[switch]["url"])
            if not options[switch]["status"]:
                raise BadInput(f"Layer {self.name}: {switch}.status is empty.")
        if options["read"]:
            http.origin_of(options["read"]["url"])
            jsonpath.parse(options["read"]["path"])
            if options["read"]["enabled"] == options["read"]["disabled"]:
                raise BadInput(f"Layer {self.name}: read.enabled and read.disabled are the same.")

    def _request(self, method: str, url: str, body: t.Any = None) -> http.Response:
        headers = dict(self._options["headers"])
        raw: bytes | None = None
        if isinstance(body, (dict, list)):
            headers.setdefault("Content-Type", "application/json")
            raw = json.dumps(body).encode("utf-8")
        elif body is not None:
            raw = str(body).encode("utf-8")
        return http.request(
            method,
            url,
            deadline=Deadline(self._options["request_timeout"]),
            headers=headers,
            secret_headers=http_expectation.secrets_of(self._options),
            body=raw,
            ca_file=self._options["ca_file"],
            connect_to=self._options["connect_to"],
        )

    def read(self) -> Seen:
        wanted = self._options["read"]
        if not wanted:
            return Seen("unknown")
        response = self._request("GET", wanted["url"])
        if response.status != 200:
            raise UnexpectedAnswer(f"Layer {self.name}: its state was answered with status {response.status}.")
        values = jsonpath.find(response.json(), wanted["path"])
        for state in ("enabled", "disabled"):
            if len(values) == 1 and _alike(values[0], wanted[state]):
                return Seen(state)
        raise UnexpectedAnswer(f"Layer {self.name}: its answer has neither state at {wanted['path']}.")

    def switch(self, state: str, flag: t.Mapping[str, t.Any]) -> None:
        wanted = self._options["enable" if state == "enabled" else "disable"]
        response = self._request(wanted["method"], wanted["url"], wanted["body"])
        if response.status not in wanted["status"]:
            raise ActionFailed(
                f"Layer {self.name} answered status {response.status} when it was to be {state}.",
                remedy="A layer inside the application must be asked past the outer one: give its own address or the bypass header.",
            )
        if self._options["read"] and self.read().state != state:
            raise ActionFailed(f"Layer {self.name} accepted the request, and is not {state}.")


def _alike(measured: t.Any, expected: t.Any) -> bool:
    """Equal, or equal as text: templating may have turned true into "True"."""
    if isinstance(measured, bool) or isinstance(expected, bool):
        return str(measured).lower() == str(expected).lower()
    return bool(measured == expected) or str(measured) == str(expected)


def layer_of(options: t.Mapping[str, t.Any]) -> Layer:
    """The layer that these options describe. Raises BadInput."""
    return FlagFile(options) if options["backend"] == "file" else HttpSwitch(options)


# ---- what a user sees


def judge_enabled(response: http.Response) -> t.Iterator[Criterion]:
    """503 with Retry-After, and nothing else."""
    yield one_of("status", response.status, [503])
    retry = response.header("retry-after")
    yield holds("Retry-After", bool(retry), measured=retry or "absent", expected="present")


def judge_disabled(response: http.Response, verify: t.Mapping[str, t.Any]) -> t.Iterator[Criterion]:
    """A good answer, of the right version where one is named."""
    yield one_of("status", response.status, verify["status"])
    if verify["version"]:
        yield one_of("version", response.header(verify["version_header"]) or "absent", [verify["version"]])


def judge_bypassed(response: http.Response) -> t.Iterator[Criterion]:
    """Anything but maintenance and a gateway's error."""
    yield holds(
        "status behind the bypass",
        response.status not in (502, 503, 504),
        measured=response.status,
        expected="not 502, 503 or 504",
    )


def is_foreign(seen: Seen, release: str | None) -> bool:
    """A flag that another release, or a person, has set."""
    return seen.flag is not None and (not seen.flag or seen.flag.get("release") != release)


def shown_flag(flag: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    """Who set it, since when and why; of a flag that is not ours nothing else is shown."""
    return {name: str(flag[name])[:200] for name in ("release", "since", "reason") if flag.get(name) is not None}


def _whose(flag: t.Mapping[str, t.Any]) -> str:
    return f"release {flag['release']}" if flag.get("release") else "somebody outside this release"


class Work:
    """One call: its layers from the outside in, what they say, and what was done so far."""

    def __init__(self, context: Context, release: str | None) -> None:
        self.context = context
        self.params = context.params
        self.release = release
        if not self.params["layers"]:
            raise BadInput("layers is empty: there is nothing to switch.")
        listed = [layer_of(options) for options in self.params["layers"]]
        self.outer = [layer for layer in listed if layer.survives_stop]
        self.inner = [layer for layer in listed if not layer.survives_stop]
        #: From the outside in.
        self.layers = self.outer + self.inner
        names = [layer.name for layer in self.layers]
        if len(set(names)) != len(names):
            raise BadInput("Two layers have the same name.")
        if self.params["verify"]:
            http.origin_of(self.params["verify"]["url"])
            http_expectation.checked_gate(self.params["verify"], where="verify")
            if not self.params["verify"]["status"]:
                raise BadInput("verify.status is empty, so no answer would be good.")
        self.seen: dict[str, Seen] = {}
        self.now: dict[str, str] = {}
        self.comparison = Comparison()
        self.proofs: list[dict[str, t.Any]] = []

    def read_all(self) -> None:
        self.seen = {layer.name: layer.read() for layer in self.layers}
        self.now = {name: seen.state for name, seen in self.seen.items()}

    @property
    def foreign(self) -> dict[str, dict[str, t.Any]]:
        return {name: shown_flag(seen.flag or {}) for name, seen in self.seen.items() if is_foreign(seen, self.release)}

    @property
    def flagged(self) -> list[str]:
        """The layers that carry a flag, whoever has set it."""
        return [name for name, seen in self.seen.items() if seen.flag is not None]

    @property
    def has_own(self) -> bool:
        """Whether a flag of this very release is there."""
        return any(name not in self.foreign for name in self.flagged)

    def whose(self, name: str) -> str:
        """``Maintenance at proxy was enabled by release r-1 since … (/run/archive/maintenance)``."""
        flag = shown_flag(self.seen[name].flag or {})
        since = f" since {flag['since']}" if flag.get("since") else ""
        place = next(
            (f" ({layer.path})" for layer in self.layers if layer.name == name and isinstance(layer, FlagFile)), ""
        )
        return f"Maintenance at {name} was enabled by {_whose(flag)}{since}{place}"

    def refuse_foreign(self, then: str) -> None:
        """Raises Refused for a flag that is not ours, unless that was to be taken over."""
        if self.foreign and not self.params["force"]:
            raise Refused(
                f"{self.whose(next(iter(self.foreign)))}, {then}.",
                remedy="Ask them to take it away, or take it over: force does, which golive_take_over_maintenance=true is "
                "for our playbooks.",
                known=self.told(),
            )

    def switch(self, layer: Layer, state: str, flag: t.Mapping[str, t.Any]) -> None:
        if self.now[layer.name] == state and not (
            state == "enabled" and layer.name in self.foreign and self.params["force"]
        ):
            return
        if not self.context.check_mode:
            self.now[layer.name] = "unknown"
            layer.switch(state, flag)
            self.now[layer.name] = state

    def prove(
        self, what: str, judge: t.Callable[[http.Response], t.Iterable[Criterion]], *, bypass: bool = False
    ) -> None:
        """Raises TimedOut when users do not see it."""
        verify = self.params["verify"]
        hidden = http_expectation.secrets_of(verify)
        if bypass:
            hidden[self.params["bypass_header"]["name"]] = self.params["bypass_header"]["value"]
        passed = http_expectation.await_answers(
            verify,
            judge=judge,
            label=f"{verify['url'].split('?', 1)[0]} ({what})",
            deadline=Deadline(verify["timeout"]),
            secret_headers=hidden,
            scrub=self.context.scrub,
        )
        self.proofs.append({"what": what, **passed.told()})

    def told(self) -> dict[str, t.Any]:
        return {
            "layers": [
                {"name": layer.name, "state": self.now.get(layer.name, "unknown"), "survives_stop": layer.survives_stop}
                for layer in self.layers
            ],
            "flags": {name: shown_flag(self.seen[name].flag or {}) for name in self.flagged},
            "foreign": self.foreign,
            "proofs": self.proofs,
        }


def enabled(work: Work) -> dict[str, t.Any]:
    """Outer layers first, proven before any inner layer could answer in their place."""
    if not work.outer:
        raise Refused(
            NO_OUTER_LAYER,
            remedy="Add a layer at the proxy or load balancer, and say survives_stop: true of it.",
        )
    work.read_all()
    if work.release is not None:
        # What the release may not end, it does not build upon: at its end users would stay shut out, whichever way it went.
        work.refuse_foreign("so this release could not end it, and has switched nothing")
    for name in work.foreign:
        then = "is taken over" if work.params["force"] else "is kept, and not removed without force"
        work.context.warn(f"{work.whose(name)}; it {then}.")
    for layer in work.layers:
        taken_over = layer.name in work.foreign and work.params["force"]
        work.comparison.add(layer.name, work.seen[layer.name].state, "enabled anew" if taken_over else "enabled")
    if work.context.check_mode:
        return {**work.comparison.told(), **work.told(), "since": None}
    flag = {"release": work.release, "since": utc_text(CLOCK.now()), "reason": work.params["reason"]}
    if any(work.seen[layer.name].state != "disabled" for layer in work.inner):
        work.context.warn(
            "An inner layer was on already, or cannot be read, so that the outer layers alone answer could not be proven."
        )
    for layers, what in (
        (work.outer, "maintenance by the outer layers"),
        (work.inner, "maintenance by all layers"),
    ):
        for layer in layers:
            work.switch(layer, "enabled", flag)
        if layers:
            work.prove(what, judge_enabled)
    if work.params["verify_bypass"]:
        work.prove("service behind the bypass", judge_bypassed, bypass=True)
    return {**work.comparison.told(), **work.told(), "since": work.proofs[0]["since"]}


def disabled(work: Work) -> dict[str, t.Any]:
    """Inner layers first, the outer ones last; then users are served."""
    work.read_all()
    if work.foreign and work.params["keep_foreign"] and not work.has_own:
        work.context.warn(f"{work.whose(next(iter(work.foreign)))}, and stays on as it was found.")
        return {**work.comparison.told(), **work.told(), "until": None}
    work.refuse_foreign("so it stays on")
    for layer in work.layers:
        work.comparison.add(layer.name, work.seen[layer.name].state, "disabled")
    asked = utc_text(CLOCK.now())
    for layer in reversed(work.layers):
        asked = utc_text(CLOCK.now())
        work.switch(layer, "disabled", {})
    if work.context.check_mode:
        return {**work.comparison.told(), **work.told(), "until": None}
    verify = work.params["verify"]
    work.prove("service", lambda response: judge_disabled(response, verify))
    return {**work.comparison.told(), **work.told(), "until": asked if work.comparison.is_changed else None}


def status(work: Work) -> dict[str, t.Any]:
    """What each layer says, and what a user is answered. A layer that cannot be read is unknown."""
    problems: dict[str, str] = {}
    for layer in work.layers:
        try:
            work.seen[layer.name] = layer.read()
        except GoliveError as problem:
            work.seen[layer.name] = Seen("unknown")
            problems[layer.name] = problem.message
        work.now[layer.name] = work.seen[layer.name].state
    states = set(work.now.values())
    answer = _answering(work)
    return {
        "changed": False,
        **work.told(),
        "problems": problems,
        "obstacles": list(_obstacles(work, problems, answer)),
        "maintenance": states.pop() if len(states) == 1 else "mixed",
        "answering": answer,
    }


def _obstacles(work: Work, problems: t.Mapping[str, str], answer: str) -> t.Iterator[str]:
    """Why a release could not switch maintenance on and off again, each in a sentence."""
    yield from problems.values()
    if not work.outer:
        yield NO_OUTER_LAYER
    if not work.params["force"]:
        # Asked without a release, every flag is somebody else's to the one that comes.
        foreign = work.foreign if work.release is not None else work.flagged
        yield from (f"{work.whose(name)}, so a release could not end it." for name in foreign)
    if answer == "maintenance" and "enabled" not in work.now.values():
        yield "Users are answered with maintenance already, and none of the layers has it on."


def _answering(work: Work) -> str:
    """``maintenance``, ``service``, ``other``, ``nothing``; ``not asked`` without a user path."""
    verify = work.params["verify"]
    if not verify:
        return "not asked"
    try:
        response = http.request(
            "GET",
            verify["url"],
            deadline=Deadline(verify["request_timeout"]),
            headers=verify["headers"],
            secret_headers=http_expectation.secrets_of(verify),
            ca_file=verify["ca_file"],
            connect_to=verify["connect_to"],
        )
    except BadInput:
        raise
    except GoliveError:
        return "nothing"
    if all(criterion.status == "pass" for criterion in judge_enabled(response)):
        return "maintenance"
    if all(criterion.status == "pass" for criterion in judge_disabled(response, verify)):
        return "service"
    return "other"


_STATES: dict[str, t.Callable[[Work], dict[str, t.Any]]] = {"enabled": enabled, "disabled": disabled, "status": status}


def body(context: Context) -> dict[str, t.Any]:
    """The module's work. A failure says which layers are on, since they are left as they are."""
    state, release = context.params["state"], context.params["release"]
    with held(release, doing=f"maintenance {state}"):
        work = Work(context, Token.parse(release).release if release else None)
        try:
            return _STATES[state](work)
        except (BadInput, Refused):
            raise
        except (GoliveError, Ended) as problem:
            known = {**problem.known, **work.told()}
            before = {name: seen.state for name, seen in work.seen.items()}
            known["changed"] = any(before.get(name) != now for name, now in work.now.items())
            left = ", ".join(f"{name} {now}" for name, now in work.now.items()) or "nothing was read"
            raise ActionFailed(
                f"Maintenance could not be made {state}: {problem.message} Left behind: {left}.",
                remedy=problem.remedy,
                known=known,
            )
