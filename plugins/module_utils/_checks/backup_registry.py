# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A release's images by their digests, whole in a second registry or in archives: what brings them back when their registry is lost."""

from __future__ import annotations

import dataclasses
import fnmatch
import functools
import hashlib
import re
import typing as t

from ansible_collections.opsready.golive.plugins.module_utils._actions.destinations import Destination
from ansible_collections.opsready.golive.plugins.module_utils._checks import backup_archives, backup_files
from ansible_collections.opsready.golive.plugins.module_utils._checks.backup_facts import (
    Facts,
    File,
    Image,
    Images,
    first_of,
)
from ansible_collections.opsready.golive.plugins.module_utils._checks.backup_places import opened
from ansible_collections.opsready.golive.plugins.module_utils._clients import http, s3
from ansible_collections.opsready.golive.plugins.module_utils._clients.image_registry import (
    REFERENCE,
    REPOSITORY,
    NotThere,
    Registry,
)
from ansible_collections.opsready.golive.plugins.module_utils._core import foreign_json
from ansible_collections.opsready.golive.plugins.module_utils._core.argspec import Spec
from ansible_collections.opsready.golive.plugins.module_utils._core.clock import Deadline, utc_text
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import (
    BadInput,
    GoliveError,
    UnexpectedAnswer,
)
from ansible_collections.opsready.golive.plugins.module_utils._core.finding import Criterion, holds, unknown
from ansible_collections.opsready.golive.plugins.module_utils._core.run import Run
from ansible_collections.opsready.golive.plugins.module_utils._core.side_by_side import side_by_side
from ansible_collections.opsready.golive.plugins.module_utils._core.units import size_text

SPEC: Spec = {
    "url": {"type": "str", "required": True},
    "username": {"type": "str"},
    "password": {"type": "str", "no_log": True},
    "ca_file": {"type": "path"},
    "prefix": {"type": "str"},
}
#: A list of what an archive holds, beside it: digests, in any text.
LIST_SUFFIX = ".digests"

#: What this kind takes, and what it does only where images are in archives.
_TAKEN = ("kind", "images", "registry", "destination", "s3", "pattern", "max_age")
_OF_ARCHIVES = ("destination", "s3", "pattern", "max_age")
_MOST_ARCHIVES = 50
_MOST_LIST_BYTES = 1024 * 1024
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128}")
_LISTED = re.compile(r"sha256:[0-9a-f]{64}(?![0-9a-f])")
#: Layers that only their maker may give out; registries need not have them.
_FOREIGN = re.compile(r"foreign|nondistributable")
_COPY_WHOLE = (
    "Copy it again, by its digest and with all of its platforms, such as with skopeo copy --all --preserve-digests."
)


@dataclasses.dataclass(frozen=True)
class Descriptor:
    """What a manifest or an index names."""

    digest: str
    size_bytes: int
    #: Whether it is a manifest, and no blob.
    is_manifest: bool
    is_foreign: bool = False


class Store(t.Protocol):
    """What holds an image."""

    def manifest(self, digest: str) -> bytes:
        """Raises NotThere."""

    def blob(self, digest: str) -> int | None:
        """The size in bytes, None where it is not told. Raises NotThere."""


class _Repository:
    """One repository of a registry; what was told of a blob is not asked again."""

    def __init__(self, registry: Registry, name: str, deadline: Deadline) -> None:
        self._registry, self._name, self._deadline = registry, name, deadline
        self._told: dict[str, int | None] = {}

    def manifest(self, digest: str) -> bytes:
        return self._registry.manifest(self._name, digest, deadline=self._deadline)

    def blob(self, digest: str) -> int | None:
        if digest not in self._told:
            self._told[digest] = self._registry.blob(self._name, digest, deadline=self._deadline)
        return self._told[digest]


def require_usable(params: t.Mapping[str, t.Any], spec: Spec) -> None:
    """Raises BadInput for options of other kinds, by what ``spec`` has them be, and for those of this one that cannot be used."""
    if params["kind"] != "registry":
        _refuse(params, ("images", "registry"), spec, f"for kind: {params['kind']}")
        return
    _refuse(params, [name for name in spec if name not in _TAKEN], spec, "for kind: registry")
    if not params["images"]:
        raise BadInput("images is empty, so nothing would be judged.", remedy="Name the release's images by digest.")
    for reference in params["images"]:
        _parts(reference)
    if (params["registry"] is None) == (params["destination"] is None):
        raise BadInput("kind: registry takes either registry or destination: where the copies of the images are.")
    if params["registry"] is None:
        if not params["pattern"]:
            raise BadInput("pattern is empty.", remedy="Name the archives at destination, such as release-*.tar.")
        return
    if params["max_age"] is not None:
        raise BadInput(
            "max_age goes with destination: a registry does not tell when an image was copied to it.",
            remedy="Leave max_age out; that each image is there whole is judged.",
        )
    _refuse(params, _OF_ARCHIVES, spec, "for a registry")
    _require_registry(params["registry"])


def _refuse(params: t.Mapping[str, t.Any], names: t.Iterable[str], spec: Spec, what_for: str) -> None:
    given = [name for name in names if params[name] != spec[name].get("default")]
    if given:
        verb, them = ("are", "them") if len(given) > 1 else ("is", given[0])
        raise BadInput(f"{', '.join(given)} {verb} not {what_for}.", remedy=f"Leave {them} out.")


def _require_registry(options: t.Mapping[str, t.Any]) -> None:
    if options["password"] is not None and not options["username"]:
        raise BadInput("registry.password goes with registry.username.")
    if options["prefix"] is not None and not REPOSITORY.fullmatch(options["prefix"].strip("/")):
        raise BadInput(f"registry.prefix is {options['prefix']!r}, expected the beginning of repositories' names.")
    Registry(options["url"], username=None, password=None, ca_file=options["ca_file"]).close()


def _parts(reference: str) -> tuple[str, str, str]:
    """The registry's host of a reference, which may be empty, the repository and the digest. Raises BadInput."""
    parts = REFERENCE.fullmatch(reference)
    if parts is None or not parts["name"] or not parts["digest"]:
        raise BadInput(
            f"images: {reference!r} names no image by repository and digest.",
            remedy="Write repository@sha256:…; docker image inspect --format '{{.RepoDigests}}' IMAGE tells it.",
        )
    first, slash, rest = parts["name"].partition("/")
    has_host = bool(slash) and ("." in first or ":" in first or first == "localhost")
    host, repository = (first, rest) if has_host else ("", parts["name"])
    if not REPOSITORY.fullmatch(repository):
        raise BadInput(f"images: {repository!r} is no name of a repository.")
    return host, repository, parts["digest"]


def gathered(params: t.Mapping[str, t.Any], run: Run) -> Facts:
    """Look for each image. Raises Unreachable, Denied, TimedOut, UnexpectedAnswer, and what the place raises."""
    now, references = run.clock.now(), list(dict.fromkeys(params["images"]))
    if params["registry"] is not None:
        return Facts(now, images=_in_registry(params["registry"], references, run))
    (seen,) = side_by_side([lambda: _in_archives(params, references, run)], deadline=run.deadline)
    if isinstance(seen, s3.Absent):
        return Facts(now, absent=seen.message.rstrip("."))
    if isinstance(seen, GoliveError):
        raise seen
    return Facts(now, images=seen)


def _in_registry(options: t.Mapping[str, t.Any], references: t.Sequence[str], run: Run) -> Images:
    login = {name: options[name] for name in ("username", "password", "ca_file")}
    with Registry(options["url"], **login) as registry:
        registry.require(deadline=run.deadline)
        prefix = (options["prefix"] or "").strip("/")
        repositories: dict[str, _Repository] = {}
        jobs = []
        for reference in references:
            _host, name, digest = _parts(reference)
            name = f"{prefix}/{name}" if prefix else name
            store = repositories.setdefault(name, _Repository(registry, name, run.deadline))
            jobs.append(functools.partial(looked_at, reference, digest, store, f"{registry.url}/{name}"))
        answers = side_by_side(jobs, deadline=run.deadline)
        found = tuple(
            Image(reference, problem=answer.message.rstrip("."), remedy=answer.remedy)
            if isinstance(answer, GoliveError)
            else answer
            for reference, answer in zip(references, answers)
        )
        own = sorted({host for host in map(_host_of, references) if _is_at(host, registry.origin)})
    return Images(found, registry=registry.url, own_registry=", ".join(own))


def _host_of(reference: str) -> str:
    return _parts(reference)[0] or "docker.io"


def _is_at(host: str, origin: http.Origin) -> bool:
    name, _colon, port = host.partition(":")
    return name.lower() == origin.host and int(port or {"http": 80, "https": 443}[origin.scheme]) == origin.port


def _in_archives(params: t.Mapping[str, t.Any], references: t.Sequence[str], run: Run) -> Images:
    """From the newest archive on, until each image is found whole."""
    with opened(params, run) as place:
        archives = _archives(place, params["pattern"], run)
        found: dict[str, Image] = {}
        unreadable: list[str] = []
        for number, file in enumerate(archives):
            wanted = [one for one in references if one not in found or not found[one].is_whole]
            if not wanted:
                break
            if number == _MOST_ARCHIVES:
                unreadable.append(f"{len(archives) - number} older archives are not looked into")
                break
            run.deadline.require(f"Looking into {place.url(file.name)}")
            try:
                seen = _in_archive(place, file, wanted, run)
            except backup_archives.NotReadable as problem:
                listed = _in_list(place, file, wanted)
                if listed is None:
                    unreadable.append(problem.message.rstrip("."))
                    continue
                seen = listed
            found.update({one.reference: one for one in seen if one.is_whole or one.reference not in found})
    images = tuple(found.get(one, Image(one, is_absent=True)) for one in references)
    return Images(images, archives=tuple(archives[:_MOST_ARCHIVES]), unreadable=tuple(unreadable))


def _archives(place: Destination, pattern: str, run: Run) -> list[File]:
    """Those that match, newest first."""
    matching = (one for one in backup_files.listed(place, run) if fnmatch.fnmatchcase(one.name, pattern))
    archives = [one for one in matching if not one.name.endswith(LIST_SUFFIX)]
    return sorted(archives, key=lambda one: (one.at, one.name), reverse=True)


def _in_archive(place: Destination, file: File, references: t.Sequence[str], run: Run) -> list[Image]:
    layout = backup_archives.opened(place, file, run.deadline)
    named = layout.named()
    return [
        looked_at(reference, digest, layout, layout.url)
        for reference, digest in ((one, _parts(one)[2]) for one in references)
        if digest in named
    ]


def _in_list(place: Destination, file: File, references: t.Sequence[str]) -> list[Image] | None:
    """What the list beside an archive names, None where there is none; the archive itself is not looked into."""
    try:
        text = place.read(f"{file.name}{LIST_SUFFIX}", limit=_MOST_LIST_BYTES).decode("utf-8", "replace")
    except s3.Absent:
        return None
    listed = set(_LISTED.findall(text)) if file.size_bytes else set()
    return [Image(one, where=place.url(file.name), is_listed=True) for one in references if _parts(one)[2] in listed]


def looked_at(reference: str, digest: str, store: Store, where: str) -> Image:
    """Whether all that the digest names is there: an index's images, and each one's configuration and layers."""
    faults: list[str] = []
    manifests = size_bytes = 0
    blobs: set[str] = set()
    pending, seen = [digest], {digest}
    while pending:
        one = pending.pop()
        try:
            octets = store.manifest(one)
            if _recomputed(one, octets) != one:
                faults.append(f"manifest {one} has other bytes, of the digest {_recomputed(one, octets)}")
                continue
            manifests, size_bytes = manifests + 1, size_bytes + len(octets)
            for named in _named(octets, one):
                if named.digest in seen or named.is_foreign:
                    continue
                seen.add(named.digest)
                if named.is_manifest:
                    pending.append(named.digest)
                    continue
                fault = _fault_of(named, store)
                faults += [fault] if fault else []
                blobs |= set() if fault else {named.digest}
                size_bytes += 0 if fault else named.size_bytes
        except NotThere:
            if one == digest:
                return Image(reference, where=where, is_absent=True)
            faults.append(f"manifest {one} is missing")
        except GoliveError as problem:
            why = problem.message.rstrip(".")
            return Image(reference, where, manifests, len(blobs), size_bytes, tuple(faults), why, problem.remedy)
    return Image(reference, where, manifests, len(blobs), size_bytes, tuple(faults))


def _recomputed(digest: str, octets: bytes) -> str:
    algorithm = digest.partition(":")[0]
    return f"{algorithm}:{hashlib.new(algorithm, octets).hexdigest()}"


def _fault_of(named: Descriptor, store: Store) -> str:
    """Why a blob is not what was named; nothing where it is."""
    try:
        size = store.blob(named.digest)
    except NotThere:
        return f"blob {named.digest} is missing"
    if size is not None and size != named.size_bytes:
        return f"blob {named.digest} has {size} bytes, expected {named.size_bytes}"
    return ""


def _named(octets: bytes, digest: str) -> list[Descriptor]:
    """What a manifest or an index names. Raises UnexpectedAnswer."""
    try:
        document = foreign_json.read(octets)
    except ValueError:
        document = None
    if isinstance(document, dict):
        if isinstance(document.get("manifests"), list):
            return [_descriptor(entry, digest, is_manifest=True) for entry in document["manifests"]]
        if isinstance(document.get("layers"), list):
            entries = [document.get("config"), *document["layers"]]
            return [_descriptor(entry, digest, is_manifest=False) for entry in entries]
    raise UnexpectedAnswer(
        f"manifest {digest} is none that can be read: neither an index, nor one with a configuration and layers.",
        remedy="One of schema 1 has no such digest: push the image again.",
    )


def _descriptor(entry: t.Any, digest: str, *, is_manifest: bool) -> Descriptor:
    named = entry if isinstance(entry, dict) else {}
    text, size = named.get("digest"), named.get("size")
    is_size = isinstance(size, int) and not isinstance(size, bool)
    if not isinstance(text, str) or not _DIGEST.fullmatch(text) or not is_size:
        raise UnexpectedAnswer(f"manifest {digest} names something without a digest of SHA-256 or SHA-512, or a size.")
    is_foreign = not is_manifest and bool(named.get("urls")) and bool(_FOREIGN.search(str(named.get("mediaType"))))
    return Descriptor(text, t.cast(int, size), is_manifest, is_foreign)


def judged(facts: Facts, params: t.Mapping[str, t.Any]) -> t.Iterator[Criterion]:
    """Each image is there whole; the registry is another one, or the newest archive is new enough."""
    seen = facts.images
    if seen.registry:
        yield holds(
            "another registry",
            not seen.own_registry,
            measured=f"that of {seen.own_registry}" if seen.own_registry else "another",
            expected="another than the images are pulled from",
            sentence=f"{seen.registry} is the registry that the images are pulled from, and is lost with them",
            remedy="Copy the images to another registry, and name that one.",
        )
    elif not seen.archives:
        yield holds(
            "newest archive",
            False,
            measured="none",
            expected=f"one that matches {params['pattern']}",
            sentence=f"no archive at {params['destination']} matches {params['pattern']}",
            remedy="Copy the release's images there, such as with skopeo copy --all to oci-archive:.",
        )
        return
    elif params["max_age"] is not None:
        newest = seen.archives[0]
        yield backup_files.judged_age(
            "age of the newest archive",
            newest,
            facts.now,
            params["max_age"],
            called=newest.name,
            remedy="Copy the images there now, and look at what should have done so since.",
        )
    for image in seen.images:
        yield _judge_image(image, seen, params)


def _judge_image(image: Image, seen: Images, params: t.Mapping[str, t.Any]) -> Criterion:
    name, where = f"image {image.reference}", seen.registry or params["destination"]
    if image.faults:
        return holds(
            name,
            False,
            measured=f"{len(image.faults)} faults",
            expected="whole",
            sentence=f"{name} is not whole at {image.where}: {first_of(image.faults)}",
            remedy=_COPY_WHOLE,
        )
    if image.problem:
        return unknown(name, f"{name} could not be looked at: {image.problem}", remedy=image.remedy)
    if image.is_absent and seen.unreadable:
        return unknown(
            name,
            f"{name} is in no archive that could be looked into at {where}, and others could not: {first_of(seen.unreadable)}",
            remedy=f"Keep images in OCI layouts, in tars that are not compressed, or a list of digests beside each, ARCHIVE{LIST_SUFFIX}.",
        )
    whole = f"{image.manifests} manifests, {image.blobs} blobs, {size_text(image.size_bytes)}"
    return holds(
        name,
        not image.is_absent,
        measured="absent" if image.is_absent else "by the list beside an archive" if image.is_listed else whole,
        expected="whole in the backup",
        sentence=f"{name} is not in {where}",
        remedy=_COPY_WHOLE,
    )


def evidence(seen: Images) -> dict[str, t.Any]:
    """Each image with where it is and what it consists of, and the archives that match, newest first, as JSON."""
    return {
        "images": [dataclasses.asdict(one) for one in seen.images],
        "registry": seen.registry or None,
        "archives": [{**dataclasses.asdict(one), "at": utc_text(one.at)} for one in seen.archives],
        "unreadable": list(seen.unreadable),
    }
