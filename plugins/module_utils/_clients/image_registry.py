# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Registries of images: manifests and blobs by their digests, as the OCI Distribution Specification has them asked.

A registry may ask for a login by Basic, or by Bearer with a token that another server gives out for each repository.
"""

from __future__ import annotations

import contextlib
import re
import typing as t
from urllib.parse import urlencode

from ansible_collections.opsready.golive.plugins.module_utils._clients import http
from ansible_collections.opsready.golive.plugins.module_utils._core.clock import Deadline
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import (
    BadInput,
    Denied,
    GoliveError,
    UnexpectedAnswer,
    Unreachable,
)

#: [registry/]name[:tag][@digest], as https://pkg.go.dev/github.com/distribution/reference writes it; or an image's own id.
REFERENCE = re.compile(
    r"(?P<id>sha256:[0-9a-f]{64})|"
    r"(?P<name>(?:[A-Za-z0-9.-]+(?::[0-9]{1,5})?/)?[a-z0-9]+(?:[._/-]+[a-z0-9]+)*)"
    r"(?::(?P<tag>[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}))?(?:@(?P<digest>sha256:[0-9a-f]{64}))?"
)
#: What a repository is called in a registry.
REPOSITORY = re.compile(r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*")
#: Registries need not take larger manifests.
MOST_MANIFEST_BYTES = 4 * 1024 * 1024
INDEXES = ("application/vnd.oci.image.index.v1+json", "application/vnd.docker.distribution.manifest.list.v2+json")
MANIFESTS = ("application/vnd.oci.image.manifest.v1+json", "application/vnd.docker.distribution.manifest.v2+json")

#: What registries say of themselves in each answer; not all do.
_REGISTRY_HEADER = "Docker-Distribution-API-Version"
_QUOTED = re.compile(r'"(?:\\.|[^"\\])*"')
#: Where a challenge begins: a word, with a parameter behind it or nothing.
_CHALLENGE = re.compile(r"(?:^|,)\s*([A-Za-z][A-Za-z0-9-]{0,30})(?=\s+[^\s=,]|\s*(?:,|$))")
_PARAMETER = re.compile(r'([A-Za-z][A-Za-z0-9_-]{0,30})\s*=\s*("(?:\\.|[^"\\])*"|[^\s,"]+)')
_TOKEN = re.compile(r"[\x21-\x7e]+")


class NotThere(GoliveError):
    """The registry, or an archive, has no manifest or blob of this digest."""


def recognised(answer: http.Response) -> tuple[bool, str]:
    """Whether a registry answered who asks without a login (OCI Distribution Specification, end-1), and what shows it.

    Any web server has an answer with status 200, such as the page of a login, or asks for a password.
    """
    if answer.status in (200, 401) and answer.header(_REGISTRY_HEADER) is not None:
        return True, f"a {_REGISTRY_HEADER} header"
    if answer.status == 401:
        schemes = list(challenges(answer))
        if "bearer" in schemes:
            return True, "a Bearer challenge"
        asked = f"a challenge of {' and '.join(schemes)}" if schemes else "no WWW-Authenticate header"
        return False, f"{asked}, no {_REGISTRY_HEADER} header"
    if answer.status == 200:
        with contextlib.suppress(GoliveError):
            if isinstance(answer.json(), dict):
                return True, "a JSON object"
    kind = (answer.header("Content-Type") or "no type").partition(";")[0]
    kind = "".join(letter for letter in kind if letter.isprintable())[:60]
    return False, f"{len(answer.body)} bytes of {kind}, no {_REGISTRY_HEADER} header"


def challenges(answer: http.Response) -> dict[str, dict[str, str]]:
    """How one may log in, in small letters, each with its parameters (RFC 9110, 11.6.1): ``Basic realm="x", Bearer realm="y"``."""
    text = answer.header("WWW-Authenticate") or ""
    # Of one length, so that a place in it is one in the text.
    bare = _QUOTED.sub(lambda match: '"' + "x" * (len(match[0]) - 2) + '"', text)
    begins = list(_CHALLENGE.finditer(bare))
    ends = [begin.start() for begin in begins[1:]] + [len(text)]
    found: dict[str, dict[str, str]] = {}
    for begin, end in zip(begins, ends):
        parameters = {name.lower(): _unquoted(value) for name, value in _PARAMETER.findall(text[begin.end() : end])}
        found.setdefault(begin[1].lower(), parameters)
    return found


def _unquoted(value: str) -> str:
    return re.sub(r"\\(.)", r"\1", value[1:-1]) if value.startswith('"') else value


class Registry:
    """Questions to one registry, from several threads; close it, or use it in a ``with``."""

    def __init__(self, url: str, *, username: str | None, password: str | None, ca_file: str | None) -> None:
        """``url`` is scheme, host and port. Raises BadInput."""
        self.url = url.rstrip("/")
        self.origin, target = http.origin_of(self.url)
        if target != "/" or "#" in url:
            raise BadInput(f"The URL {self.url!r} of a registry has a path.", remedy="Name host and port alone.")
        self._username = username
        self._login = http.basic(username, password)
        self._connections = http.Connections(context=http.trust(ca_file) if self.origin.scheme == "https" else None)
        self._authorizations: dict[str, dict[str, str]] = {}

    def __enter__(self) -> Registry:
        return self

    def __exit__(self, *ignored: object) -> None:
        self.close()

    def close(self) -> None:
        """End the connections that nobody uses."""
        self._connections.close()

    def require(self, *, deadline: Deadline) -> None:
        """Raises Unreachable, TimedOut, Denied, or UnexpectedAnswer where something else than a registry answers."""
        answer = self._asked("GET", "", "", deadline=deadline)
        is_registry, seen = recognised(answer)
        if not is_registry:
            raise UnexpectedAnswer(
                f"{self.url} may be no registry: it answered status {answer.status} for /v2/ with {seen}.",
                remedy="A web server, a login page or a proxy answers there: name the registry itself.",
            )

    def manifest(self, repository: str, digest: str, *, deadline: Deadline) -> bytes:
        """A manifest's or an index's own bytes. Raises NotThere, Unreachable, TimedOut, Denied, UnexpectedAnswer."""
        path = f"{repository}/manifests/{digest}"
        kinds = {"Accept": ", ".join((*INDEXES, *MANIFESTS))}
        answer = self._asked("GET", path, repository, deadline=deadline, headers=kinds, max_body=MOST_MANIFEST_BYTES)
        self._require_found(answer, path)
        if answer.is_truncated:
            raise UnexpectedAnswer(
                f"{self.url}/v2/{path} has more than the {MOST_MANIFEST_BYTES // 2**20} MiB that are read of a manifest."
            )
        return answer.content()

    def blob(self, repository: str, digest: str, *, deadline: Deadline) -> int | None:
        """The blob's size in bytes, None where it is not told; it is not read. Raises as ``manifest`` does."""
        path = f"{repository}/blobs/{digest}"
        answer = self._asked("HEAD", path, repository, deadline=deadline)
        if answer.hops and answer.status not in (200, 404):
            # A store that it redirects to may have signed the address for GET alone.
            answer = self._asked("GET", path, repository, deadline=deadline, headers={"Range": "bytes=0-0"}, max_body=1)
        self._require_found(answer, path)
        told = (answer.header("Content-Range") or "").rpartition("/")[2] or answer.header("Content-Length") or ""
        return int(told) if re.fullmatch(r"[0-9]{1,18}", told) else None

    def _require_found(self, answer: http.Response, path: str) -> None:
        if answer.status == 404:
            raise NotThere(f"{self.url} has no {path}.")
        if answer.status not in (200, 206):
            raise Unreachable(f"{self.url}/v2/{path} answered with status {answer.status}.")

    def _asked(
        self,
        method: str,
        path: str,
        repository: str,
        *,
        deadline: Deadline,
        headers: t.Mapping[str, str] | None = None,
        max_body: int = http.MAX_BODY_BYTES,
    ) -> http.Response:
        """An answer, with a login where one is asked for; ``repository`` is what it is for. Raises Denied where it is refused."""
        url = f"{self.url}/v2/{path}"

        def ask() -> http.Response:
            with self._connections.lent() as client:
                return client.request(
                    method,
                    url,
                    deadline=deadline,
                    headers=headers,
                    secret_headers=self._authorizations.get(repository),
                    follow=True,
                    max_body=max_body,
                )

        answer = ask()
        if answer.status == 401 and not answer.hops:  # nobody else is shown the login
            self._authorizations[repository] = self._authorization(answer, repository, deadline)
            answer = ask()
        if answer.status in (401, 403) and not answer.hops:
            whom = f"the login of {self._username}" if self._username else "who has no login"
            raise Denied(
                f"{url} refuses {whom} with status {answer.status}.",
                remedy="Give a username and password that may pull from that repository; there may be none of that name.",
            )
        return answer

    def _authorization(self, answer: http.Response, repository: str, deadline: Deadline) -> dict[str, str]:
        asked = challenges(answer)
        if "bearer" in asked:
            return http.bearer(self._token(asked["bearer"], repository, deadline))
        if "basic" in asked and self._login:
            return self._login
        schemes = " or ".join(asked) or "none that it names"
        raise Denied(
            f"{self.url} asks for a login ({schemes}).", remedy="Give username and password of one that may pull there."
        )

    def _token(self, challenge: t.Mapping[str, str], repository: str, deadline: Deadline) -> str:
        """A token for pulling, from the server that the challenge names; without a login it is one for anybody."""
        realm = challenge.get("realm", "")
        try:
            origin, _target = http.origin_of(realm)
        except BadInput:
            raise UnexpectedAnswer(f"{self.url} asks for a token, and names no server that gives it out.")
        if self.origin.scheme == "https" and origin.scheme != "https":
            raise UnexpectedAnswer(f"{self.url} asks for a token of {origin}, which would be asked for it without TLS.")
        scope = challenge.get("scope") or (f"repository:{repository}:pull" if repository else "")
        wanted = {"service": challenge.get("service", ""), "scope": scope}
        query = urlencode({name: value for name, value in wanted.items() if value})
        with self._connections.lent() as client:
            answer = client.request(
                "GET",
                f"{realm}{'&' if '?' in realm else '?'}{query}",
                deadline=deadline,
                secret_headers=self._login,
            )
        if answer.status in (401, 403):
            whom = f"the login of {self._username}" if self._username else "a token to who has no login"
            raise Denied(
                f"{origin} refuses {whom} with status {answer.status}.",
                remedy="Give username and password of one that may pull there.",
            )
        if answer.status != 200:
            raise Unreachable(f"{origin} answered with status {answer.status} when it was asked for a token.")
        document = answer.json()
        told = document.get("token") or document.get("access_token") if isinstance(document, dict) else None
        if not isinstance(told, str) or not _TOKEN.fullmatch(told):
            raise UnexpectedAnswer(f"{origin} answered without a token when it was asked for one.")
        return told
