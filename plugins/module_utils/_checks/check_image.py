# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Judge Docker images: are they on this host, built from the release's commit, of the expected digests, and fit to run here?"""

from __future__ import annotations

import dataclasses
import re
import typing as t

from ansible_collections.opsready.golive.plugins.module_utils._checks import shared_engine
from ansible_collections.opsready.golive.plugins.module_utils._clients import docker, http, image_registry
from ansible_collections.opsready.golive.plugins.module_utils._clients.docker import Engine, Image
from ansible_collections.opsready.golive.plugins.module_utils._core import units
from ansible_collections.opsready.golive.plugins.module_utils._core.argspec import Constraints, Spec
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import BadInput, GoliveError
from ansible_collections.opsready.golive.plugins.module_utils._core.finding import Criterion, holds, plain, unknown
from ansible_collections.opsready.golive.plugins.module_utils._core.run import Run

NAME = "check_image"

ARGUMENT_SPEC: Spec = {
    "url": {"type": "str", "default": "unix:///var/run/docker.sock"},
    "images": {"type": "list", "elements": "str", "required": True},
    "digests": {"type": "dict"},
    "registry_digest": {"type": "str", "choices": ["required", "optional"], "default": "optional"},
    "labels": {"type": "dict"},
    "max_age": {"type": "str"},
    "max_size": {"type": "str"},
    "architecture": {"type": "str", "choices": ["host", "any"], "default": "host"},
    "tag_that_moves": {"type": "str", "choices": ["fail", "warn", "any"], "default": "warn"},
    "moving_tags": {
        "type": "list",
        "elements": "str",
        "default": ["latest", "stable", "previous", "main", "master", "develop", "dev", "edge", "nightly"],
    },
    "registries": {"type": "list", "elements": "str"},
    "ca_file": {"type": "path"},
}
CONSTRAINTS: Constraints = {"required_by": {"ca_file": ["registries"]}}

#: Of the other labels none is shown: an image may carry whatever its build was given.
_SHOWN_LABELS = "org.opencontainers.image."


@dataclasses.dataclass(frozen=True)
class Asked:
    """What a registry answered, or why there is no answer."""

    url: str
    status: int | None = None
    #: What shows that a registry answered, or what came in place of that.
    seen: str = ""
    is_registry: bool = False
    problem: str = ""
    remedy: str = ""


@dataclasses.dataclass(frozen=True)
class Facts:
    """The engine with what it runs on, each image by its reference with its age in seconds, and the registries."""

    engine: str
    platform: str | None
    found: tuple[tuple[str, Image | None], ...]
    ages: t.Mapping[str, float | None]
    registries: tuple[Asked, ...] = ()


def _refuse_unusable(params: t.Mapping[str, t.Any]) -> None:
    for option in ("images", "registries"):
        if params[option] == []:
            raise BadInput(f"{option} is empty, so nothing would be judged by it.")
    for reference in params["images"]:
        if not image_registry.REFERENCE.fullmatch(reference):
            raise BadInput(
                f"images: {reference!r} is no reference of an image.",
                remedy="Write repository:tag, repository@sha256:…, or the id sha256:….",
            )
    for reference, digest in (params["digests"] or {}).items():
        if reference not in params["images"]:
            raise BadInput(f"digests: {reference} is none of the images: {plain(params['images'])}.")
        if not docker.DIGEST.fullmatch(str(digest)):
            raise BadInput(f"digests: {digest!r} is no digest, expected sha256:… or repository@sha256:….")
    for url in params["registries"] or ():
        http.origin_of(url)
    for option, read in (("max_age", units.span_seconds), ("max_size", units.size_bytes)):
        if params[option] is not None:
            read(params[option], option=option)


def gather(params: t.Mapping[str, t.Any], *, run: Run) -> Facts:
    """Ask the engine once for all items about it. Raises BadInput, Unreachable, Denied, TimedOut, UnexpectedAnswer."""
    _refuse_unusable(params)
    url = params["url"]
    engine = shared_engine.opened(url, run=run)
    found = tuple((reference, _image(engine, reference, run)) for reference in dict.fromkeys(params["images"]))
    registries = tuple(_asked(each, params["ca_file"], run) for each in dict.fromkeys(params["registries"] or ()))
    return Facts(
        engine=engine.version,
        platform=engine.platform,
        found=found,
        ages={reference: _age(image, run) for reference, image in found},
        registries=registries,
    )


def _image(engine: Engine, reference: str, run: Run) -> Image | None:
    """None where the engine has no such image."""

    def look() -> Image | None:
        try:
            return engine.image(reference, deadline=run.deadline)
        except docker.NotThere:
            return None

    return run.once((NAME, engine.url, reference), look)


def _age(image: Image | None, run: Run) -> float | None:
    """Seconds since it was built; None where its build left that out, as a reproducible one does."""
    built = docker.seconds_of(image.created) if image is not None else None
    # 0 is what SOURCE_DATE_EPOCH=0 leaves.
    return run.clock.now().timestamp() - built if built else None


def _asked(url: str, ca_file: str | None, run: Run) -> Asked:
    def ask() -> Asked:
        address = f"{url.rstrip('/')}/v2/"
        try:
            answer = http.request("GET", address, deadline=run.deadline, ca_file=ca_file)
        except GoliveError as problem:
            return Asked(url, problem=problem.message.rstrip("."), remedy=problem.remedy)
        is_registry, seen = image_registry.recognised(answer)
        return Asked(url, status=answer.status, seen=seen, is_registry=is_registry)

    return run.once((NAME, "registry", url, ca_file), ask)


def judge(facts: Facts, params: t.Mapping[str, t.Any]) -> t.Iterator[Criterion]:
    """Each image, then each registry."""
    for reference, image in facts.found:
        yield holds(
            f"image {reference}",
            image is not None,
            measured="there" if image else "absent",
            expected="on this host",
            sentence=f"image {reference} is not on this host",
            remedy="Build or pull it: docker image ls tells what there is.",
        )
        if params["tag_that_moves"] != "any":
            yield _judge_tag(reference, params)
        if image is not None:
            yield from _judge_image(reference, image, facts, params)
    for asked in facts.registries:
        yield _judge_registry(asked)


def _judge_tag(reference: str, params: t.Mapping[str, t.Any]) -> Criterion:
    parts = t.cast(re.Match[str], image_registry.REFERENCE.fullmatch(reference))
    is_fixed = bool(parts["id"] or parts["digest"])
    tag = parts["tag"] or "latest"
    return holds(
        f"image {reference} tag",
        is_fixed or tag not in params["moving_tags"],
        measured="by digest" if is_fixed else tag,
        expected="a tag that stays, or a digest",
        sentence=f"image {reference} is named by the tag {tag}, which moves: another pull may bring another image",
        remedy="Name the version, or the digest: docker image inspect --format '{{.Id}} {{.RepoDigests}}' IMAGE.",
        level=params["tag_that_moves"],
    )


def _judge_image(reference: str, image: Image, facts: Facts, params: t.Mapping[str, t.Any]) -> t.Iterator[Criterion]:
    wanted = (params["digests"] or {}).get(reference)
    if wanted is not None:
        yield _judge_digest(reference, image, str(wanted))
    if params["registry_digest"] == "required":
        yield holds(
            f"image {reference} registry digest",
            bool(image.repo_digests),
            measured=list(image.repo_digests) or "none",
            expected="a registry's digest",
            remedy="It is known to no registry, so no other host can come back to it: push it.",
        )
    for name, value in (params["labels"] or {}).items():
        told = image.labels.get(str(name))
        yield holds(
            f"image {reference} label {name}",
            told == str(value),
            measured=told if told is not None else "absent",
            expected=str(value),
            remedy="It was built from something else than the release, or without the label: docker build --label.",
        )
    if params["max_age"] is not None:
        yield _judge_age(reference, image, facts.ages[reference], params["max_age"])
    if params["max_size"] is not None:
        yield _judge_size(reference, image, params["max_size"])
    if params["architecture"] == "host":
        yield holds(
            f"image {reference} architecture",
            None if image.platform is None or facts.platform is None else image.platform == facts.platform,
            measured=image.platform,
            expected=facts.platform or "that of the host",
            sentence=""
            if image.platform and facts.platform
            else f"image {reference} could not be compared with the host: Docker did not tell what it is built for",
            remedy="It starts nowhere else, or under emulation: docker build --platform.",
        )


def _judge_digest(reference: str, image: Image, wanted: str) -> Criterion:
    """By the image's own id, or the digest under which a registry knows it."""
    known = [image.id, *image.repo_digests]
    digests = known if "@" in wanted else [name.rpartition("@")[2] for name in known]
    return holds(
        f"image {reference} digest",
        wanted in digests,
        measured=known,
        expected=wanted,
        remedy="The tag means another image than the release: build or pull the release's again.",
    )


def _judge_age(reference: str, image: Image, age: float | None, max_age: str) -> Criterion:
    name, bound = f"image {reference} age", units.span_seconds(max_age, option="max_age")
    if age is None:
        why = f"{name} is not known: its build left the time out ({image.created or 'nothing'})"
        return unknown(name, why, remedy="Judge its label org.opencontainers.image.revision in place of its age.")
    if age < -300:
        return unknown(name, f"{name} is not known: it was built at {image.created}, which lies in the future")
    return holds(
        name,
        age <= bound,
        measured=units.span_text(max(0.0, age)),
        expected=f"at most {units.span_text(bound)}",
        sentence=f"{name} is {units.span_text(age)} (built {image.created}), expected at most {units.span_text(bound)}",
        remedy="It is not from this release's build: docker compose build --no-cache.",
    )


def _judge_size(reference: str, image: Image, max_size: str) -> Criterion:
    name, bound = f"image {reference} size", units.size_bytes(max_size, option="max_size")
    size = image.size_bytes
    if size is None:
        return unknown(name, f"{name} could not be read: Docker did not tell")
    return holds(
        name,
        size <= bound,
        measured=units.size_text(size),
        expected=f"at most {units.size_text(bound)}",
        remedy="docker history IMAGE tells which layer is large.",
    )


def _judge_registry(asked: Asked) -> Criterion:
    name = f"registry {asked.url}"
    if asked.status is None:
        return unknown(name, f"{name} gave no answer: {asked.problem}", remedy=asked.remedy)
    if asked.status in (200, 401) and not asked.is_registry:
        return unknown(
            name,
            f"{name} may be none: it answered status {asked.status} for /v2/ with {asked.seen}",
            remedy="A web server, a login page or a proxy answers there: name the registry itself, without a path.",
        )
    said = "asks for a login" if asked.status == 401 else "answers"
    return holds(
        name,
        asked.is_registry,
        measured=f"{said} (status {asked.status}, {asked.seen})" if asked.is_registry else f"status {asked.status}",
        expected="status 200 or 401 for /v2/, as a registry answers",
        remedy="What answers there is no registry, or one that is not well.",
    )


def evidence(facts: Facts) -> dict[str, t.Any]:
    """Of each image reference, digests, build time, platform, size and the labels that name its source."""
    return {
        "engine": facts.engine,
        "platform": facts.platform,
        "images": [
            {
                "reference": reference,
                "id": image.id,
                "repo_digests": list(image.repo_digests),
                "tags": list(image.tags),
                "built_at": image.created or None,
                "age_seconds": facts.ages[reference],
                "platform": image.platform,
                "size_bytes": image.size_bytes,
                "labels": {name: value for name, value in image.labels.items() if name.startswith(_SHOWN_LABELS)},
            }
            for reference, image in facts.found
            if image is not None
        ],
        "absent": [reference for reference, image in facts.found if image is None],
        "registries": [dataclasses.asdict(asked) for asked in facts.registries],
    }
