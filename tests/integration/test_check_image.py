# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""check_image on a real Docker Engine, with images that it pulled from a registry, and one that never was in any."""

from __future__ import annotations

import datetime
import json
import typing as t
from pathlib import Path

import pytest

from ansible_collections.opsready.golive.plugins.module_utils._checks import check_image, registry
from ansible_collections.opsready.golive.plugins.module_utils._checks.judging import judged
from ansible_collections.opsready.golive.plugins.module_utils._core.argspec import validated
from ansible_collections.opsready.golive.plugins.module_utils._core.run import Run
from tests.image_registry import ARCHITECTURE, ImageRegistry
from tests.module_examples import examples_of
from tests.servers import Answer, Docker, HttpServer

if t.TYPE_CHECKING:
    from tests.conftest import ModuleRun

serves = pytest.mark.serves
COMMIT = "8c2f1e0d9b7a6f5e4d3c2b1a0f9e8d7c6b5a4f3e"
REVISION = "org.opencontainers.image.revision"
CANARY = "canary-5d20-image"
BASIC = {"WWW-Authenticate": 'Basic realm="closed, Bearer "'}
OTHER = "arm64" if ARCHITECTURE == "amd64" else "amd64"


def finding(url: str, timeout: float = 20.0, **params: t.Any) -> dict[str, t.Any]:
    checked = validated(
        check_image.ARGUMENT_SPEC, {"url": url, **params}, where="check_image", **check_image.CONSTRAINTS
    )
    run = Run(timeout_seconds=timeout)
    found = judged(registry.load("check_image"), checked, run)
    run.close()
    json.dumps(found)
    assert "raised" not in found["evidence"], found
    return found


def held(found: dict[str, t.Any], status: str, said: str = "") -> None:
    assert (found["status"], said in found["summary"]) == (status, True), found["summary"]


class Images(t.NamedTuple):
    """What the engine has, by its references."""

    url: str
    registry: ImageRegistry
    built_at: str
    #: Of the backend: the manifest's digest, and the image's id.
    digest: str
    id: str
    backend: str
    worker: str
    stale: str
    timeless: str
    foreign: str
    #: Made here, and in no registry.
    local: str


@pytest.fixture(scope="module")
def images(docker: Docker) -> t.Iterator[Images]:
    now = datetime.datetime.now(datetime.timezone.utc)
    built_at = (now - datetime.timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%S.123456789Z")
    labels = {REVISION: COMMIT, "build.token": CANARY}
    server = HttpServer().start()
    try:
        shop = ImageRegistry(server, docker.program)
        digest, identity = shop.publish("archive/backend", "2.0.0", created=built_at, labels=labels)
        for name, made in {
            "worker": {"created": built_at, "labels": {**labels, "service": "worker"}},
            "stale": {"created": "2026-01-02T03:04:05.1Z", "labels": {REVISION: "0" * 40}},
            "timeless": {"created": "1970-01-01T00:00:00Z", "labels": {}},
            "foreign": {"created": built_at, "labels": {}, "architecture": OTHER},
        }.items():
            shop.publish(f"archive/{name}", "2.0.0", **t.cast("dict[str, t.Any]", made))
        docker.image("archive/local")
        names = ("backend", "worker", "stale", "timeless", "foreign")
        pulled = {name: shop.pull(docker, f"archive/{name}", "2.0.0") for name in names}
        yield Images(docker.url, shop, built_at, digest, identity, **pulled, local="archive/local:1")
    finally:
        server.stop()


@serves("S1.22", case="pass")
def test_the_images_of_a_release_pass_with_reference_digest_build_time_and_commit_as_evidence(images: Images) -> None:
    found = finding(
        images.url,
        images=[images.backend, images.worker, images.backend],
        digests={images.backend: images.digest},
        registry_digest="required",
        labels={REVISION: COMMIT},
        max_age="2h",
        max_size="50MB",
        tag_that_moves="fail",
        registries=[images.registry.server.url],
    )
    held(found, "pass")
    backend, worker = found["evidence"]["images"]
    assert (backend["reference"], worker["reference"]) == (images.backend, images.worker)
    repository = images.backend.rpartition(":")[0]
    assert (backend["id"], backend["repo_digests"]) == (images.id, [f"{repository}@{images.digest}"])
    assert backend["built_at"] == images.built_at
    assert 3600 <= backend["age_seconds"] < 7200
    assert (backend["labels"], backend["platform"]) == ({REVISION: COMMIT}, f"linux/{ARCHITECTURE}")
    assert backend["size_bytes"] > 0
    # Another label may hold what the build was given.
    assert CANARY not in json.dumps(found)
    by_digest = f"{repository}@{images.digest}"
    for same in (by_digest, images.id):
        held(finding(images.url, images=[same], digests={same: by_digest}, tag_that_moves="fail"), "pass")


@serves("S1.22", case="fail")
@pytest.mark.parametrize(
    ("name", "params", "status", "said"),
    [
        ("archive/gone:2.0.0", {}, "fail", "Image archive/gone:2.0.0 is not on this host"),
        ("stale", {"labels": {REVISION: COMMIT}}, "fail", f"label {REVISION} is {'0' * 40}, expected {COMMIT}"),
        ("timeless", {"labels": {REVISION: COMMIT}}, "fail", f"label {REVISION} is absent, expected {COMMIT}"),
        ("stale", {"max_age": "24h"}, "fail", "(built 2026-01-02T03:04:05.1Z), expected at most 24.0 h"),
        ("timeless", {"max_age": "24h"}, "unknown", "age is not known: its build left the time out (1970-01-01"),
        ("backend", {"digest": f"sha256:{'0' * 64}"}, "fail", f"expected sha256:{'0' * 64}"),
        ("backend", {"digest": "other.example.org/archive@"}, "fail", "expected other.example.org/archive@sha256:"),
        ("local", {"registry_digest": "required"}, "fail", "registry digest is none, expected a registry's digest"),
        ("backend", {"max_size": "1kB"}, "fail", "expected at most 1000 B"),
        ("foreign", {}, "fail", f"architecture is linux/{OTHER}, expected linux/{ARCHITECTURE}"),
        ("foreign", {"architecture": "any"}, "pass", ""),
        ("local", {"moving_tags": ["1"]}, "warn", "is named by the tag 1, which moves"),
        ("local", {"moving_tags": ["1"], "tag_that_moves": "fail"}, "fail", "is named by the tag 1, which moves"),
        ("local", {"moving_tags": ["1"], "tag_that_moves": "any"}, "pass", ""),
        ("archive/local", {}, "fail", "named by the tag latest, which moves"),
    ],
)
def test_an_image_that_is_not_the_releases_is_named_with_what_it_is(
    images: Images, name: str, params: dict[str, t.Any], status: str, said: str
) -> None:
    reference = getattr(images, name, name)
    wanted = dict(params)
    digest = wanted.pop("digest", None)
    if digest is not None:
        wanted["digests"] = {reference: digest if digest[-1] != "@" else f"{digest}{images.digest}"}
    held(finding(images.url, images=[reference], **wanted), status, said)


@serves("S1.22", case="fail")
def test_a_registry_is_reached_where_it_answers_and_unknown_where_it_is_silent(
    images: Images, http_server: HttpServer
) -> None:
    wanted = {"images": [images.local], "registries": [http_server.url]}
    for answer, status, said in (
        (Answer(401, {}, {"WWW-Authenticate": "Bearer realm=x"}), "pass", ""),
        (Answer(200, {}), "pass", ""),
        (Answer(200, "", {"Docker-Distribution-API-Version": "registry/2.0"}), "pass", ""),
        (Answer(200, "<html>Log in</html>"), "unknown", "status 200 for /v2/ with 19 bytes of text/plain, no Docker-"),
        (Answer(200, []), "unknown", "status 200 for /v2/ with 2 bytes of application/json, no Docker-"),
        (Answer(401, {}), "unknown", "status 401 for /v2/ with no WWW-Authenticate header, no Docker-"),
        (Answer(401, {}, {"WWW-Authenticate": 'Basic realm="x", Bearer realm="https://h/token"'}), "pass", ""),
        (Answer(401, {}, {**BASIC, "Docker-Distribution-Api-Version": "registry/2.0"}), "pass", ""),
        # What nginx answers with auth_basic.
        (
            Answer(401, "<html>401</html>", BASIC),
            "unknown",
            "status 401 for /v2/ with a challenge of basic, no Docker-",
        ),
        (Answer(404), "fail", "is status 404, expected status 200 or 401"),
        (Answer(503), "fail", "is status 503"),
        (Answer(200, "", delay=60), "unknown", "gave no answer: "),
    ):
        http_server.route("/v2/", answer)
        found = finding(images.url, timeout=2.0 if answer.delay else 20.0, **wanted)
        held(found, status, said)
        assert found["evidence"]["registries"][0]["status"] == (None if answer.delay else answer.status)


def test_no_engine_and_what_cannot_be_judged_are_unknown(images: Images, tmp_path: Path) -> None:
    held(finding(f"unix://{tmp_path}/docker.sock", images=["a:1"]), "unknown", "docker.sock")
    for params, said in (
        ({"images": []}, "images is empty"),
        ({"images": ["../../info"]}, "is no reference of an image"),
        ({"images": ["a:1"], "digests": {"b:1": images.digest}}, "digests: b:1 is none of the images"),
        ({"images": ["a:1"], "digests": {"a:1": "2.0.0"}}, "is no digest"),
        ({"images": ["a:1"], "registries": []}, "registries is empty"),
        ({"images": ["a:1"], "max_age": "a day"}, "max_age"),
    ):
        held(finding(images.url, **t.cast("dict[str, t.Any]", params)), "unknown", said)


def test_the_examples_do_what_their_names_say(images: Images, run_module_here: ModuleRun) -> None:
    for name, args in examples_of(
        "check_image",
        {
            "archive/backend:2.0.0": images.backend,
            f"registry.example.org/{images.backend}": images.backend,
            "archive/worker:2.0.0": images.worker,
            "sha256:6c2ef57b0e99ec46833a82f0bb7cb16f9b14d1985886aea5209a94914426e367": images.digest,
            "https://registry.example.org": images.registry.server.url,
        },
    ).items():
        answer = run_module_here("check_image", {**args, "url": images.url, "enforce": False})
        assert answer["finding"]["status"] == "pass", (name, answer["msg"])
