# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""check_backup on images of a release: whole in a second registry, or in archives at a place of backups."""

from __future__ import annotations

import base64
import dataclasses
import gzip
import hashlib
import io
import json
import os
import tarfile
import typing as t
from pathlib import Path

import pytest

from tests.conftest import ModuleRun
from tests.module_examples import examples_of
from tests.servers import HOST, S3, Answer, DemoCa, HttpServer, RefusedPort, Request

serves = pytest.mark.serves
REPOSITORY = "archive/backend"
OCI = "application/vnd.oci.image."
PASSWORD = "canary-71c4-registry"
TOKEN = "canary-71c4-token"
REGISTRY = {"Docker-Distribution-API-Version": "registry/2.0"}


def digest_of(octets: bytes) -> str:
    return f"sha256:{hashlib.sha256(octets).hexdigest()}"


@dataclasses.dataclass
class Made:
    """Images of a release: each manifest and blob by its digest, and the index of two platforms that stands above them."""

    manifests: dict[str, tuple[bytes, str]] = dataclasses.field(default_factory=dict)
    blobs: dict[str, bytes] = dataclasses.field(default_factory=dict)
    index: str = ""
    #: Of one platform.
    single: str = ""
    layer: str = ""

    def manifest(self, kind: str, **document: t.Any) -> dict[str, t.Any]:
        octets = json.dumps({"schemaVersion": 2, "mediaType": f"{OCI}{kind}", **document}).encode()
        self.manifests[digest_of(octets)] = octets, f"{OCI}{kind}"
        return {"mediaType": f"{OCI}{kind}", "digest": digest_of(octets), "size": len(octets)}

    def blob(self, octets: bytes, kind: str) -> dict[str, t.Any]:
        self.blobs[digest_of(octets)] = octets
        return {"mediaType": f"{OCI}{kind}", "digest": digest_of(octets), "size": len(octets)}

    def image(self, platform: str) -> dict[str, t.Any]:
        layers = [self.blob(gzip.compress(text.encode(), mtime=0), "layer.v1.tar+gzip") for text in ("base", platform)]
        config = self.blob(json.dumps({"architecture": platform, "os": "linux"}).encode(), "config.v1+json")
        self.layer = layers[1]["digest"]
        return self.manifest("manifest.v1+json", config=config, layers=layers)


@pytest.fixture(scope="module")
def made() -> Made:
    found = Made()
    children = [found.image(platform) for platform in ("arm64", "amd64")]
    found.single = children[1]["digest"]
    found.index = found.manifest("index.v1+json", manifests=children)["digest"]
    return found


def named(digest: str) -> str:
    return f"registry.example.org:5000/{REPOSITORY}@{digest}"


class Shelf:
    """A registry that holds the images, over a scripted server."""

    def __init__(self, server: HttpServer, made: Made, *, prefix: str = "") -> None:
        self.server, self.root = server, f"/v2/{prefix}{REPOSITORY}"
        server.routes.clear()
        server.requests.clear()
        server.route("/v2/", Answer(200, {}, REGISTRY))
        server.route("*", Answer(404, {"errors": [{"code": "MANIFEST_UNKNOWN"}]}, REGISTRY))
        for digest, (octets, kind) in made.manifests.items():
            server.route(f"{self.root}/manifests/{digest}", Answer(200, octets, {"Content-Type": kind}))
        for digest, octets in made.blobs.items():
            server.route(f"{self.root}/blobs/{digest}", Answer(200, octets))

    def put(self, what: str, digest: str, answer: t.Any) -> None:
        self.server.route(f"{self.root}/{what}/{digest}", answer)

    def guard(self, may_pass: t.Callable[[Request], bool], challenge: str) -> None:
        """Let nobody in but those."""

        def guarded(route: t.Any) -> t.Callable[[Request], Answer]:
            refusal = Answer(401, {"errors": []}, {**REGISTRY, "WWW-Authenticate": challenge})
            return lambda request: route if may_pass(request) else refusal

        for path, route in list(self.server.routes.items()):
            self.server.route(path, guarded(route))


Judge = t.Callable[..., dict[str, t.Any]]


@pytest.fixture
def judged(run_module_here: ModuleRun) -> Judge:
    def judge(url: str, *images: str, **registry: t.Any) -> dict[str, t.Any]:
        options = {"kind": "registry", "images": list(images), "registry": {"url": url, **registry}}
        answer = run_module_here(
            "check_backup", {**options, "enforce": False, "timeout": 20}, secrets=[PASSWORD, TOKEN]
        )
        return t.cast("dict[str, t.Any]", answer["finding"])

    return judge


def held(found: dict[str, t.Any], status: str, said: str = "") -> None:
    assert (found["status"], said in found["summary"]) == (status, True), found["summary"]


@pytest.fixture(scope="module")
def server() -> t.Iterator[HttpServer]:
    with HttpServer() as running:
        yield running


# ---- a second registry


@serves("S2.5", case="pass")
def test_images_that_are_whole_in_another_registry_pass_with_what_they_consist_of(
    judged: Judge, server: HttpServer, made: Made
) -> None:
    Shelf(server, made, prefix="mirror/2026/")
    found = judged(server.url, named(made.index), named(made.single), named(made.index), prefix="/mirror/2026/")
    held(found, "pass")
    whole, single = found["evidence"]["images"]
    # Two platforms share their base.
    assert (whole["manifests"], whole["blobs"], single["manifests"], single["blobs"]) == (3, 5, 1, 3)
    assert whole["size_bytes"] == sum(len(octets) for octets, _kind in made.manifests.values()) + sum(
        map(len, made.blobs.values())
    )
    assert whole["where"] == f"{server.url}/mirror/2026/{REPOSITORY}"
    asked = [request for request in server.requests if "/blobs/" in request.path]
    assert {request.method for request in asked} == {"HEAD"}
    # Without the prefix there is another repository.
    held(
        judged(server.url, named(made.index)), "fail", f"image {named(made.index)} is not in {server.url}".capitalize()
    )


@serves("S2.5", case="fail")
def test_an_image_that_is_absent_or_copied_by_half_is_told_with_what_is_missing(
    judged: Judge, server: HttpServer, made: Made
) -> None:
    gone = Answer(404, {"errors": []}, REGISTRY)
    other = made.manifests[made.single][0] + b" "
    for what, digest, answer, said in (
        ("manifests", made.index, gone, "is not in http"),
        ("manifests", made.single, gone, f"manifest {made.single} is missing"),
        ("manifests", made.index, Answer(200, other), f"manifest {made.index} has other bytes, of the digest {digest_of(other)}"),
        ("blobs", made.layer, gone, f"blob {made.layer} is missing"),
        ("blobs", made.layer, Answer(200, b"cut"), f"blob {made.layer} has 3 bytes, expected "),
    ):  # fmt: skip
        shelf = Shelf(server, made)
        shelf.put(what, digest, answer)
        held(judged(server.url, named(made.index)), "fail", said)
    # Of two images one is there.
    Shelf(server, made)
    held(judged(server.url, named(made.single), named(f"sha256:{'0' * 64}")), "fail", f"{'0' * 64} is not in http")
    # What takes the registry away takes such a backup too.
    own = f"{HOST}:{server.port}/{REPOSITORY}@{made.index}"
    held(judged(server.url, own), "fail", f"{server.url} is the registry that the images are pulled from")


def test_what_cannot_be_looked_at_is_unknown(judged: Judge, server: HttpServer, made: Made) -> None:
    image = named(made.index)
    with RefusedPort() as nobody:
        held(judged(f"http://{HOST}:{nobody.port}", image), "unknown", "connection refused")
    for what, digest, answer, said in (
        ("manifests", made.index, Answer(500), "answered with status 500"),
        ("manifests", made.index, Answer(200, b" " * (4 * 1024 * 1024 + 1)), "more than the 4 MiB"),
        ("manifests", made.index, Answer(403), "refuses who has no login with status 403"),
        ("blobs", made.layer, Answer(429), "answered with status 429"),
    ):
        shelf = Shelf(server, made)
        shelf.put(what, digest, answer)
        held(judged(server.url, image), "unknown", said)
    for octets in (b"{}", b"[]", b"<html>", b'{"layers": [], "config": {"digest": "../../x", "size": 1}}'):
        shelf = Shelf(server, made)
        shelf.put("manifests", digest_of(octets), Answer(200, octets))
        held(judged(server.url, named(digest_of(octets))), "unknown", "could not be looked at: manifest sha256:")
    server.routes.clear()
    server.route("*", Answer(200, "<html>Log in</html>"))
    held(judged(server.url, image), "unknown", "may be no registry: it answered status 200 for /v2/")


def test_a_fault_that_was_seen_counts_though_the_rest_could_not_be_looked_at(
    judged: Judge, server: HttpServer, made: Made
) -> None:
    shelf = Shelf(server, made)
    shelf.put("blobs", made.layer, Answer(404))
    for digest in made.manifests:
        if digest not in (made.index, made.single):
            shelf.put("manifests", digest, Answer(500))
    held(judged(server.url, named(made.index)), "fail", f"blob {made.layer} is missing")


def test_layers_of_others_are_not_asked_for_and_a_store_behind_the_registry_is(
    judged: Judge, server: HttpServer, made: Made
) -> None:
    windows = Made()
    foreign = {
        "mediaType": "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
        "digest": f"sha256:{'1' * 64}",
        "size": 9,
        "urls": ["https://mcr.example.com/layer"],
    }
    config = windows.blob(b"{}", "config.v1+json")
    windows.single = windows.manifest("manifest.v1+json", config=config, layers=[foreign])["digest"]
    shelf = Shelf(server, windows)
    # Signed for GET alone, as addresses of object stores are.
    shelf.put("blobs", config["digest"], Answer(307, "", {"Location": "/store/blob"}))
    server.route("GET /store/blob", Answer(206, b"{", {"Content-Range": "bytes 0-0/2"}))
    server.route("HEAD /store/blob", Answer(403))
    held(judged(server.url, named(windows.single)), "pass")
    server.route("GET /store/blob", Answer(404))
    held(judged(server.url, named(windows.single)), "fail", f"blob {config['digest']} is missing")


def test_a_login_is_by_a_password_or_by_a_token_for_the_repository(
    judged: Judge, server: HttpServer, made: Made, demo_ca: DemoCa, tmp_path: Path
) -> None:
    image, login = named(made.index), {"username": "backup", "password": PASSWORD}
    basic = f"Basic {base64.b64encode(f'backup:{PASSWORD}'.encode()).decode()}"

    def knows(request: Request) -> bool:
        return request.headers.get("Authorization") == basic

    Shelf(server, made).guard(knows, 'Basic realm="closed, Bearer "')
    held(judged(server.url, image, **login), "pass")
    held(judged(server.url, image), "unknown", "asks for a login (basic)")
    held(
        judged(server.url, image, **{**login, "password": "wrong"}),
        "unknown",
        "refuses the login of backup with status 401",
    )

    def gives(request: Request) -> Answer:
        wanted = (
            f"scope=repository%3A{REPOSITORY.replace('/', '%2F')}%3Apull" in request.path or "scope" not in request.path
        )
        return Answer(200, {"token": TOKEN}) if knows(request) and wanted else Answer(401, {"details": "no"})

    with HttpServer({"/token": gives}) as tokens:
        challenge = f'Basic realm="x", Bearer realm="{tokens.url}/token",service="registry"'
        Shelf(server, made).guard(lambda request: request.headers.get("Authorization") == f"Bearer {TOKEN}", challenge)
        held(judged(server.url, image, **login), "pass")
        held(judged(server.url, image), "unknown", "refuses a token to who has no login with status 401")
        held(
            judged(server.url, image, **{**login, "password": "wrong"}),
            "unknown",
            "refuses the login of backup with status 401",
        )
        for answer, said in (
            (Answer(200, {"token": "two\nlines"}), "answered without a token"),
            (Answer(200, {"token": 1}), "answered without a token"),
            (Answer(503), "answered with status 503 when it was asked for a token"),
        ):
            tokens.route("/token", answer)
            held(judged(server.url, image, **login), "unknown", said)
        # Over TLS, a password is not sent on without.
        issued = demo_ca.issue()
        with HttpServer(tls=issued) as secure:
            Shelf(secure, made)
            authority = tmp_path / "ca.pem"
            authority.write_text(demo_ca.pem)
            held(judged(secure.url, image, ca_file=str(authority)), "pass")
            held(judged(secure.url, image), "unknown", "certificate")
            tokens.requests.clear()
            Shelf(secure, made).guard(lambda _request: False, challenge)
            held(judged(secure.url, image, ca_file=str(authority), **login), "unknown", "without TLS")
            assert not tokens.requests


# ---- archives


def layout_of(made: Made, *listed: str, left_out: str = "") -> dict[str, bytes]:
    """The files of an OCI image layout whose index names these."""
    files = {"oci-layout": b'{"imageLayoutVersion": "1.0.0"}'}
    blobs = {**made.blobs, **{digest: octets for digest, (octets, _kind) in made.manifests.items()}}
    files.update(
        {f"blobs/{digest.replace(':', '/')}": octets for digest, octets in blobs.items() if digest != left_out}
    )
    entries = [
        {"mediaType": made.manifests[one][1], "digest": one, "size": len(made.manifests[one][0])} for one in listed
    ]
    # docker save writes it behind the blobs.
    return {**files, "index.json": json.dumps({"schemaVersion": 2, "manifests": entries}).encode()}


def packed(files: t.Mapping[str, bytes], before: str = "") -> bytes:
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        for name, octets in files.items():
            member = tarfile.TarInfo(f"{before}{name}")
            member.size = len(octets)
            tar.addfile(member, io.BytesIO(octets))
    return archive.getvalue()


class Place:
    """Where archives lie: a directory, or a bucket."""

    def __init__(self, folder: Path, store: S3 | None = None) -> None:
        self.folder, self.store = folder, store
        self.bucket = store.create_bucket() if store is not None else ""

    def put(self, name: str, body: bytes, *, days: float = 0.0) -> None:
        if self.store is not None:
            self.store.client().put_object(Bucket=self.bucket, Key=f"images/{name}", Body=body)
            return
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body)
        moment = path.stat().st_mtime - days * 86400
        os.utime(path, (moment, moment))

    def options(self, *images: str, **more: t.Any) -> dict[str, t.Any]:
        place: dict[str, t.Any] = {"destination": f"file://{self.folder}"}
        if self.store is not None:
            keys = {"access_key": self.store.access_key, "secret_key": self.store.secret_key}
            place = {"destination": f"s3://{self.bucket}/images", "s3": {"endpoint_url": self.store.endpoint, **keys}}
        wanted = {"kind": "registry", "images": list(images), "pattern": "*.tar", "enforce": False, "timeout": 60}
        return {**place, **wanted, **more}


@pytest.fixture
def archived(run_module_here: ModuleRun) -> t.Callable[..., dict[str, t.Any]]:
    def judge(place: Place, *images: str, **options: t.Any) -> dict[str, t.Any]:
        return t.cast("dict[str, t.Any]", run_module_here("check_backup", place.options(*images, **options))["finding"])

    return judge


@serves("S2.5", case="pass")
@pytest.mark.parametrize("where", ["directory", "bucket"])
def test_images_that_are_whole_in_archives_pass_with_the_newest_ones_age(
    archived: Judge, made: Made, s3: S3, tmp_path: Path, where: str
) -> None:
    place = Place(tmp_path, s3 if where == "bucket" else None)
    # More than is read of an object store at once.
    filling = {"blobs/sha256/filling": bytes(300_000)}
    place.put("2026/release.tar", packed({**filling, **layout_of(made, made.index)}, before="./"), days=2)
    place.put("2026/other.tar", packed(layout_of(made)))
    for digest in (made.index, made.single):
        found = archived(place, named(digest), max_age="26h")
        held(found, "pass")
        assert found["evidence"]["images"][0]["where"].endswith("2026/release.tar")
    # The other one's, made just now; this one is two days old.
    assert found["measured"]["age of the newest archive"].endswith(" s")
    for name, octets in layout_of(made, made.index).items():
        place.put(f"unpacked/{name}", octets)
    found = archived(place, named(made.index), pattern="*/index.json")
    held(found, "pass")
    assert (found["evidence"]["images"][0]["manifests"], found["evidence"]["images"][0]["blobs"]) == (3, 5)


@serves("S2.5", case="fail")
def test_archives_that_are_old_lack_something_or_cannot_be_read_are_told(
    archived: Judge, made: Made, tmp_path: Path
) -> None:
    place, image = Place(tmp_path), named(made.index)
    held(archived(place, image), "fail", f"No archive at file://{tmp_path} matches *.tar")
    whole = packed(layout_of(made, made.index))
    for body, status, said in (
        (packed(layout_of(made, made.single)), "fail", f"is not in file://{tmp_path}"),
        (packed(layout_of(made, made.index, left_out=made.layer)), "fail", f"blob {made.layer} is missing"),
        (packed(layout_of(made, made.index, left_out=made.single)), "fail", f"manifest {made.single} is missing"),
        (
            whole.rstrip(b"\0")[:-10],
            "unknown",
            "no tar that can be looked into, or it is cut off",
        ),
        (gzip.compress(whole), "unknown", "no tar that can be looked into"),
        (b"", "unknown", "no tar that can be looked into"),
        (packed({"manifest.json": b"[]"}), "unknown", "is no image layout: there is no index.json"),
        (packed({"index.json": b"<html>"}), "unknown", "is no image layout: its index is damaged"),
    ):
        place.put("release.tar", body)
        held(archived(place, image), status, said)
    place.put("release.tar", whole, days=2)
    held(archived(place, image, max_age="26h"), "fail", "release.tar is 2.0 days old, expected at most 26h")
    place.put("release.tar", whole, days=-2)
    held(archived(place, image, max_age="26h"), "unknown", "is dated 48.0 h from now")
    # An older one that is whole is as good.
    place.put("older.tar", whole, days=9)
    place.put("release.tar", packed(layout_of(made, made.index, left_out=made.layer)))
    held(archived(place, image), "pass")
    held(archived(Place(tmp_path / "gone"), image), "fail", "The destination of the backups is not there")


def test_of_an_archive_that_cannot_be_looked_into_the_list_beside_it_counts(
    archived: Judge, made: Made, tmp_path: Path
) -> None:
    place = Place(tmp_path)
    place.put("release.tar.gz", gzip.compress(packed(layout_of(made, made.index))))
    place.put("release.tar.gz.digests", f"{named(made.index)}\n{named(made.single)}0\n".encode())
    found = archived(place, named(made.index), pattern="*")
    held(found, "pass")
    assert found["measured"][f"image {named(made.index)}"] == "by the list beside an archive"
    # One digit too many is another digest.
    held(archived(place, named(made.single), pattern="*.gz"), "fail", "is not in file://")
    place.put("release.tar.gz", b"")
    held(archived(place, named(made.index), pattern="*.gz"), "fail", "is not in file://")


def test_the_documentations_examples_are_judged(
    run_module_here: ModuleRun, server: HttpServer, made: Made, tmp_path: Path
) -> None:
    Shelf(server, made, prefix="mirror/")
    Place(tmp_path).put("release-2.0.0.tar", packed(layout_of(made, made.index)))
    replaced = {
        "sha256:6c2ef57b0e99ec46833a82f0bb7cb16f9b14d1985886aea5209a94914426e367": made.index,
        "https://registry.example.com:5000": server.url,
        "{{ registry_password }}": PASSWORD,
        "file:///var/backups/images": f"file://{tmp_path}",
    }
    examples = [one for one in examples_of("check_backup", replaced).values() if one.get("kind") == "registry"]
    assert len(examples) == 2
    for options in examples:
        held(run_module_here("check_backup", {**options, "enforce": False}, secrets=[PASSWORD])["finding"], "pass")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"images": []}, "images is empty"),
        ({"images": None}, "images"),
        ({"images": ["archive/backend:2.0.0"]}, "names no image by repository and digest"),
        ({"images": [f"sha256:{'0' * 64}"]}, "names no image by repository and digest"),
        ({"images": ["../x@sha256:0"]}, "names no image by repository and digest"),
        ({"images": [f"h.example.org/a--.b@sha256:{'0' * 64}"]}, "is no name of a repository"),
        ({"registry": {"url": "https://h"}}, "takes either registry or destination"),
        ({"destination": None}, "takes either registry or destination"),
        ({"pattern": None}, "pattern is empty"),
        ({"database": "archive"}, "database is not for kind: registry."),
        ({"min_size": "9B", "verify": "head"}, "min_size, verify are not for kind: registry."),
        ({"max_age": "a day"}, "max_age"),
        ({"destination": None, "registry": {"url": "https://h"}}, "pattern is not for a registry."),
        ({"destination": None, "registry": {"url": "https://h"}, "max_age": "1h"}, "max_age goes with destination"),
        ({"destination": None, "pattern": None, "registry": {"url": "h:5000"}}, "is not http://host"),
        ({"destination": None, "pattern": None, "registry": {"url": "https://h/v2/x"}}, "has a path"),
        ({"destination": None, "pattern": None, "registry": {"url": "https://h", "prefix": "../a"}}, "registry.prefix is"),
        ({"destination": None, "pattern": None, "registry": {"url": "https://h", "password": "x"}}, "goes with registry.username"),
        ({"kind": "files", "max_age": "1h"}, "images is not for kind: files."),
        ({"kind": "files", "images": None}, "max_age"),
    ],
)  # fmt: skip
def test_a_wrong_option_is_one_clear_error(
    run_module_here: ModuleRun, tmp_path: Path, options: dict[str, t.Any], said: str
) -> None:
    wanted = Place(tmp_path).options(named(f"sha256:{'0' * 64}"), **options)
    answer = run_module_here("check_backup", {name: value for name, value in wanted.items() if value is not None})
    assert answer.get("failed") is not False and said in answer["msg"], answer
