# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Streams to age recipients and back, in the age v1 format that the stock tool reads (https://age-encryption.org/v1).

The library reads from and writes to files. Here it does so in a thread that waits for the next chunk alone, so whoever reads
and writes the stream does both in a thread of its own, and neither a failure nor a signal there leaves one behind.
"""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import queue
import re
import threading
import typing as t

from ansible_collections.opsready.golive.plugins.module_utils._actions.cleanup import uninterrupted
from ansible_collections.opsready.golive.plugins.module_utils._core.argspec import Spec
from ansible_collections.opsready.golive.plugins.module_utils._core.deps import require
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import ActionFailed, BadInput, Denied

FORMAT = "age"
#: What every stream begins with.
MAGIC = b"age-encryption.org/v1\n"
#: What the stock tool's users append to a file's name.
SUFFIX = ".age"

#: To whom; ``identity`` is only looked at, see ``Encryption.of``.
SPEC: Spec = {
    "recipients": {"type": "list", "elements": "str", "required": True},
    "identity": {"type": "str", "no_log": True},
}

# Of the format: what is encrypted at a time, the tag of each, the nonce before them, and what ends the header.
_PAYLOAD_CHUNK = 64 << 10
_TAG = 16
_NONCE = 16
_LAST_LINE = re.compile(rb"\n--- [^\n]*\n")
#: So many chunks lie between us and the library.
_UNDER_WAY = 2

Chunks = t.Iterable[bytes]
Stream = t.Generator[bytes, None, None]
#: The library's objects have no types.
Identities = t.Sequence[t.Any]


def refuse_no_recipients(texts: t.Sequence[str], *, name: str) -> None:
    """What is seen without the library, which the controller may lack. Raises BadInput, which shows none of them."""
    if not texts:
        raise BadInput(
            f"{name} is empty: nobody could ever read the backup.", remedy="Name the public keys of those who may."
        )
    for number, text in enumerate(texts, 1):
        if "AGE-SECRET-KEY-" in text.upper() or "PRIVATE KEY" in text.upper():
            raise BadInput(
                f"{name}[{number}] is a secret key, where its public one belongs. It is not secret any more.",
                remedy="Make another one with age-keygen, and give the public key that it prints.",
            )
        if not (text.strip().isprintable() and text.strip().startswith(("age1", "ssh-"))):
            raise _no_recipient(f"{name}[{number}]")


def _no_recipient(name: str) -> BadInput:
    return BadInput(
        f"{name} is neither an age recipient (age1…) nor an SSH public key (ssh-ed25519 or ssh-rsa).",
        remedy="age-keygen -y <file with the identity> prints it.",
    )


def recipients_of(texts: t.Sequence[str], *, name: str) -> dict[str, t.Any]:
    """The library's recipients by their text. Raises BadInput, which shows none of them, MissingLibrary."""
    refuse_no_recipients(texts, name=name)
    library = require("pyrage")
    found: dict[str, t.Any] = {}
    for number, text in enumerate(texts, 1):
        kind = library.x25519 if text.strip().startswith("age1") else library.ssh
        try:
            found[text.strip()] = kind.Recipient.from_str(text.strip())
        except library.RecipientError:
            raise _no_recipient(f"{name}[{number}]") from None
    return found


def identities_of(text: str, *, name: str) -> list[t.Any]:
    """The identities of a file's text, as age-keygen writes it, or of an SSH private key. Raises BadInput, MissingLibrary."""
    library = require("pyrage")
    remedy = "It is the text of a file that age-keygen made, or of an SSH private key without a passphrase."
    if "-----BEGIN" in text:
        with contextlib.suppress(library.IdentityError):
            return [library.ssh.Identity.from_buffer(text.strip().encode("utf-8") + b"\n")]
        raise BadInput(f"{name} is an SSH private key that cannot be read.", remedy=remedy)
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip() and not line.lstrip().startswith("#"):
            try:
                found.append(library.x25519.Identity.from_str(line.strip()))
            except library.IdentityError:
                raise BadInput(
                    f"Line {number} of {name} is no age identity (AGE-SECRET-KEY-1…).", remedy=remedy
                ) from None
    if not found:
        raise BadInput(f"{name} holds no age identity (AGE-SECRET-KEY-1…).", remedy=remedy)
    return found


def require_reader(recipients: t.Sequence[str], identities: Identities, *, what: str) -> None:
    """Raise BadInput where there is no identity, and Denied where none of them is that of a recipient."""
    named = ", ".join(recipients)
    remedy = f"Its recipients are {named}: give the identity of one of them."
    if not identities:
        raise BadInput(f"{what} is encrypted, and no identity is given.", remedy=remedy)
    library = require("pyrage")
    for text in recipients:
        try:
            known = next(iter(recipients_of([text], name="recipients").values()))
        except BadInput:  # of a kind that another version knows: the archive itself will tell
            return
        with contextlib.suppress(library.DecryptError):
            library.decrypt(library.encrypt(b"", [known]), list(identities))
            return
    raise Denied(f"The identity that is given cannot read {what}.", remedy=remedy)


@dataclasses.dataclass(frozen=True)
class Encryption:
    """To whom a backup is encrypted: ``recipients`` by their text.

    ``own`` is an identity of this very process, which it is encrypted to as well, so that what was stored can be read once,
    for its proof. It is never written anywhere, and after the process nobody has it.
    """

    recipients: t.Mapping[str, t.Any]
    own: t.Any = None

    @staticmethod
    def of(options: t.Mapping[str, t.Any] | None, *, is_read_back: bool) -> Encryption | None:
        """From the options of ``SPEC``. Raises BadInput, MissingLibrary, and Denied where ``identity`` is no recipient's."""
        if options is None:
            return None
        recipients = recipients_of(options["recipients"], name="encryption.recipients")
        if options["identity"]:
            given = identities_of(options["identity"], name="encryption.identity")
            require_reader(list(recipients), given, what="the backup that would be made")
        own = require("pyrage").x25519.Identity.generate() if is_read_back else None
        return Encryption(recipients, own)

    @property
    def all_recipients(self) -> list[t.Any]:
        return [*self.recipients.values(), *([] if self.own is None else [self.own.to_public()])]

    @property
    def identities(self) -> list[t.Any]:
        """What reads the backup as long as this process lives."""
        return [] if self.own is None else [self.own]

    def told(self) -> dict[str, t.Any]:
        return {"format": FORMAT, "recipients": list(self.recipients)}

    def stream(self, chunks: Chunks) -> Stream:
        return encrypted(chunks, self.all_recipients)

    def body(self, plain: bytes) -> bytes:
        return b"".join(self.stream([plain]))


def encrypted(chunks: Chunks, recipients: t.Sequence[t.Any]) -> Stream:
    """The chunks, encrypted. Raises ActionFailed where not all of it came out; close it where it is not read to its end."""
    library = require("pyrage")
    given = made = 0
    head, header = b"", None

    def counted() -> Stream:
        nonlocal given
        with closing(chunks):
            for chunk in chunks:
                given += len(chunk)
                yield chunk

    def work(files: _Files) -> None:
        library.encrypt_io(files, files, list(recipients))

    try:
        with closing(_through(work, counted())) as stream:
            for piece in stream:
                made += len(piece)
                if header is None:
                    head += piece
                    header = _LAST_LINE.search(head)
                yield piece
    except _Failed as failed:
        raise ActionFailed(f"Encrypting failed: {failed}.") from None
    # The library drops what its last write met: a stream that lacks its end would be found at its proof alone.
    if header is None or made != header.end() + _NONCE + given + _TAG * max(1, -(-given // _PAYLOAD_CHUNK)):
        raise ActionFailed(f"Encrypting failed: of {given} bytes {made} came out, which is not all of it.")


def decrypted(chunks: Chunks, identities: Identities, *, what: str) -> Stream:
    """The chunks, decrypted and authenticated. Raises ActionFailed where they are not what was encrypted.

    What came out before is right as far as it goes; all of it is there once the stream has ended.
    """
    library = require("pyrage")

    def work(files: _Files) -> None:
        library.decrypt_io(files, files, list(identities))

    try:
        with closing(_through(work, chunks)) as stream:
            yield from stream
    except _Failed as failed:
        raise ActionFailed(
            f"{what} cannot be decrypted, so it is not what was written: {failed}.",
            remedy="Do not use it; take another backup.",
        ) from None


def opened(body: bytes, identities: Identities, *, what: str) -> bytes:
    """A small stream whole. Raises ActionFailed."""
    return b"".join(decrypted([body], identities, what=what))


@contextlib.contextmanager
def closing(chunks: Chunks) -> t.Iterator[Chunks]:
    """A stream that is given up at the end, whatever happens inside, and not once somebody collects it."""
    try:
        yield chunks
    finally:
        if isinstance(chunks, t.Generator):
            chunks.close()


class _Failed(Exception):
    """What the library met."""


class _Stopped(Exception):
    """Nobody wants the rest."""


def _through(work: t.Callable[[_Files], None], chunks: Chunks) -> Stream:
    """The chunks through the library's work. Raises _Failed, and whatever the chunks raise."""
    files = _Files(work)
    try:
        with closing(chunks):
            for chunk in chunks:
                files.give(chunk)
                made = files.take()
                if made:
                    yield made
        files.end()
        made = files.take()
        if made:
            yield made
    finally:
        files.stop()


class _Files:
    """What the library takes for the file that it reads, and for the one that it writes."""

    def __init__(self, work: t.Callable[[_Files], None]) -> None:
        self._work = work
        self._given: queue.Queue[bytes | None] = queue.Queue(_UNDER_WAY)
        self._made: collections.deque[bytes] = collections.deque()
        self._rest = memoryview(b"")
        self._is_over = False
        self._is_unwanted = False
        self._problem: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="opsready-age", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._work(self)
        except BaseException as problem:
            self._problem = problem

    def read(self, size: int = -1) -> bytes:
        """In the thread: at most so many bytes, none at the end."""
        while not self._rest and not self._is_over:
            chunk = self._given.get()
            if self._is_unwanted:
                raise _Stopped()
            self._is_over = chunk is None
            self._rest = memoryview(chunk or b"")
        end = len(self._rest) if size < 0 else size
        piece = bytes(self._rest[:end])
        self._rest = self._rest[end:]
        return piece

    def write(self, piece: bytes) -> int:
        """In the thread. Never waits, and holds no more than what was given."""
        self._made.append(bytes(piece))
        return len(piece)

    def flush(self) -> None:
        """In the thread; there is nothing to do."""

    def give(self, chunk: bytes | None) -> None:
        while self._thread.is_alive():
            with contextlib.suppress(queue.Full):
                self._given.put(chunk, timeout=0.1)
                return
        raise _Failed(self._problem or "it ended before its input did")

    def take(self) -> bytes:
        pieces = []
        while self._made:
            pieces.append(self._made.popleft())
        return b"".join(pieces)

    def end(self) -> None:
        self.give(None)
        self._thread.join()
        if self._problem is not None:
            raise _Failed(self._problem)

    def stop(self) -> None:
        with uninterrupted():
            self._is_unwanted = True
            with contextlib.suppress(_Failed):
                self.give(None)
            self._thread.join()
