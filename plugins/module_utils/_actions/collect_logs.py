# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A bundle of what services logged: one file for each, bounded, with no secret in it, and a manifest of what was left out.

A secret is masked before a line is kept or cut, whatever its form; a private key is left out over all its lines, also where
two batches share it. A service whose log could not be read is named, and fails the task once the rest is written.
"""

from __future__ import annotations

import collections
import contextlib
import functools
import gzip
import hashlib
import io
import json
import os
import tarfile
import typing as t

from ansible_collections.opsready.golive.plugins.module_utils._actions.services import ARGUMENT_SPEC as SERVICES_SPEC
from ansible_collections.opsready.golive.plugins.module_utils._actions.supervisor_services import SupervisorServices
from ansible_collections.opsready.golive.plugins.module_utils._clients import docker
from ansible_collections.opsready.golive.plugins.module_utils._clients.container_log import ContainerSource
from ansible_collections.opsready.golive.plugins.module_utils._clients.log_files import (
    FileSource,
    JournalSource,
    paths_of,
)
from ansible_collections.opsready.golive.plugins.module_utils._clients.log_lines import (
    LEVELS,
    Batch,
    json_object,
    level_of,
    moment_of,
)
from ansible_collections.opsready.golive.plugins.module_utils._core.argspec import RELEASE, Spec, compose
from ansible_collections.opsready.golive.plugins.module_utils._core.clock import CLOCK, Deadline, utc_text
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import (
    ActionFailed,
    BadInput,
    GoliveError,
)
from ansible_collections.opsready.golive.plugins.module_utils._core.fencing import held
from ansible_collections.opsready.golive.plugins.module_utils._core.guard import Context
from ansible_collections.opsready.golive.plugins.module_utils._core.patterns import are_in, compiled
from ansible_collections.opsready.golive.plugins.module_utils._core.scrub import MASK
from ansible_collections.opsready.golive.plugins.module_utils._core.sensitive_text import GROUPS, Sensitive
from ansible_collections.opsready.golive.plugins.module_utils._core.since import since_when
from ansible_collections.opsready.golive.plugins.module_utils._core.units import size_bytes
from ansible_collections.opsready.golive.plugins.module_utils._core.whole_file import write_whole

_SOCKET = "unix:///var/run/docker.sock"
ARGUMENT_SPEC: Spec = compose(
    RELEASE,
    {
        "destination": {"type": "path", "required": True},
        "services": {"type": "list", "elements": "str"},
        "supervisor": SERVICES_SPEC["supervisor"],
        "docker": {"type": "dict", "options": {"url": {"type": "str", "default": _SOCKET}}},
        "sources": {
            "type": "list",
            "elements": "dict",
            "options": {
                "service": {"type": "str", "required": True},
                "path": {"type": "path"},
                "journal": {"type": "str"},
                "journal_directory": {"type": "path"},
                "container": {"type": "str"},
                "url": {"type": "str", "default": _SOCKET},
            },
            "mutually_exclusive": [["path", "journal", "container"]],
            "required_one_of": [["path", "journal", "container"]],
        },
        "since": {"type": "str", "default": "1h"},
        "levels": {"type": "list", "elements": "str", "choices": list(LEVELS), "default": []},
        "pattern": {"type": "str"},
        "known_secrets": {"type": "list", "elements": "str", "default": [], "no_log": True},
        "max_size": {"type": "str", "default": "5MB"},
        "max_read": {"type": "str", "default": "200MB"},
        "timeout": {"type": "float", "default": 120.0},
    },
)
CONSTRAINTS: dict[str, t.Any] = {
    "required_one_of": [("services", "sources")],
    "mutually_exclusive": [("supervisor", "docker")],
}

_KEY_BEGINS, _KEY_ENDS = "-----BEGIN", "-----END"
_KEY = "PRIVATE KEY"


class Kept:
    """The newest lines of one service, without secrets, up to so many bytes."""

    def __init__(self, params: t.Mapping[str, t.Any], context: Context, *, now: float, since: float) -> None:
        self._levels = frozenset(params["levels"])
        self._pattern = compiled(params["pattern"], option="pattern") if params["pattern"] is not None else None
        self._most = size_bytes(params["max_size"], option="max_size")
        self._mask = Sensitive(GROUPS, params["known_secrets"])
        self._scrub = context.scrub
        self._now, self._since = now, since
        self._lines: collections.deque[bytes] = collections.deque()
        self._size = 0
        self._is_in_key = False
        self.read = self.matched = self.cut = 0

    def take(self, batches: t.Iterable[Batch]) -> bool:
        """Take a source's lines from ``since`` on; whether any of them told its time, where there were some."""
        is_within, has_lines, is_wanted = False, False, False
        for batch in batches:
            matching = are_in(self._pattern, batch.texts) if self._pattern is not None else [True] * len(batch.texts)
            for number, text in enumerate(batch.texts):
                fields = json_object(text)
                moment = batch.moment(number)
                if moment is None:
                    moment = self._own_moment(text, fields)
                has_lines = True
                is_within = is_within or (moment is not None and moment >= self._since)
                is_key = self._is_of_a_key(text)  # asked of older lines too: a key may begin in one
                if not is_within:
                    continue
                self.read += 1
                level = level_of(text, fields) or batch.level(number)
                # A line without a level and a time of its own, as one of a traceback, belongs to the one before it.
                if not self._levels or level is not None or self._own_moment(text, fields) is not None:
                    is_wanted = not self._levels or level in self._levels
                if is_wanted and matching[number]:
                    self._keep(f"({MASK} private key)" if is_key else self._scrub.text(self._mask.without(text)))
        return is_within or not has_lines

    def _own_moment(self, text: str, fields: t.Mapping[str, t.Any] | None) -> float | None:
        return moment_of(text, fields, is_utc=False, now=self._now)

    def _is_of_a_key(self, text: str) -> bool:
        """Whether a line is part of a private key, which is a secret over all its lines."""
        has_marks = _KEY in text
        is_of_key = self._is_in_key or (has_marks and _KEY_BEGINS in text)
        if is_of_key:
            self._is_in_key = not (has_marks and _KEY_ENDS in text)
        return is_of_key

    def _keep(self, text: str) -> None:
        line = text.encode("utf-8", "replace") + b"\n"
        self.matched += 1
        self._lines.append(line)
        self._size += len(line)
        while self._size > self._most and self._lines:
            self._size -= len(self._lines.popleft())
            self.cut += 1

    def content(self) -> bytes:
        return b"".join(self._lines)


class _Engines:
    """Docker Engines by their address, each opened once."""

    def __init__(self, deadline: Deadline) -> None:
        self._deadline = deadline
        self._opened: dict[str, docker.Engine] = {}

    def opened(self, url: str) -> docker.Engine:
        """Raises as ``docker.opened`` does."""
        if url not in self._opened:
            self._opened[url] = docker.opened(url, deadline=self._deadline)
        return self._opened[url]

    def close(self) -> None:
        for engine in self._opened.values():
            engine.close()


def body(context: Context) -> dict[str, t.Any]:
    """The module's work."""
    with held(context.params["release"], doing="collect_logs"):
        return _collect(context)


def _collect(context: Context) -> dict[str, t.Any]:
    params = context.params
    deadline = Deadline(params["timeout"])
    now = CLOCK.now()
    since = since_when(params["since"], now.timestamp())
    sources = _sources(params, deadline)
    files: dict[str, bytes] = {}
    told: list[dict[str, t.Any]] = []
    with contextlib.closing(_Engines(deadline)) as engines:
        for service in dict.fromkeys(source["service"] for source in sources):
            kept = Kept(params, context, now=now.timestamp(), since=since or 0.0)
            gaps: list[str] = []
            for source in sources:
                if source["service"] == service:
                    gaps += _read(source, kept, params, engines, since=since, now=now.timestamp(), deadline=deadline)
            if not kept.read and not gaps:
                gaps.append(f"no line since {params['since']}")
            content = kept.content()
            name = f"{service.replace(':', '-').replace('/', '-')}.log"
            files[name] = content
            told.append({"service": service, "file": name, "lines_read": kept.read, "lines": kept.matched - kept.cut,
                         "lines_cut": kept.cut, "size_bytes": len(content), "sha256": hashlib.sha256(content).hexdigest(),
                         "gaps": [context.scrub.text(gap) for gap in gaps]})  # fmt: skip
    asked = {name: params[name] for name in ("since", "levels", "pattern")}
    manifest = {"collected": utc_text(now), "host": os.uname().nodename, **asked, "services": told}
    files["manifest.json"] = json.dumps(manifest, indent=1, sort_keys=True).encode() + b"\n"
    bundle = _packed(files, int(now.timestamp()))
    path = os.path.join(
        params["destination"], f"logs-{now.strftime('%Y%m%dT%H%M%S')}{now.microsecond // 1000:03d}.tar.gz"
    )
    result: dict[str, t.Any] = {
        "changed": True,
        "services": told,
        "bundle": {"path": path, "sha256": hashlib.sha256(bundle).hexdigest(), "size_bytes": len(bundle)},
    }
    if context.check_mode:
        return {**result, "bundle": None}
    _write(path, bundle)
    unread = [f"{each['service']}: {'; '.join(each['gaps'])}" for each in told if not each["lines_read"]]
    if unread:
        raise ActionFailed(
            f"Of {len(unread)} of {len(told)} services nothing was read: {' | '.join(unread)}.",
            remedy=f"The rest is in {path}.",
            known=result,
        )
    return result


def _sources(params: t.Mapping[str, t.Any], deadline: Deadline) -> list[dict[str, t.Any]]:
    """What is read for whom; of services under supervisor the files that it writes their output to."""
    sources = [dict(source) for source in params["sources"] or []]
    if not params["services"]:
        if not sources:
            raise BadInput("services and sources are empty: nothing would be read.")
        return sources
    if params["docker"] is not None:
        url = params["docker"]["url"]
        return sources + [{"service": name, "container": name, "url": url} for name in params["services"]]
    if params["supervisor"] is None:
        raise BadInput("services needs supervisor, or docker for those that are containers.")
    manager = SupervisorServices(params["supervisor"], None)
    for service in params["services"]:
        paths = manager.logs_of(service, deadline=deadline)
        if not paths:
            raise BadInput(f"supervisord writes no log for {service}.", remedy="Name its file in sources.")
        sources += [{"service": service, "path": path} for path in paths]
    return sources


def _read(
    source: t.Mapping[str, t.Any],
    kept: Kept,
    params: t.Mapping[str, t.Any],
    engines: _Engines,
    *,
    since: float | None,
    now: float,
    deadline: Deadline,
) -> list[str]:
    """Take one source's lines; returns why something is missing."""
    most = size_bytes(params["max_read"], option="max_read")
    gaps: list[str] = []
    try:
        readers: list[tuple[str, FileSource | JournalSource | ContainerSource]] = []
        if source.get("container"):
            opened = functools.partial(engines.opened, source["url"])
            container = ContainerSource(source["container"], opened, since=since, max_bytes=most, deadline=deadline)
            readers.append((f"container {source['container']}", container))
        elif source.get("journal"):
            journal = JournalSource(source["journal"], since=since, directory=source.get("journal_directory"),
                                    max_bytes=most, deadline=deadline)  # fmt: skip
            readers.append((f"the journal of {source['journal']}", journal))
        else:
            for path in paths_of(source["path"]):
                file = FileSource(path, since=since, is_utc=False, encoding="utf-8", max_bytes=most, deadline=deadline,
                                  now=now)  # fmt: skip
                readers.append((path, file))
        for label, reader in readers:
            if not kept.take(reader.batches()):
                gaps.append(f"{label}: no line since {params['since']}, or none that tells its time")
            gaps += [gap if label in gap else f"{label}: {gap}" for gap in reader.reading.gaps]
            if reader.reading.unread_bytes:
                gaps.append(f"{label}: the oldest {reader.reading.unread_bytes} bytes were left out by max_read")
    except BadInput:
        raise
    except GoliveError as problem:
        gaps.append(problem.message)
    return gaps


def _packed(files: t.Mapping[str, bytes], moment: int) -> bytes:
    packed = io.BytesIO()
    with (
        gzip.GzipFile(fileobj=packed, mode="wb", mtime=moment) as stream,
        tarfile.open(fileobj=stream, mode="w") as archive,
    ):
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size, member.mode, member.mtime = len(content), 0o600, moment
            archive.addfile(member, io.BytesIO(content))
    return packed.getvalue()


def _write(path: str, bundle: bytes) -> None:
    folder = os.path.dirname(path)
    try:
        os.makedirs(folder, mode=0o700, exist_ok=True)
        write_whole(path, bundle, mode=0o600)
    except OSError as problem:
        raise ActionFailed(
            f"{path} cannot be written: {problem.strerror}.", remedy=f"Make room or give rights in {folder}."
        ) from None
