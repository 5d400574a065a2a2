# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""services over containers of a real Docker Engine: from one image to another by digest, and back to the one that ran."""

from __future__ import annotations

import contextlib
import http.client
import http.server
import re
import socket
import socketserver
import threading
import typing as t
from pathlib import Path

import pytest

from tests.image_registry import ImageRegistry
from tests.servers import Answer, Docker, HttpServer, free_port

if t.TYPE_CHECKING:
    from tests.conftest import ModuleRun

serves = pytest.mark.serves
NAMES = ["rolled-backend-1", "rolled-worker-1"]
BUILT = "2026-11-20T05:00:00Z"


class Site:
    """Two containers of one image, their network, and a registry that has two versions."""

    def __init__(self, docker: Docker, registry: ImageRegistry, run_module: ModuleRun, folder: Path) -> None:
        self.docker, self.registry, self.folder, self._run_module = docker, registry, folder, run_module
        self.repository = f"{registry.name}/rolled"
        self.old_digest, self.old = self._published("1.0.0")
        self.new_digest, self.new = self._published("2.0.0")
        registry.pull(docker, "rolled", "1.0.0")
        for name in NAMES:
            docker.create(
                name,
                f"{self.repository}:1.0.0",
                {"NetworkMode": "rolled-front", "Binds": ["rolled-data:/data"], "Memory": 32 * 2**20},
                Labels={"com.docker.compose.service": name},
                Env=["MODE=production"],
                Volumes={"/cache": {}},
                NetworkingConfig={"EndpointsConfig": {"rolled-front": {"Aliases": [name.split("-")[1]]}}},
            )
            docker.asked("POST", "/networks/rolled-back/connect", {"Container": name})

    def _published(self, version: str) -> tuple[str, str]:
        return self.registry.publish("rolled", version, created=BUILT, labels={"version": version})

    def __call__(self, state: str, *, check: bool = False, to: str = "", **more: t.Any) -> dict[str, t.Any]:
        images = {"images": dict.fromkeys(NAMES, to)} if to else {}
        arguments = {
            "state": state,
            "manager": "docker",
            "services": NAMES,
            "docker": {"url": self.docker.url, **images},
            "snapshot_dir": str(self.folder),
            "stop_timeout": 20,
            **more,
        }
        return self._run_module("services", arguments, check=check)

    def names(self) -> list[str]:
        """Of all containers."""
        return [name for each in self.docker.asked("GET", "/containers/json?all=1") for name in each["Names"]]

    def running(self) -> set[tuple[str, bool]]:
        """Which image each container has, and whether it runs."""
        return {(seen["Image"], seen["State"]["Running"]) for seen in map(self.docker.inspect, NAMES)}


@contextlib.contextmanager
def refusing(docker: Docker, pattern: str, path: Path) -> t.Iterator[str]:
    """The engine's URL through somebody who answers what fits the pattern himself."""

    class Between(http.server.BaseHTTPRequestHandler):
        def address_string(self) -> str:
            return "nobody"

        def log_message(self, *_unused: t.Any) -> None:
            pass

        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            status, answer = 500, b'{"message": "not today"}'
            if re.search(pattern, self.path) is None:
                engine = http.client.HTTPConnection("localhost")
                engine.sock = socket.socket(socket.AF_UNIX)
                engine.sock.connect(str(docker.socket_path))
                engine.request(self.command, self.path, body or None, {"Content-Type": "application/json"})
                response = engine.getresponse()
                status, answer = response.status, response.read()
                engine.close()
            self.send_response(status)
            if status not in (204, 304):
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        do_POST = do_DELETE = do_GET

    with socketserver.ThreadingUnixStreamServer(str(path), Between) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"unix://{path}"
        finally:
            server.shutdown()
            thread.join()
            path.unlink()


@pytest.fixture(scope="module")
def shop(docker: Docker) -> t.Iterator[ImageRegistry]:
    server = HttpServer().start()
    networks = ("rolled-front", "rolled-back")
    for name in networks:
        docker.asked("POST", "/networks/create", {"Name": name, "Driver": "bridge"})
    try:
        yield ImageRegistry(server, docker.program)
    finally:
        for name in networks:
            docker.asked("DELETE", f"/networks/{name}")
        server.stop()


@pytest.fixture
def site(docker: Docker, shop: ImageRegistry, run_module_here: ModuleRun, tmp_path: Path) -> t.Iterator[Site]:
    try:
        yield Site(docker, shop, run_module_here, tmp_path / "snapshot")
    finally:
        listed = docker.asked("GET", "/containers/json?all=1")
        docker.remove(*(each["Id"] for each in listed if any("rolled-" in name for name in each["Names"])))
        for each in docker.asked("GET", "/images/json"):
            if any("/rolled" in name for name in [*(each["RepoTags"] or ()), *(each["RepoDigests"] or ())]):
                docker.asked("DELETE", f"/images/{each['Id']}?force=1")


def shape(docker: Docker, name: str) -> t.Any:
    """What a container is beside its image, its id and the addresses that it was given."""
    seen = docker.inspect(name)
    networks = seen["NetworkSettings"]["Networks"]
    host = {key: value for key, value in seen["HostConfig"].items() if key not in ("Binds", "LogConfig")}
    return {
        "host": host,
        "env": seen["Config"]["Env"],
        "service": seen["Config"]["Labels"]["com.docker.compose.service"],
        "volumes": sorted((mount["Name"], mount["Destination"], mount["RW"]) for mount in seen["Mounts"]),
        "aliases": {
            network: sorted(set(each["Aliases"] or ()) - {seen["Id"][:12]}) for network, each in networks.items()
        },
    }


@serves("S1.35", "S1.64", case="pass")
def test_a_release_goes_to_the_new_digest_and_back_to_the_one_that_ran(site: Site) -> None:
    assert site("started")["changed"], "the images are those that the containers have"
    noted = site("snapshot")["snapshot"]["version"]["containers"]
    repository = site.repository
    had = {"image": site.old, "repo_digests": [f"{repository}@{site.old_digest}"], "joins": ["rolled-back"]}
    assert noted == dict.fromkeys(NAMES, had)
    before = {name: shape(site.docker, name) for name in NAMES}
    wanted = f"{repository}@{site.new_digest}"
    assert site("pulled", to=wanted, check=True)["changed"]
    pulled = site("pulled", to=wanted)
    size = site.docker.asked("GET", f"/images/{site.new}/json")["Size"]
    assert pulled["changed"] and pulled["pulled"]["images"] == [
        {"name": name, "from": site.old, "to": site.new, "bytes": size} for name in NAMES
    ]
    assert pulled["pulled"]["bytes"] == size > 0, "one image of two containers comes once"
    assert pulled["pulled"]["seconds"] > 0
    assert site.docker.inspect(NAMES[0])["Image"] == site.old, "the image of before is still here, and in use"
    again = site("pulled", to=wanted)
    assert (again["changed"], again["pulled"]["bytes"]) == (False, 0)
    stopped = site("stopped")
    assert [(each["exit"], each["signal"]) for each in stopped["services"]] == [("0", "SIGTERM")] * 2, stopped
    started = site("started", to=wanted)
    assert [(each["from"], each["to"], each["state"]) for each in started["images"]] == [
        (site.old, site.new, "running")
    ] * 2
    assert site.running() == {(site.new, True)}
    assert site.docker.inspect(NAMES[0])["Config"]["Labels"]["version"] == "2.0.0", "what the image says is its own"
    assert {name: shape(site.docker, name) for name in NAMES} == before
    assert not site("started", to=f"sha256:{site.new[7:]}")["changed"]

    # Whoever moves the tag in the meantime moves nothing here.
    site.docker.asked("POST", f"/images/{site.new}/tag?repo={repository}&tag=1.0.0")
    site("stopped")
    assert site("restored", check=True)["changed"]
    back = site("restored")
    assert back["changed"], back
    assert [(each["from"], each["to"]) for each in back["images"]] == [(site.new, site.old)] * 2
    assert back["images"][0]["repo_digests"] == [f"{repository}@{site.old_digest}"]
    assert not site("restored")["changed"]
    ran = site("started")
    assert {(each["to"], each["state"]) for each in ran["images"]} == {(site.old, "running")}
    assert site.running() == {(site.old, True)}
    assert {name: shape(site.docker, name) for name in NAMES} == before
    listed = [name for each in site.docker.asked("GET", "/containers/json?all=1") for name in each["Names"]]
    assert not [name for name in listed if "_golive_" in name]


@serves("S1.35", "S1.64", case="fail")
def test_a_digest_that_is_not_here_is_refused_before_a_container_is_touched(site: Site) -> None:
    site("started")
    site("snapshot")
    absent = f"sha256:{'0' * 64}"
    for state in ("pulled", "started"):
        refused = site(state, to=absent)
        assert (refused["error"], site.running()) == ("Refused", {(site.old, True)}), refused
        assert f"Not on this host: {absent} of rolled-backend-1" in refused["msg"]
    strange = site("pulled", to=f"{site.repository}@{absent}")
    assert "could not be pulled: " in strange["msg"], strange
    assert "manifest unknown" in strange["msg"]
    tag = site("started", to=f"{site.repository}:1.0.0")
    assert "is no digest" in tag["msg"]
    # The image of before is lost: nothing is half taken back.
    wanted = f"{site.repository}@{site.new_digest}"
    site("pulled", to=wanted)
    site("stopped")
    site("started", to=wanted)
    site("stopped")
    site.docker.asked("DELETE", f"/images/{site.old}?force=1")
    lost = site("restored")
    assert (lost["failed"], site.running()) == (True, {(site.new, False)}), lost
    assert f"Not on this host: {site.old} of rolled-backend-1" in lost["msg"]


@serves("S1.64", case="fail")
def test_an_image_is_not_changed_under_a_container_that_runs(site: Site) -> None:
    site("started")
    wanted = f"{site.repository}@{site.new_digest}"
    site("snapshot")
    site("pulled", to=wanted)
    refused = site("started", to=wanted)
    assert (refused["error"], site.running()) == ("Refused", {(site.old, True)}), refused
    assert "Stop the services first" in refused["msg"]
    site("stopped")
    site("started", to=wanted)
    refused = site("restored")
    assert (refused["error"], site.running()) == ("Refused", {(site.new, True)}), refused
    assert "still runs" in refused["msg"]


#: What the engine is to refuse for all to be as a run leaves it that is killed after both renames, and between the two.
BEFORE_THE_REMOVAL = r"containers/[a-z0-9-]+_golive_old$"
BETWEEN_THE_NAMES = r"_golive_(new|old)/rename|containers/[a-z0-9-]+_golive_new$"


@pytest.mark.parametrize("suffix", ["_golive_old", "_golive_new"])
def test_a_container_that_no_exchange_left_is_named_before_anything_is_made(site: Site, suffix: str) -> None:
    wanted = f"{site.repository}@{site.new_digest}"
    site("pulled", to=wanted)
    other = f"{NAMES[0]}{suffix}"
    site.docker.create(other, f"{site.repository}:1.0.0")
    before = sorted(site.names())
    refused = site("started", to=wanted)
    assert refused["failed"] and site.running() == {(site.old, False)}, refused
    assert f"docker rm {other}" in refused["msg"]
    assert sorted(site.names()) == before


def test_an_exchange_that_was_killed_before_its_end_is_ended_by_the_next_run(site: Site, tmp_path: Path) -> None:
    site("snapshot")
    wanted = f"{site.repository}@{site.new_digest}"
    site("pulled", to=wanted)

    def killed() -> None:
        """As a run leaves it that is killed there; one that the engine refuses goes on, and tells."""
        with refusing(site.docker, BEFORE_THE_REMOVAL, tmp_path / "docker.sock") as url:
            done = site("started", docker={"url": url, "images": dict.fromkeys(NAMES, wanted)})
        assert f"{NAMES[0]}_golive_old is left over, and could not be removed" in str(done["warnings"]), done
        assert f"/{NAMES[0]}_golive_old" in site.names()
        for name in NAMES:
            site.docker.asked("POST", f"/containers/{name}/stop")

    killed()
    kept = sorted(site.names())
    check = site("restored", check=True)
    assert check["diff"]["after"][f"container {NAMES[0]}_golive_old"] == "removed", check
    assert not site("status")["changed"] and sorted(site.names()) == kept
    back = site("restored")
    assert back["changed"] and site.running() == {(site.old, False)}, back
    assert sorted(site.names()) == sorted(f"/{name}" for name in NAMES)
    killed()
    again = site("started", to=wanted)
    assert not again.get("failed") and site.running() == {(site.new, True)}, again
    assert sorted(site.names()) == sorted(f"/{name}" for name in NAMES)


def test_an_exchange_that_was_killed_between_the_names_is_taken_back_by_the_next_run(
    site: Site, tmp_path: Path
) -> None:
    first = site.docker.inspect(NAMES[0])["Id"]
    site("snapshot")
    wanted = f"{site.repository}@{site.new_digest}"
    site("pulled", to=wanted)

    def killed() -> list[str]:
        with refusing(site.docker, BETWEEN_THE_NAMES, tmp_path / "docker.sock") as url:
            assert site("started", docker={"url": url, "images": dict.fromkeys(NAMES, wanted)})["failed"]
        names = sorted(site.names())
        assert names == [f"/{NAMES[0]}_golive_new", f"/{NAMES[0]}_golive_old", f"/{NAMES[1]}"]
        return names

    left = killed()
    told = site("status")
    assert (told["services"][0]["state"], told["changed"]) == ("stopped", False), told
    assert f"It is named {NAMES[0]}_golive_old" in told["services"][0]["detail"]
    for state in ("snapshot", "pulled"):
        answer = site(state, to=wanted)
        assert (answer.get("failed"), answer["changed"]) == (None, False), answer
    for state in ("stopped", "restored", "started"):
        check = site(state, to=wanted if state == "started" else "", check=True)
        assert check["diff"]["after"][f"container {NAMES[0]}_golive_old"] == f"named {NAMES[0]}", check
        assert check["diff"]["after"][f"container {NAMES[0]}_golive_new"] == "removed"
    assert sorted(site.names()) == left, "of those none changes anything"
    for state in ("stopped", "restored", "restarted"):
        answer = site(state)
        assert not answer.get("failed") and answer["changed"], answer
        assert sorted(site.names()) == sorted(f"/{name}" for name in NAMES)
        assert site.docker.inspect(NAMES[0])["Id"] == first
        site("stopped")
        killed()
    again = site("started", to=wanted)
    assert not again.get("failed") and site.running() == {(site.new, True)}, again
    assert sorted(site.names()) == sorted(f"/{name}" for name in NAMES)


def test_what_cannot_be_made_anew_by_itself_is_refused_before_the_window(site: Site) -> None:
    first = site.docker.inspect(NAMES[0])["Id"]
    digest = f"{site.repository}@{site.new_digest}"
    site("pulled", to=digest)
    for setting, value in (
        ("NetworkMode", f"container:{first}"),
        ("IpcMode", f"container:{first}"),
        ("PidMode", f"container:{first}"),
        ("VolumesFrom", [f"{first}:ro"]),
        ("AutoRemove", True),
    ):
        beside = f"rolled-{setting.lower()}-1"
        site.docker.create(beside, f"{site.repository}:1.0.0", {setting: value})
        names = [NAMES[0], beside]
        before = sorted(each["Id"] for each in site.docker.asked("GET", "/containers/json?all=1"))
        wanted = {"images": dict.fromkeys(names, digest)}
        for state, images in (("snapshot", {}), ("pulled", wanted), ("started", wanted), ("restarted", {})):
            refused = site(
                state, services=names, docker={"url": site.docker.url, **images}, recreate=state == "restarted"
            )
            assert refused["error"] == "Refused", refused
            lives_in = f"{beside} has its network, processes or volumes from {NAMES[0]}"
            own = lives_in if state == "restarted" and setting != "AutoRemove" else f"{beside} has HostConfig.{setting}"
            assert own in refused["msg"], refused
            assert "release" in refused["msg"]
        assert sorted(each["Id"] for each in site.docker.asked("GET", "/containers/json?all=1")) == before
        site.docker.remove(beside)
    assert not site.folder.exists()


def test_nobody_is_made_anew_whom_another_one_lives_in(site: Site) -> None:
    first = site.docker.inspect(NAMES[0])["Id"]
    site.docker.create("rolled-sidecar-1", f"{site.repository}:1.0.0", {"NetworkMode": f"container:{first}"})
    refused = site("pulled", to=f"{site.repository}@{site.new_digest}")
    assert refused["error"] == "Refused", refused
    assert f"rolled-sidecar-1 has its network, processes or volumes from {NAMES[0]}" in refused["msg"]


def test_a_way_back_gives_what_was_given_before_also_where_the_new_image_has_the_same(site: Site) -> None:
    """What the new container has from its image cannot be told from what it was given: the snapshot can."""
    _digest, same = site.registry.publish(
        "rolled", "3.0.0", created=BUILT, labels={"com.docker.compose.service": NAMES[0]}
    )
    site.registry.pull(site.docker, "rolled", "3.0.0")
    before = {name: shape(site.docker, name) for name in NAMES}
    site("snapshot")
    assert site("started", to=same)["changed"]
    site("stopped")
    assert site("restored")["changed"]
    assert {name: shape(site.docker, name) for name in NAMES} == before
    # Where the snapshot has no such files, it is made of the one that is there.
    for path in (site.folder / "containers").iterdir():
        path.unlink()
    site(
        "started",
        to=f"{site.repository}@{site.new_digest}" if site.registry.pull(site.docker, "rolled", "2.0.0") else "",
    )
    site("stopped")
    assert site("restored")["changed"]
    assert {name: shape(site.docker, name) for name in NAMES} == before


def test_one_that_was_left_over_and_started_again_by_the_engine_is_ended(site: Site) -> None:
    wanted = f"{site.repository}@{site.new_digest}"
    site("pulled", to=wanted)
    site("started", to=wanted)
    site("stopped")
    made = site.docker.inspect(NAMES[0])
    replaced = made["Config"]["Labels"]["org.opsready.golive.replaces"]
    old = f"{NAMES[0]}_golive_old"
    site.docker.run(old, f"{site.repository}:1.0.0")
    site("stopped")
    assert f"/{old}" in site.names(), "nothing proves that it was left by an exchange"
    site.docker.remove(old)
    # The same, with the label that proves it.
    site.docker.run(old, f"{site.repository}:1.0.0")
    body = {"Image": made["Image"], "HostConfig": made["HostConfig"],
            "Labels": {**made["Config"]["Labels"], "org.opsready.golive.replaces": site.docker.inspect(old)["Id"]}}  # fmt: skip
    site.docker.remove(NAMES[0])
    site.docker.asked("POST", f"/containers/create?name={NAMES[0]}", body)
    assert replaced != body["Labels"]["org.opsready.golive.replaces"]
    answer = site("stopped")
    assert not answer.get("failed"), answer
    assert f"/{old}" not in site.names()


def test_the_beginning_of_an_id_is_no_name(site: Site) -> None:
    first = site.docker.inspect(NAMES[0])["Id"]
    for name in (first[:12], first, f"/{NAMES[0]}", f"x/../{NAMES[0]}", f"{NAMES[0]}?x=1"):
        answer = site("started", services=[name])
        assert f"There is no container {name}." in answer["msg"], answer
    assert site.running() == {(site.old, False)}


def test_a_container_that_cannot_be_made_anew_is_as_it_was(site: Site, tmp_path: Path) -> None:
    wanted = f"{site.repository}@{site.new_digest}"
    site("pulled", to=wanted)
    ids = {name: site.docker.inspect(name)["Id"] for name in NAMES}
    with refusing(site.docker, r"_golive_new/rename\?", tmp_path / "docker.sock") as url:  # the second of two renames
        failed = site("started", docker={"url": url, "images": dict.fromkeys(NAMES, wanted)})
    assert failed["failed"] and "not today" in failed["msg"], failed
    assert {name: site.docker.inspect(name)["Id"] for name in NAMES} == ids
    assert not [name for name in site.names() if "_golive_" in name], failed


def _identities(answer: dict[str, t.Any], when: str) -> dict[str, tuple[str, str]]:
    """Of each service that was touched, its container's id and its image's, in ``was`` or in ``now``."""
    return {each["name"]: (each[when]["container_id"], each[when]["image"]) for each in answer["services"]}


def _inspected(docker: Docker) -> dict[str, tuple[str, str]]:
    return {name: (seen["Id"], seen["Image"]) for name, seen in zip(NAMES, map(docker.inspect, NAMES))}


@serves("S1.75", case="pass")
def test_a_restart_and_a_recreated_container_keep_the_image(site: Site) -> None:
    site("started")
    before, first, deployed = shape(site.docker, NAMES[0]), _inspected(site.docker), site("status")["deployed"]
    with HttpServer({"/health": Answer(200, "ok")}) as backend:
        gates = [{"url": f"{backend.url}/health", "consecutive": 2}]
        plain = site("restarted", services=NAMES[:1], gates=gates)
        assert _identities(plain, "was") == _identities(plain, "now") == {NAMES[0]: first[NAMES[0]]}, plain
        assert plain["services"][0]["was"]["pid"] != plain["services"][0]["now"]["pid"]
        answer = site("restarted", recreate=True, gates=gates)
    assert not answer.get("failed"), answer
    assert answer["gates"][0]["consecutive"] == 2
    now = _inspected(site.docker)
    assert (_identities(answer, "was"), _identities(answer, "now")) == (first, now)
    assert all(now[name][0] != first[name][0] and now[name][1] == site.old for name in NAMES)
    assert answer["deployed"] == deployed == site("status")["deployed"]
    assert site.running() == {(site.old, True)}
    assert shape(site.docker, NAMES[0]) == before
    assert site("status")["all_running"]
    elsewhere = site("status", docker={"url": "tcp://127.0.0.1:2375"})
    assert "expected unix:///path" in elsewhere["msg"]
    gone = site("status", services=["rolled-none-1"])
    assert "There is no container rolled-none-1" in gone["msg"]


@serves("S1.75", case="fail")
def test_a_recreated_container_that_is_not_healthy_is_named_and_no_other_is_made_anew(site: Site) -> None:
    site("started")
    first = _inspected(site.docker)
    sick = {"service": NAMES[0], "url": f"http://127.0.0.1:{free_port()}/health", "timeout": 0.3}
    failed = site("restarted", recreate=True, gates=[sick])
    assert failed["failed"] and failed["changed"], failed
    assert failed["msg"].startswith(f"The restart of {NAMES[0]} failed: ")
    assert f"Not restarted: {NAMES[1]}." in failed["msg"] and failed["not_restarted"] == [NAMES[1]]
    now = _inspected(site.docker)
    assert (_identities(failed, "was"), _identities(failed, "now")) == (
        {NAMES[0]: first[NAMES[0]]},
        {NAMES[0]: now[NAMES[0]]},
    )
    assert (now[NAMES[0]][0] != first[NAMES[0]][0], now[NAMES[1]]) == (True, first[NAMES[1]])


@serves("S1.75", case="fail")
def test_a_container_whose_image_is_gone_is_not_recreated(site: Site) -> None:
    first = _inspected(site.docker)
    site.docker.asked("DELETE", f"/images/{site.old}?force=1")
    refused = site("restarted", recreate=True)
    assert (refused["error"], f"Not on this host: {site.old} of {NAMES[0]}" in refused["msg"]) == ("Refused", True)
    assert (_inspected(site.docker), site.running()) == (first, {(site.old, False)}), "nothing was made anew or started"
