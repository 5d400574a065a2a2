# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""TLS handshakes that the items of a checklist share: some look at what was shown, others send over the connection.

What a connection showed stays known. The connection itself goes only to who waits for it already: one that is put aside unused
holds a place of the server's, and some servers answer it with 408 before anything was asked.
"""

from __future__ import annotations

import collections
import dataclasses
import ssl
import threading
import typing as t

from ansible_collections.opsready.golive.plugins.module_utils._clients import lending
from ansible_collections.opsready.golive.plugins.module_utils._core.clock import Deadline


class Wire(t.NamedTuple):
    """Where a handshake goes, which name it asks for, and the STARTTLS that is spoken before."""

    host: str
    port: int
    name: str
    starttls: str = "none"


@dataclasses.dataclass(frozen=True)
class Shown:
    """What a handshake showed; certificates in DER, leaf first."""

    version: str
    cipher: str
    sent: tuple[bytes, ...]
    #: With the trust anchor, as verified; empty where nothing was verified or this Python cannot tell.
    verified: tuple[bytes, ...]


def shown_by(wrapped: ssl.SSLSocket) -> Shown:
    """What an open connection's handshake showed."""
    cipher = wrapped.cipher()
    leaf = wrapped.getpeercert(binary_form=True)
    is_verified = wrapped.context.verify_mode == ssl.CERT_REQUIRED
    return Shown(
        version=wrapped.version() or "unknown",
        cipher=cipher[0] if cipher else "unknown",
        # Python 3.9 can only tell the leaf.
        sent=tuple(_chain_by(wrapped, "get_unverified_chain") or ([leaf] if leaf else [])),
        verified=tuple(_chain_by(wrapped, "get_verified_chain") if is_verified else []),
    )


def _chain_by(wrapped: ssl.SSLSocket, method: str) -> list[bytes]:
    # Public from Python 3.13 on; 3.10 to 3.12 have the same on the inner object, with certificates in place of bytes.
    source: t.Any = wrapped if hasattr(wrapped, method) else getattr(wrapped, "_sslobj", None)
    listed: t.Any = getattr(source, method, list)() or []
    return [item if isinstance(item, bytes) else ssl.PEM_cert_to_DER_cert(item.public_bytes()) for item in listed]


@dataclasses.dataclass
class _Place:
    """One wire: how many are shaking hands, and to look, how many wait for the connection of one that looks, and what was shown."""

    shaking: int = 0
    looking: int = 0
    waiting: int = 0
    shown: Shown | None = None
    handed: list[ssl.SSLSocket] = dataclasses.field(default_factory=list)


class Handshakes:
    """The verified ones of one run, by one policy. Any thread may ask.

    Who could share one that is under way waits for it at most lending.PATIENCE_SECONDS, and half of its own limit. What
    fails is nobody else's answer. ``shake`` connects and verifies; what it raises is raised.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._places: dict[Wire, _Place] = collections.defaultdict(_Place)

    def shown(self, wire: Wire, shake: t.Callable[[], ssl.SSLSocket], *, deadline: Deadline) -> Shown:
        """What was shown to whoever was there before, else to a handshake of our own."""
        with self._changed:
            place = self._places[wire]
            self._await(lambda: place.shown is not None or not place.shaking, wire, deadline)
            if place.shown is not None:
                return place.shown
            place.shaking += 1
            place.looking += 1
        plug: ssl.SSLSocket | None = None
        seen: Shown | None = None
        is_wanted = False
        try:
            plug = shake()
            seen = shown_by(plug)
            return seen
        finally:
            with self._changed:
                place.looking -= 1
                if seen is not None and plug is not None and place.waiting > len(place.handed):
                    is_wanted = True
                    place.handed.append(plug)
                self._end(place, seen)
            if plug is not None and not is_wanted:
                plug.close()

    def connection(self, wire: Wire, shake: t.Callable[[], ssl.SSLSocket], *, deadline: Deadline) -> ssl.SSLSocket:
        """A connection that nobody has sent anything over: of who is looking just now, else one of our own."""
        with self._changed:
            place = self._places[wire]
            place.waiting += 1
            try:
                self._await(lambda: bool(place.handed) or not place.looking, wire, deadline)
            finally:
                place.waiting -= 1
            if place.handed:
                return place.handed.pop()
            place.shaking += 1
        seen: Shown | None = None
        try:
            plug = shake()
            try:
                seen = shown_by(plug)
            except BaseException:
                plug.close()
                raise
            return plug
        finally:
            with self._changed:
                self._end(place, seen)

    def _await(self, is_done: t.Callable[[], bool], wire: Wire, deadline: Deadline) -> None:
        left = deadline.require(f"The TLS handshake with {wire.host}:{wire.port}")
        self._changed.wait_for(is_done, timeout=min(lending.PATIENCE_SECONDS, left / 2))

    def _end(self, place: _Place, seen: Shown | None) -> None:
        place.shaking -= 1
        place.shown = place.shown or seen
        self._changed.notify_all()
