# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""TLS as a client meets it: the real policy's verdict, the chain that was sent, and certificates and keys in files.

A first handshake verifies, as every client does, and its verdict is OpenSSL's own. Only when that fails a second one without
verification fetches the chain, to explain the refusal; nothing is ever sent over it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import hashlib
import os
import socket
import ssl
import stat
import tempfile
import typing as t
import warnings

from ansible_collections.opsready.golive.plugins.module_utils._clients.handshakes import (
    Handshakes,
    Shown,
    Wire,
    shown_by,
)
from ansible_collections.opsready.golive.plugins.module_utils._clients.http import (
    NotTrusted,
    connected,
    resolved,
    secured,
)
from ansible_collections.opsready.golive.plugins.module_utils._core.clock import Deadline
from ansible_collections.opsready.golive.plugins.module_utils._core.deps import require
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import (
    Denied,
    GoliveError,
    TimedOut,
    UnexpectedAnswer,
    Unreachable,
)
from ansible_collections.opsready.golive.plugins.module_utils._core.scrub import beginning_of

#: From old to new, as OpenSSL names them.
VERSIONS = ("SSLv3", "TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3")
STARTTLS = ("none", "postgres", "smtp", "imap", "pop3", "ftp")
_POSTGRES_SSL_REQUEST = bytes.fromhex("0000000804d2162f")
#: Per protocol: the greeting's prefix, what we say, and the prefix of the answer that agrees (RFC 3207, 9051, 2595, 4217).
_DIALOGUES: dict[str, tuple[bytes, tuple[tuple[bytes, bytes], ...]]] = {
    "smtp": (b"220", ((b"EHLO opsready.invalid\r\n", b"250"), (b"STARTTLS\r\n", b"220"))),
    "imap": (b"* OK", ((b"a1 STARTTLS\r\n", b"a1 OK"),)),
    "pop3": (b"+OK", ((b"STLS\r\n", b"+OK"),)),
    "ftp": (b"220", ((b"AUTH TLS\r\n", b"234"),)),
}
_LONGEST_LINE = 4096
_MOST_LINES = 100
#: A full handshake takes two flights of each side in TLS 1.2 and before, fewer in TLS 1.3.
_MOST_FLIGHTS = 4


@dataclasses.dataclass(frozen=True)
class Endpoint:
    """Where to connect, and which name to ask for."""

    host: str
    port: int
    sni: str
    connect_host: str
    connect_port: int
    starttls: str = "none"
    #: One of the addresses of the host, where each is looked at by itself.
    address: str = ""

    def __str__(self) -> str:
        name = f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"
        named = name if self.sni == self.host else f"{name} ({self.sni})"
        return f"{named} at {self.address}" if self.address else named


@dataclasses.dataclass(frozen=True)
class Certificate:
    """A certificate's public facts. Times are UTC."""

    subject: str
    issuer: str
    serial: str
    not_before: datetime.datetime
    not_after: datetime.datetime
    names: tuple[str, ...]
    sha256: str
    key_sha256: str
    key_kind: str
    key_bits: int
    signature_hash: str
    is_ca: bool
    is_self_issued: bool
    #: Fit to serve TLS by its extended key usage; true where it names no usage.
    serves_tls: bool

    @property
    def lifetime(self) -> datetime.timedelta:
        return self.not_after - self.not_before


@dataclasses.dataclass(frozen=True)
class Handshake:
    """What an endpoint showed. ``refusal`` is OpenSSL's reason why a client would not go on."""

    version: str
    cipher: str
    chain: tuple[Certificate, ...]
    #: With the trust anchor, as verified; empty where verification failed or this Python cannot tell.
    verified: tuple[Certificate, ...] = ()
    refusal: str = ""
    #: Older versions that the endpoint still speaks; None where that was not tried.
    older_versions: tuple[str, ...] | None = None
    #: Older versions that this host cannot offer, so that nobody knows whether the endpoint speaks them.
    unoffered_versions: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class CertificateFile:
    """A file of certificates, leaf first, and what its key file says."""

    path: str
    chain: tuple[Certificate, ...]
    #: True where each certificate is signed by the next one.
    is_linked: bool
    #: Whether it leads to an authority of those that were named; None where none were.
    is_trusted: bool | None = None
    key_path: str = ""
    key_matches: bool | None = None
    key_mode: int | None = None
    key_problem: str = ""


def certificate_of(der: bytes) -> Certificate:
    """Read a certificate in DER. Raises UnexpectedAnswer, MissingLibrary."""
    require("cryptography")
    from cryptography import x509

    try:
        return _facts_of(x509.load_der_x509_certificate(der))
    except ValueError:
        raise UnexpectedAnswer("The server sent a certificate that cannot be read.")


def _facts_of(certificate: t.Any) -> Certificate:
    from cryptography import x509
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import hashes, serialization

    try:
        digest = certificate.signature_hash_algorithm
        signature_hash = digest.name if digest else "none"  # Ed25519 hashes inside
    except UnsupportedAlgorithm:
        signature_hash = "unsupported"
    key = certificate.public_key()
    spki = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return Certificate(
        subject=certificate.subject.rfc4514_string(),
        issuer=certificate.issuer.rfc4514_string(),
        serial=f"{certificate.serial_number:x}",
        not_before=certificate.not_valid_before_utc,
        not_after=certificate.not_valid_after_utc,
        names=_names_of(certificate),
        sha256=certificate.fingerprint(hashes.SHA256()).hex(),
        key_sha256=_sha256(spki),
        key_kind=type(key).__name__.replace("PublicKey", "").lstrip("_").replace("EllipticCurve", "EC"),
        key_bits=int(getattr(key, "key_size", 256)),
        signature_hash=signature_hash,
        is_ca=bool(getattr(_extension(certificate, x509.BasicConstraints), "ca", False)),
        is_self_issued=certificate.subject == certificate.issuer,
        serves_tls=_serves_tls(certificate),
    )


def _sha256(octets: bytes) -> str:
    return hashlib.sha256(octets).hexdigest()


def _extension(certificate: t.Any, kind: t.Any) -> t.Any:
    """The extension's value; None where it is absent or cannot be read."""
    from cryptography import x509

    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except (x509.ExtensionNotFound, x509.DuplicateExtension, ValueError):
        return None


def _names_of(certificate: t.Any) -> tuple[str, ...]:
    from cryptography import x509

    listed: t.Any = _extension(certificate, x509.SubjectAlternativeName) or ()
    return tuple(str(name.value) for name in listed if isinstance(name, (x509.DNSName, x509.IPAddress)))


def _serves_tls(certificate: t.Any) -> bool:
    from cryptography import x509
    from cryptography.x509.oid import ExtendedKeyUsageOID

    usages = _extension(certificate, x509.ExtendedKeyUsage)
    if usages is None:
        return True
    return ExtendedKeyUsageOID.SERVER_AUTH in usages or ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE in usages


def at_each_address(endpoint: Endpoint, *, deadline: Deadline) -> list[Endpoint]:
    """The endpoint once for each address that its host has now. Raises Unreachable, TimedOut."""
    found = resolved(endpoint.connect_host, endpoint.connect_port, deadline=deadline)
    addresses = dict.fromkeys(str(address[0]) for _family, address in found)
    return [dataclasses.replace(endpoint, connect_host=address, address=address) for address in addresses]


def shake(endpoint: Endpoint, *, context: ssl.SSLContext, handshakes: Handshakes, deadline: Deadline) -> Handshake:
    """The handshake of an ordinary client, explained where it fails. Raises Unreachable, TimedOut, UnexpectedAnswer.

    ``handshakes`` are those verified by ``context`` before: one on the same wire is this one too.
    """
    wire = Wire(endpoint.connect_host, endpoint.connect_port, endpoint.sni, endpoint.starttls)
    try:
        return _read(handshakes.shown(wire, lambda: _secured(endpoint, context, deadline), deadline=deadline))
    except NotTrusted as problem:
        refusal = str(problem.known["verify_message"])
    except UnexpectedAnswer as problem:
        refusal = problem.message.rstrip(".")
    try:
        seen = _shaken(endpoint, _unverifying(), deadline)
    except UnexpectedAnswer:
        raise UnexpectedAnswer(f"{refusal}.")
    return dataclasses.replace(seen, refusal=refusal)


def older_versions(
    endpoint: Endpoint, than: str, *, spoken: t.Collection[str], deadline: Deadline
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Each older version that the endpoint takes when it is offered alone, and each that is not ``spoken`` here.

    Raises Unreachable, TimedOut.
    """
    older = VERSIONS[1 : VERSIONS.index(than)]
    taken = tuple(version for version in older if version in spoken and _speaks(endpoint, version, deadline))
    return taken, tuple(version for version in older if version not in spoken)


def spoken_here() -> tuple[str, ...]:
    """The versions in which this host's OpenSSL shakes hands with itself: a policy may forbid some. Raises Unreachable, MissingLibrary.

    A certificate is shown, as servers do: some policies only forbid the signatures of old versions.
    """
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        # ssl reads a key from a file only.
        with tempfile.NamedTemporaryFile(prefix="opsready-") as stream:
            stream.write(_certificate_for_trials())
            stream.flush()
            server.load_cert_chain(stream.name)
    except ssl.SSLError:
        return ()
    except OSError as problem:
        raise Unreachable(f"No temporary file can be written to try old versions of TLS: {problem.strerror}.")
    _allow_old(server, ssl.TLSVersion.MINIMUM_SUPPORTED)
    return tuple(version for version in VERSIONS[1:] if _speaks_with_itself(server, version))


def _certificate_for_trials() -> bytes:
    """A key and its certificate, for nobody, in PEM."""
    require("cryptography")
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "opsready.invalid")])
    now = datetime.datetime.now(datetime.timezone.utc)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return private + certificate.public_bytes(serialization.Encoding.PEM)


def _speaks_with_itself(context: ssl.SSLContext, version: str) -> bool:
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    try:
        ends = (
            _offering(version).wrap_bio(to_client, to_server),
            context.wrap_bio(to_server, to_client, server_side=True),
        )
        for _flight in range(_MOST_FLIGHTS):
            for end in ends:
                with contextlib.suppress(ssl.SSLWantReadError):
                    end.do_handshake()
    except (ssl.SSLError, ValueError):  # ValueError: the library was built without it
        return False
    return all(end.version() == version for end in ends)


def _unverifying() -> ssl.SSLContext:
    """Accepts any certificate and any version that the library can speak: for looking, never for sending."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    _allow_old(context, ssl.TLSVersion.MINIMUM_SUPPORTED)
    return context


def _allow_old(context: ssl.SSLContext, minimum: ssl.TLSVersion) -> None:
    with warnings.catch_warnings():
        # Python deprecates old versions for use; here they are offered to learn that they are refused.
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = minimum
    with contextlib.suppress(ssl.SSLError):
        context.set_ciphers("ALL:@SECLEVEL=0")


def _speaks(endpoint: Endpoint, version: str, deadline: Deadline) -> bool:
    try:
        return _shaken(endpoint, _offering(version), deadline).version == version
    except UnexpectedAnswer:
        return False


def _offering(version: str) -> ssl.SSLContext:
    """Offers this version alone. Raises ValueError where the library was built without it."""
    context = _unverifying()
    numbered = ssl.TLSVersion[version.replace(".", "_")]
    _allow_old(context, numbered)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.maximum_version = numbered
    return context


def _shaken(endpoint: Endpoint, context: ssl.SSLContext, deadline: Deadline) -> Handshake:
    with contextlib.closing(_secured(endpoint, context, deadline)) as wrapped:
        return _read(shown_by(wrapped))


def _secured(endpoint: Endpoint, context: ssl.SSLContext, deadline: Deadline) -> ssl.SSLSocket:
    where = str(endpoint)
    plug = connected(endpoint.connect_host, endpoint.connect_port, deadline=deadline)
    try:
        _upgraded(plug, endpoint.starttls, where=where, deadline=deadline)
    except BaseException:
        plug.close()
        raise
    return secured(plug, context, endpoint.sni, deadline=deadline, where=where)


def _read(shown: Shown) -> Handshake:
    return Handshake(
        version=shown.version,
        cipher=shown.cipher,
        chain=tuple(certificate_of(der) for der in shown.sent),
        verified=tuple(certificate_of(der) for der in shown.verified),
    )


def _upgraded(plug: socket.socket, protocol: str, *, where: str, deadline: Deadline) -> None:
    if protocol == "none":
        return
    try:
        if protocol == "postgres":
            plug.settimeout(deadline.require(f"{where}: SSLRequest"))
            plug.sendall(_POSTGRES_SSL_REQUEST)
            if plug.recv(1) != b"S":
                raise UnexpectedAnswer(
                    f"{where} does not offer TLS to PostgreSQL clients.", remedy="Set ssl = on there."
                )
            return
        greeting, turns = _DIALOGUES[protocol]
        _expect(plug, greeting, where=where, deadline=deadline)
        for said, agreed in turns:
            plug.settimeout(deadline.require(f"{where}: STARTTLS"))
            plug.sendall(said)
            _expect(plug, agreed, where=where, deadline=deadline)
    except socket.timeout:
        raise TimedOut(f"{where} did not answer to STARTTLS ({protocol}) within {deadline.seconds:g} s.")
    except OSError as problem:
        raise Unreachable(f"{where} ended the connection before TLS: {problem.strerror or problem}.")


def _expect(plug: socket.socket, prefix: bytes, *, where: str, deadline: Deadline) -> None:
    for _count in range(_MOST_LINES):
        line = _line(plug, where=where, deadline=deadline)
        if not line.startswith(prefix):
            raise UnexpectedAnswer(
                f"{where} does not offer STARTTLS: it said {beginning_of(line.decode('utf-8', 'replace').strip(), 80)!r}."
            )
        if line[len(prefix) : len(prefix) + 1] != b"-":  # 250-SIZE: more lines follow
            return
    raise UnexpectedAnswer(f"{where} sent more than {_MOST_LINES} lines before TLS.")


def _line(plug: socket.socket, *, where: str, deadline: Deadline) -> bytes:
    line = b""
    while not line.endswith(b"\n"):
        plug.settimeout(deadline.require(f"{where}: STARTTLS"))
        # Byte by byte: what follows the line belongs to the handshake.
        octet = plug.recv(1)
        if not octet or len(line) > _LONGEST_LINE:
            raise UnexpectedAnswer(f"{where} did not answer to STARTTLS with a line.")
        line += octet
    return line


def certificates_in(path: str) -> list[t.Any]:
    """All certificates of a PEM file (or one in DER), as cryptography reads them. Raises the error family."""
    require("cryptography")
    from cryptography import x509

    octets = read_file(path)
    try:
        if b"-----BEGIN" in octets:
            return list(x509.load_pem_x509_certificates(octets))
        return [x509.load_der_x509_certificate(octets)]
    except ValueError:
        raise UnexpectedAnswer(f"{path} holds no certificate that can be read.")


def read_file(path: str) -> bytes:
    """A small file's bytes. Raises Unreachable where it is absent and Denied where we may not read it."""
    try:
        with open(path, "rb") as stream:
            return stream.read(4 * 1024 * 1024)
    except PermissionError:
        raise Denied(f"{path} may not be read by user id {os.geteuid()}.", remedy="Run this item with become: true.")
    except OSError as problem:
        raise Unreachable(f"{path} cannot be read: {problem.strerror}.")


def certificate_file(
    path: str,
    *,
    chain: str | None = None,
    key: str | None = None,
    passphrase: str | None = None,
    ca_file: str | None = None,
) -> CertificateFile:
    """Certificate, chain and key on disk, and the authorities that it must lead to. Raises the error family for what cannot be read."""
    loaded = certificates_in(path)
    if chain:
        loaded += certificates_in(chain)
    seen = CertificateFile(
        path,
        tuple(_facts_of(item) for item in loaded),
        _is_linked(loaded),
        _leads_to(certificates_in(ca_file), loaded) if ca_file else None,
    )
    if not key:
        return seen
    try:
        mode = stat.S_IMODE(os.stat(key).st_mode)
        public = _public_part(key, passphrase)
    except GoliveError as problem:
        return dataclasses.replace(seen, key_path=key, key_problem=problem.message)
    except OSError as problem:
        return dataclasses.replace(seen, key_path=key, key_problem=f"{key} cannot be read: {problem.strerror}.")
    return dataclasses.replace(
        seen, key_path=key, key_mode=mode, key_matches=_sha256(public) == seen.chain[0].key_sha256
    )


def _leads_to(anchors: t.Sequence[t.Any], loaded: t.Sequence[t.Any]) -> bool:
    """Whether a client that trusts ``anchors`` finds its way from the leaf by what a server would send."""
    reached = loaded[0]
    for _step in loaded:
        if reached in anchors or any(_is_linked([reached, anchor]) for anchor in anchors):
            return True
        above = [issuer for issuer in loaded[1:] if issuer != reached and _is_linked([reached, issuer])]
        if not above:
            return False
        reached = above[0]
    return False


def _is_linked(loaded: t.Sequence[t.Any]) -> bool:
    from cryptography.exceptions import InvalidSignature

    try:
        for below, above in zip(loaded, loaded[1:]):
            below.verify_directly_issued_by(above)
    except (InvalidSignature, ValueError, TypeError):
        return False
    return True


def _public_part(path: str, passphrase: str | None) -> bytes:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization

    octets = read_file(path)
    secret = passphrase.encode("utf-8") if passphrase else None
    load = serialization.load_pem_private_key if b"-----BEGIN" in octets else serialization.load_der_private_key
    try:
        private = load(octets, password=secret)
    except TypeError:
        why = (
            "is encrypted, and no key_passphrase was given"
            if secret is None
            else "is not encrypted, but a key_passphrase was given"
        )
        raise Denied(f"The key {path} {why}.")
    except (ValueError, UnsupportedAlgorithm):
        # The library's text is left out: it may quote the key.
        raise Denied(f"The key {path} cannot be read" + (" with this key_passphrase." if secret else "."))
    return private.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def matching(names: t.Iterable[str], wanted: str) -> bool:
    """Whether a certificate for ``names`` serves ``wanted``: a * stands for one whole label, the first (RFC 6125)."""
    asked = wanted.lower().rstrip(".")
    for name in names:
        offered = name.lower().rstrip(".")
        if offered == asked:
            return True
        if offered.startswith("*.") and "." in asked and asked.split(".", 1)[1] == offered[2:] and asked[0] != ".":
            return True
    return False
