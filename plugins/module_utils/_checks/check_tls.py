# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Judge TLS certificates, as they are served and as they lie on disk: trusted, named right, valid long enough, and the same.

Expiry has three rules. ``min_days`` fails below a number of days, for each certificate of the chain. ``min_lifetime_share`` warns when
a leaf that is renewed by a machine (a lifetime of at most 200 days) has less than that share of its lifetime left, and fails
below half of it: ACME clients renew at two thirds, so below one third a renewal was missed, whatever the days say.
``min_remaining`` is what people need to come and renew it by hand, for each certificate of the chain, and at most a sixth of its lifetime.
"""

from __future__ import annotations

import dataclasses
import datetime
import math
import typing as t

from ansible_collections.opsready.golive.plugins.module_utils._checks import shared_trust
from ansible_collections.opsready.golive.plugins.module_utils._clients import http, tls
from ansible_collections.opsready.golive.plugins.module_utils._core import units
from ansible_collections.opsready.golive.plugins.module_utils._core.argspec import Constraints, Spec, validated
from ansible_collections.opsready.golive.plugins.module_utils._core.clock import utc_text
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import BadInput, GoliveError
from ansible_collections.opsready.golive.plugins.module_utils._core.finding import (
    Criterion,
    at_least,
    holds,
    one_of,
    told_apart,
    unknown,
)
from ansible_collections.opsready.golive.plugins.module_utils._core.run import Run
from ansible_collections.opsready.golive.plugins.module_utils._core.side_by_side import side_by_side

NAME = "check_tls"

ENDPOINT: Spec = {
    "host": {"type": "str", "required": True},
    "port": {"type": "int", "default": 443},
    "sni": {"type": "str"},
    "connect_to": {"type": "str"},
    "addresses": {"type": "str", "choices": ["first", "all"]},
    "starttls": {"type": "str", "choices": list(tls.STARTTLS), "default": "none"},
    "match_file": {"type": "path"},
    "names": {"type": "list", "elements": "str"},
}

ARGUMENT_SPEC: Spec = {
    "endpoints": {"type": "list", "elements": "raw"},
    "addresses": {"type": "str", "choices": ["first", "all"], "default": "first"},
    "files": {
        "type": "list",
        "elements": "dict",
        "options": {
            "certificate": {"type": "path", "required": True},
            "chain": {"type": "path"},
            "key": {"type": "path", "no_log": False},
            "key_passphrase": {"type": "str", "no_log": True},
            "names": {"type": "list", "elements": "str"},
        },
    },
    "match_file": {"type": "path"},
    "names": {"type": "list", "elements": "str"},
    "ca_file": {"type": "path"},
    "min_days": {"type": "float", "default": 30.0},
    "min_lifetime_share": {"type": "float", "default": 0.33},
    "min_remaining": {"type": "str", "default": "48h"},
    "min_version": {"type": "str", "choices": ["TLSv1.2", "TLSv1.3"], "default": "TLSv1.2"},
    "refuses_older": {"type": "bool", "default": False},
    "min_rsa_bits": {"type": "int", "default": 2048},
}
CONSTRAINTS: Constraints = {"required_one_of": [["endpoints", "files"]]}

#: The longest lifetime that a public authority may issue since March 2026 (CA/Browser Forum ballot SC-081v3).
_RENEWED_BY_MACHINE = datetime.timedelta(days=200)
_BROKEN_HASHES = ("md5", "sha1", "unsupported")
_SMALLEST_EC_BITS = 224
#: Of its own lifetime a certificate need never have more left than this share: Caddy renews intermediates of seven days with 20 % to go.
_MOST_DEMANDED_SHARE = 1 / 6


@dataclasses.dataclass(frozen=True)
class Served:
    """What one endpoint showed, or why nothing is known of it."""

    label: str
    names: tuple[str, ...]
    handshake: tls.Handshake | None = None
    match_path: str = ""
    match_sha256: str = ""
    match_problem: str = ""
    problem: str = ""
    remedy: str = ""
    #: Of the name's several addresses this one, and how the endpoint is called without it.
    address: str = ""
    name: str = ""


@dataclasses.dataclass(frozen=True)
class Stored:
    """What one certificate file holds, or why nothing is known of it."""

    label: str
    names: tuple[str, ...]
    file: tls.CertificateFile | None = None
    problem: str = ""
    remedy: str = ""


@dataclasses.dataclass(frozen=True)
class Facts:
    """All endpoints and files, and the time they were looked at."""

    now: datetime.datetime
    served: tuple[Served, ...]
    stored: tuple[Stored, ...]


def _endpoints(params: t.Mapping[str, t.Any]) -> list[tuple[tls.Endpoint, dict[str, t.Any]]]:
    """Each endpoint in full: ``host:port`` or the long form. Raises BadInput."""
    return [_endpoint(given, number, params) for number, given in enumerate(params.get("endpoints") or (), 1)]


def _endpoint(given: t.Any, number: int, params: t.Mapping[str, t.Any]) -> tuple[tls.Endpoint, dict[str, t.Any]]:
    if isinstance(given, str):
        host, port = http.host_and_port(given, default_port=443)
        long_form = {"host": host, "port": port}
    elif isinstance(given, dict):
        long_form = given
    else:
        raise BadInput(f"endpoints: number {number} is neither host:port nor a dictionary.")
    options = validated(ENDPOINT, long_form, where=f"endpoints: number {number}")
    host, port = http.host_and_port(f"{_bracketed(options['host'])}:{options['port']}")
    connect_host, connect_port = (
        http.host_and_port(options["connect_to"]) if options.get("connect_to") else (host, port)
    )
    for option in ("names", "match_file", "addresses"):
        if options.get(option) is None:
            options[option] = params.get(option)
    sni = options.get("sni") or host
    return tls.Endpoint(host, port, sni, connect_host, connect_port, options["starttls"]), options


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host and not host.startswith("[") else host


def gather(params: t.Mapping[str, t.Any], *, run: Run) -> Facts:
    """One handshake per endpoint, or per address of it (a second one where it is refused), all side by side. Raises BadInput.

    What another item of the run was shown there, under the same name and by the same trust, is not asked for again.
    """
    for option in ("endpoints", "files", "names"):
        if params.get(option) == []:
            raise BadInput(f"{option} is empty, so nothing would be judged by it.")
    units.span_seconds(params["min_remaining"], option="min_remaining")
    endpoints = _endpoints(params)
    ca_file = params.get("ca_file")
    older_than = params["min_version"] if params.get("refuses_older") else None

    def look(endpoint: tls.Endpoint, options: t.Mapping[str, t.Any]) -> Served:
        context, handshakes = shared_trust.trust(ca_file, run=run)
        handshake = run.once(
            ("tls handshake", endpoint, ca_file),
            lambda: tls.shake(endpoint, context=context, handshakes=handshakes, deadline=run.deadline),
        )
        if older_than is not None:
            spoken = run.once(("tls spoken here",), tls.spoken_here)
            older, unoffered = run.once(
                ("tls older", endpoint, older_than),
                lambda: tls.older_versions(endpoint, older_than, spoken=spoken, deadline=run.deadline),
            )
            handshake = dataclasses.replace(handshake, older_versions=older, unoffered_versions=unoffered)
        served = Served(
            str(endpoint),
            tuple(options.get("names") or ()),
            handshake,
            address=endpoint.address,
            name=str(dataclasses.replace(endpoint, address="")),
        )
        return _beside_file(served, options["match_file"]) if options.get("match_file") else served

    looked_at = _at_addresses(endpoints, run)
    jobs = [lambda endpoint=endpoint, options=options: look(endpoint, options) for endpoint, options in looked_at]
    results = side_by_side(jobs, deadline=run.deadline)
    return Facts(
        now=run.clock.now(),
        served=tuple(_served_or_not(endpoint, result) for (endpoint, _options), result in zip(looked_at, results)),
        stored=tuple(_stored(given, params) for given in params.get("files") or ()),
    )


def _at_addresses(
    endpoints: t.Sequence[tuple[tls.Endpoint, dict[str, t.Any]]], run: Run
) -> list[tuple[tls.Endpoint, dict[str, t.Any]]]:
    """The endpoints, in their place once per address where all are wanted; one that does not resolve stays, to say so."""

    if all(options["addresses"] == "first" for _endpoint, options in endpoints):
        return list(endpoints)

    def found(endpoint: tls.Endpoint, options: t.Mapping[str, t.Any]) -> list[tls.Endpoint]:
        return tls.at_each_address(endpoint, deadline=run.deadline) if options["addresses"] == "all" else [endpoint]

    jobs = [lambda endpoint=endpoint, options=options: found(endpoint, options) for endpoint, options in endpoints]
    results = side_by_side(jobs, deadline=run.deadline)
    return [
        (one, options)
        for (endpoint, options), result in zip(endpoints, results)
        for one in ([endpoint] if isinstance(result, GoliveError) else result)
    ]


def _served_or_not(endpoint: tls.Endpoint, result: Served | GoliveError) -> Served:
    if isinstance(result, Served):
        return result
    if isinstance(result, BadInput):
        raise result
    return Served(str(endpoint), (), problem=result.message, remedy=result.remedy)


def _beside_file(served: Served, path: str) -> Served:
    try:
        on_disk = tls.certificate_file(path)
    except GoliveError as problem:
        return dataclasses.replace(served, match_path=path, match_problem=problem.message)
    return dataclasses.replace(served, match_path=path, match_sha256=on_disk.chain[0].sha256)


def _stored(given: t.Mapping[str, t.Any], params: t.Mapping[str, t.Any]) -> Stored:
    names = tuple(given.get("names") or params.get("names") or ())
    try:
        file = tls.certificate_file(
            given["certificate"],
            chain=given.get("chain"),
            key=given.get("key"),
            passphrase=given.get("key_passphrase"),
            ca_file=params.get("ca_file"),
        )
    except GoliveError as problem:
        return Stored(given["certificate"], names, problem=problem.message, remedy=problem.remedy)
    return Stored(given["certificate"], names, file)


def judge(facts: Facts, params: t.Mapping[str, t.Any]) -> t.Iterator[Criterion]:
    """Each endpoint's, then each file's criteria."""
    labels = told_apart([served.label for served in facts.served] + [stored.label for stored in facts.stored])
    for label, one in zip(labels, facts.served):
        served = dataclasses.replace(one, label=label)
        if served.handshake is None:
            yield unknown(served.label, served.problem.rstrip("."), remedy=served.remedy)
        else:
            yield from _judge_served(served, served.handshake, facts.now, params)
    yield from _judge_sameness(facts.served)
    for label, kept in zip(labels[len(facts.served) :], facts.stored):
        stored = dataclasses.replace(kept, label=label)
        if stored.file is None:
            yield unknown(stored.label, stored.problem.rstrip("."), remedy=stored.remedy)
        else:
            yield from _judge_stored(stored, stored.file, facts.now, params)


def _judge_served(
    served: Served, seen: tls.Handshake, now: datetime.datetime, params: t.Mapping[str, t.Any]
) -> t.Iterator[Criterion]:
    label = served.label
    yield _judge_trust(label, seen, now)
    accepted = list(tls.VERSIONS[tls.VERSIONS.index(params["min_version"]) :])
    yield one_of(f"{label} protocol", seen.version, accepted)
    if seen.older_versions is not None:
        yield _judge_older(label, seen.older_versions, seen.unoffered_versions, params["min_version"])
    if not seen.chain:
        return
    # The anchor comes from this host's own store, so the verified chain knows more than the one that was sent.
    yield from _judge_chain(label, seen.verified or seen.chain, now, params)
    yield from _judge_names(label, seen.chain, served.names)
    if served.match_problem:
        yield unknown(f"{label} served certificate", served.match_problem.rstrip("."))
    elif served.match_path:
        same = seen.chain[0].sha256 == served.match_sha256
        yield holds(
            f"{label} served certificate",
            same,
            measured=f"sha256 {seen.chain[0].sha256[:16]}",
            expected=f"sha256 {served.match_sha256[:16]}",
            sentence=f"{label} serves another certificate than the one in {served.match_path}",
            remedy="The file was renewed and the server not reloaded, or the server uses another file: reload it.",
        )


def _judge_sameness(served: t.Sequence[Served]) -> t.Iterator[Criterion]:
    """All addresses of a name show the same leaf; one that showed none is judged by itself."""
    leaves: dict[str, dict[str, tls.Certificate]] = {}
    for one in served:
        if one.address and one.handshake is not None and one.handshake.chain:
            leaves.setdefault(one.name, {})[one.address] = one.handshake.chain[0]
    for name, by_address in leaves.items():
        if len(by_address) < 2:
            continue
        shown: dict[str, list[str]] = {}
        for address, leaf in by_address.items():
            told = f"sha256 {leaf.sha256[:16]} until {utc_text(leaf.not_after)}"
            shown.setdefault(told, []).append(address)
        measured = "; ".join(f"{told} at {', '.join(addresses)}" for told, addresses in shown.items())
        yield holds(
            f"{name} at every address",
            len(shown) == 1,
            measured=measured,
            expected="the same certificate",
            sentence=f"{name} does not show the same certificate at every address: {measured}",
            remedy="Give every server behind the name the newest certificate, and reload each.",
            level="warn",
        )


def _judge_trust(label: str, seen: tls.Handshake, now: datetime.datetime) -> Criterion:
    if not seen.chain:
        return holds(
            f"{label} trust",
            False,
            measured="no certificate",
            expected="trusted",
            sentence=f"{label} shows no certificate, so clients refuse it: {seen.refusal}",
            remedy="Give the server a certificate and its key, and forbid anonymous ciphers (aNULL).",
        )
    why, remedy = _explanation(seen, now)
    return holds(
        f"{label} trust",
        not seen.refusal,
        measured=seen.refusal or "trusted",
        expected="trusted",
        sentence=f"{label} is refused by clients: {seen.refusal}{why}",
        remedy=remedy,
    )


def _judge_older(label: str, taken: t.Sequence[str], unoffered: t.Sequence[str], lowest: str) -> Criterion:
    """What cannot be offered from here is unknown, unless the endpoint has taken another that is too old."""
    name = f"{label} older protocols"
    if unoffered and not taken:
        versions = ", ".join(unoffered)
        return unknown(
            name,
            f"{name} are unknown: the OpenSSL policy of this host does not let us offer {versions}",
            remedy=f"Ask from a host whose OpenSSL still speaks {versions}.",
        )
    older = ", ".join(taken)
    return holds(
        name,
        not taken,
        measured=older or "refused",
        expected="refused",
        sentence=f"{label} still speaks {older}",
        remedy=f"Set {lowest} as the lowest version of the server.",
    )


def _explanation(seen: tls.Handshake, now: datetime.datetime) -> tuple[str, str]:
    """What the chain says about a refusal, beyond OpenSSL's words."""
    leaf, last = seen.chain[0], seen.chain[-1]
    if not seen.refusal:
        return "", ""
    if leaf.not_after < now or leaf.not_before > now:
        return (
            f" (valid from {utc_text(leaf.not_before)} to {utc_text(leaf.not_after)})",
            "Renew the certificate; check this host's clock.",
        )
    if "ostname" in seen.refusal or "IP address" in seen.refusal:
        return (
            f" (it is for {', '.join(leaf.names) or 'no name'})",
            "Issue the certificate for the name that users type.",
        )
    if leaf.is_self_issued:
        return " (it is signed by itself)", "Use a certificate of an authority, or give this one as ca_file."
    if not last.is_self_issued:
        return (
            f" (the chain of {len(seen.chain)} ends at {last.issuer}, which is not among the trusted)",
            "Let the server send its intermediate certificates, or give the private authority as ca_file.",
        )
    return f" (its root is {last.subject})", "Give the private authority as ca_file."


def _judge_chain(
    label: str, chain: t.Sequence[tls.Certificate], now: datetime.datetime, params: t.Mapping[str, t.Any]
) -> t.Iterator[Criterion]:
    for depth, certificate in enumerate(chain):
        called = label if depth == 0 else f"{label} issuer {certificate.subject}"
        # Rounded down, so that what is printed as 30 is at least 30.
        left = math.floor((certificate.not_after - now).total_seconds() / 8640) / 10
        lifetime = certificate.lifetime.total_seconds() / 86400
        remedy = "Renew the certificate and reload the server."
        if lifetime < params["min_days"]:
            remedy = (
                f"Its whole lifetime is {lifetime:.0f} days, so min_days can never hold: set min_days to 0 or little, and let "
                "min_lifetime_share judge."
            )
        yield at_least(f"{called} days left", left, params["min_days"], unit="days", remedy=remedy)
        share = (certificate.not_after - now) / certificate.lifetime if certificate.lifetime else 0.0
        yield _judge_remaining(called, certificate, now, params)
        if depth == 0 and certificate.lifetime <= _RENEWED_BY_MACHINE:
            yield at_least(
                f"{called} share of the lifetime left",
                round(share, 3),
                params["min_lifetime_share"],
                level="fail" if share < params["min_lifetime_share"] / 2 else "warn",
                remedy="A renewal was missed: look at the ACME client's log.",
            )
        if certificate.not_before > now:
            yield holds(
                f"{called} start",
                False,
                measured=utc_text(certificate.not_before),
                expected="in the past",
                remedy="Wait for it, or correct this host's clock.",
            )
        yield from _judge_strength(called, certificate, params)
    leaf = chain[0]
    yield holds(
        f"{label} usage", leaf.serves_tls, measured="server" if leaf.serves_tls else "another use", expected="server"
    )


def _judge_remaining(
    called: str, certificate: tls.Certificate, now: datetime.datetime, params: t.Mapping[str, t.Any]
) -> Criterion:
    left = (certificate.not_after - now).total_seconds()
    demanded = units.span_seconds(params["min_remaining"], option="min_remaining")
    demanded = min(demanded, certificate.lifetime.total_seconds() * _MOST_DEMANDED_SHARE)
    return holds(
        f"{called} time left",
        left >= demanded,
        measured=units.span_text(left),
        expected=f"at least {units.span_text(demanded)}",
        remedy="Renew the certificate now and reload the server.",
    )


def _judge_strength(called: str, certificate: tls.Certificate, params: t.Mapping[str, t.Any]) -> t.Iterator[Criterion]:
    if not certificate.is_self_issued or not certificate.is_ca:
        # A root's own signature protects nothing: it is trusted by being in the store.
        good = certificate.signature_hash not in _BROKEN_HASHES
        yield holds(f"{called} signature", good, measured=certificate.signature_hash, expected="SHA-2")
    if certificate.key_kind == "RSA":
        yield at_least(f"{called} RSA key", certificate.key_bits, params["min_rsa_bits"], unit="bits")
    elif certificate.key_kind == "EC":
        yield at_least(f"{called} EC key", certificate.key_bits, _SMALLEST_EC_BITS, unit="bits")


def _judge_names(label: str, chain: t.Sequence[tls.Certificate], names: t.Sequence[str]) -> t.Iterator[Criterion]:
    if names:
        missing = [name for name in names if not tls.matching(chain[0].names, name)]
        yield holds(
            f"{label} names",
            not missing,
            measured=", ".join(chain[0].names) or "none",
            expected=", ".join(names),
            sentence=f"{label} is not for {', '.join(missing)}, but for {', '.join(chain[0].names) or 'no name'}",
        )


def _judge_stored(
    stored: Stored, file: tls.CertificateFile, now: datetime.datetime, params: t.Mapping[str, t.Any]
) -> t.Iterator[Criterion]:
    label = stored.label
    yield from _judge_chain(label, file.chain, now, params)
    yield from _judge_names(label, file.chain, stored.names)
    if file.is_trusted is not None:
        last = file.chain[-1]
        yield holds(
            f"{label} trust",
            file.is_trusted,
            measured="trusted" if file.is_trusted else f"ends at {last.issuer}",
            expected="trusted",
            sentence=f"{label} does not lead to an authority that is trusted: the chain of {len(file.chain)} ends at {last.issuer}",
            remedy="Write the intermediate certificates behind the leaf or into chain, or give the private authority as ca_file.",
        )
    if len(file.chain) > 1:
        yield holds(
            f"{label} order",
            file.is_linked,
            measured="linked" if file.is_linked else "not linked",
            expected="linked",
            sentence=f"{label}: a certificate of the chain is not signed by the next one",
            remedy="Write the leaf first, then each issuer.",
        )
    if file.key_problem:
        yield unknown(f"{label} key", file.key_problem.rstrip("."))
    elif file.key_path:
        yield holds(
            f"{label} key",
            file.key_matches,
            measured="matches" if file.key_matches else "another key",
            expected="matches",
            sentence=f"the key {file.key_path} does not belong to {label}",
        )
        mode = file.key_mode or 0
        yield holds(
            f"{label} key mode",
            not mode & 0o007,
            measured=f"{mode:04o}",
            expected="nothing for others",
            sentence=f"the key {file.key_path} can be read by everybody (mode {mode:04o})",
            remedy=f"chmod 0600 {file.key_path}, and consider the key stolen.",
        )


def evidence(facts: Facts) -> dict[str, t.Any]:
    """The public facts of each certificate."""
    told: dict[str, t.Any] = {}
    for served in facts.served:
        seen = served.handshake
        told[served.label] = (
            {"problem": served.problem}
            if seen is None
            else {
                "protocol": seen.version,
                "cipher": seen.cipher,
                "trust": seen.refusal or "trusted",
                "chain": [_public(certificate, facts.now) for certificate in seen.chain],
                "anchor": seen.verified[-1].subject if seen.verified else None,
            }
        )
    for stored in facts.stored:
        chain = stored.file.chain if stored.file else ()
        told[stored.label] = (
            {"chain": [_public(certificate, facts.now) for certificate in chain]}
            if chain
            else {"problem": stored.problem}
        )
    return told


def _public(certificate: tls.Certificate, now: datetime.datetime) -> dict[str, t.Any]:
    return {
        "subject": certificate.subject,
        "issuer": certificate.issuer,
        "not_before": utc_text(certificate.not_before),
        "not_after": utc_text(certificate.not_after),
        "days_left": round((certificate.not_after - now).total_seconds() / 86400, 1),
        "names": list(certificate.names),
        "sha256": certificate.sha256,
        "key": f"{certificate.key_kind} {certificate.key_bits}",
        "signature": certificate.signature_hash,
    }
