# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""DNS: as this host's programs resolve a name (its hosts file included), or as one name server answers, over dnspython."""

from __future__ import annotations

import dataclasses
import importlib
import ipaddress
import socket
import typing as t

from ansible_collections.opsready.golive.plugins.module_utils._core.clock import Deadline
from ansible_collections.opsready.golive.plugins.module_utils._core.deps import require
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import (
    BadInput,
    TimedOut,
    UnexpectedAnswer,
    Unreachable,
)

TYPES = ("A", "AAAA", "CNAME", "MX", "NS", "TXT")
FAMILIES = {"A": socket.AF_INET, "AAAA": socket.AF_INET6}
#: Some resolvers tell the two apart; programs see no address either way.
_NO_ADDRESS = {socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME)}


@dataclasses.dataclass(frozen=True)
class Answer:
    """What a name resolved to; nothing where there is no such name, or no such record. The lifetime is in seconds."""

    values: tuple[str, ...]
    exists: bool
    ttl: int | None = None


def resolved(name: str, family: int = socket.AF_UNSPEC) -> Answer:
    """The addresses that this host's programs get for a name. It may block: the resolver's time-outs are not ours.

    Raises Unreachable where no resolver answered, BadInput for what is no name.
    """
    try:
        found = socket.getaddrinfo(name, None, family, socket.SOCK_STREAM)
    except socket.gaierror as problem:
        if problem.errno in _NO_ADDRESS or problem.errno == getattr(socket, "EAI_ADDRFAMILY", None):
            return Answer((), False)
        raise Unreachable(
            f"{name} cannot be resolved by this host: {problem.strerror}.",
            remedy="See /etc/resolv.conf and its servers.",
        )
    except (UnicodeError, ValueError) as problem:
        raise BadInput(f"{name!r} is no name that can be resolved: {problem}.")
    addresses = sorted({str(entry[4][0]).partition("%")[0] for entry in found})
    return Answer(tuple(addresses), bool(addresses))


def server_address(text: str) -> tuple[str, int]:
    """Address and port of a name server: ``10.0.0.53``, ``10.0.0.53:5353``, ``2001:db8::53``, ``[2001:db8::53]:5353``, or a name."""
    host, port = text, "53"
    if text.startswith("["):
        host, _bracket, rest = text[1:].partition("]")
        port = rest[1:] if rest.startswith(":") else rest or "53"
    elif text.count(":") == 1:
        host, port = text.split(":")
    if not port.isdigit() or not 0 < int(port) < 65536 or not host:
        raise BadInput(f"{text!r} is no name server, expected an address or a name, with a port behind a colon.")
    try:
        return str(ipaddress.ip_address(host)), int(port)
    except ValueError:
        found = resolved(host).values
    if not found:
        raise Unreachable(f"The name server {host} has no address.")
    return found[0], int(port)


def asked(name: str, kind: str, *, server: str | None, deadline: Deadline) -> Answer:
    """The records of one type, from a name server or, without one, from those of /etc/resolv.conf.

    Raises TimedOut, Unreachable, UnexpectedAnswer, BadInput, MissingLibrary.
    """
    require("dns")
    library = importlib.import_module("dns.resolver")
    errors = importlib.import_module("dns.exception")
    where = server or "the host's resolver"
    try:
        resolver = library.Resolver(configure=server is None)
    except library.NoResolverConfiguration:
        raise Unreachable("This host has no /etc/resolv.conf with a name server.")
    if server is not None:
        address, port = server_address(server)
        resolver.nameservers, resolver.port = [address], port
    seconds = deadline.require(f"Asking {where} for {name}")
    try:
        found = resolver.resolve(name, kind, search=False, lifetime=seconds, raise_on_no_answer=False)
    except library.NXDOMAIN:
        return Answer((), False)
    except library.LifetimeTimeout:
        raise TimedOut(f"{where} did not answer for {name} within {seconds:.1f} s.")
    except library.NoNameservers as problem:
        said = str(problem).rpartition("answered ")[2] or "nothing usable"
        raise UnexpectedAnswer(f"{where} gave no answer for {name}: {said.rstrip('.')}.")
    except (errors.DNSException, UnicodeError, OSError) as problem:
        raise BadInput(f"{name!r} cannot be asked for at {where}: {problem}.")
    records = found.rrset or ()
    values = tuple(sorted(_text(kind, record) for record in records))
    return Answer(values, True, int(found.rrset.ttl) if found.rrset is not None else None)


def _text(kind: str, record: t.Any) -> str:
    if kind == "TXT":
        return b"".join(record.strings).decode("utf-8", "replace")
    return canonical(kind, str(record))


def canonical(kind: str, value: str) -> str:
    """A value in the one form in which two are compared: names without the last dot and in small letters, short IPv6."""
    if kind == "TXT":
        return value
    if kind in FAMILIES:
        try:
            return str(ipaddress.ip_address(value.strip()))
        except ValueError:
            return value.strip()
    return " ".join(value.lower().split()).rstrip(".")
