# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A system of containers goes live by image digest, and by commits of a tree that they mount; back by playbook and by ROLLBACK.md."""

from __future__ import annotations

import os
import re
import subprocess
import typing as t
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from tests.git_repository import Repository
from tests.playbook import ROOT, Played, run_playbook
from tests.servers import HOST, Answer, Docker, HttpServer, Request, free_port

serves = pytest.mark.serves
NAMES = ["live-backend-1", "live-worker-1"]
#: Says the version that its image has in its environment, or that the mounted code says; ``bad`` never answers.
_SERVER = r"""
#include <arpa/inet.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
static void leave(int number) { _exit(number != SIGTERM); }
int main(int count, char **words) {
    static char version[64], request[4096], answer[512];
    signal(SIGTERM, leave);
    if (count < 2) for (;;) pause();
    snprintf(version, sizeof version, "%s", getenv("VERSION") ? getenv("VERSION") : "none");
    FILE *code = fopen("/app/version", "r");
    if (code) { fgets(version, sizeof version, code); version[strcspn(version, "\n")] = 0; }
    if (!strcmp(version, "bad")) for (;;) pause();
    int yes = 1, server = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in where = {.sin_family = AF_INET, .sin_port = htons(atoi(words[1])), .sin_addr.s_addr = inet_addr("127.0.0.1")};
    setsockopt(server, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    if (bind(server, (struct sockaddr *)&where, sizeof where) || listen(server, 64)) return 1;
    for (;;) {
        int client = accept(server, 0, 0);
        if (read(client, request, sizeof request) > 0) {
            int size = snprintf(answer, sizeof answer, "HTTP/1.0 200 OK\r\nX-Version: %s\r\nContent-Length: 2\r\n\r\nok", version);
            if (write(client, answer, size) != size) perror("write");
        }
        close(client);
    }
}
"""


class Site:
    """A backend and a worker in containers, behind a proxy that answers 503 while a file is there."""

    def __init__(self, docker: Docker, proxy: HttpServer, directory: Path) -> None:
        self.docker, self.proxy, self.directory = docker, proxy, directory
        self.flag = directory / "maintenance"
        self.port = free_port()
        program = directory / "server"
        docker.compile(_SERVER, program)
        self.images = {version: self._image(version, program) for version in ("1.0.0", "2.0.0", "bad")}
        self.tree = Repository(directory / "tree")
        self.commits = {version: self._commit(version) for version in ("1.0.0", "2.0.0")}
        self.tree.git("checkout", "--quiet", "-b", "live", "1.0.0")
        proxy.route("*", self._forwarded)

    def _image(self, version: str, program: Path) -> str:
        changes = [f"ENV VERSION={version}", 'CMD ["/server"]']
        return self.docker.image(f"live-{version}", {"server": program}, changes=changes)

    def _commit(self, version: str) -> str:
        commit = self.tree.commit("version", f"{version}\n")
        self.tree.git("tag", version)
        return commit

    def begin(self, *, mounted: bool = False) -> None:
        """Version 1.0.0 runs, and nothing was released yet."""
        binds = [f"{self.tree.path}:/app:ro"] if mounted else []
        for name, words in zip(NAMES, (["/server", str(self.port)], ["/server"])):
            host = {"NetworkMode": "host", "Binds": binds, "Memory": 32 * 2**20}
            self.docker.run(name, "live-1.0.0:1", host, Cmd=words, Env=["PASSWORD=geheim-in-container"])

    def end(self) -> None:
        listed = self.docker.asked("GET", "/containers/json?all=1")
        self.docker.remove(*(each["Id"] for each in listed if any("/live-" in name for name in each["Names"])))

    def _forwarded(self, request: Request) -> Answer:
        if self.flag.exists():
            return Answer(503, "maintenance", {"Retry-After": "30"})
        try:
            with urllib.request.urlopen(f"http://{HOST}:{self.port}/", timeout=5) as answer:
                return Answer(200, answer.read(), {"X-Version": answer.headers["X-Version"]})
        except (urllib.error.URLError, OSError):
            return Answer(502, "nobody is there")

    @property
    def served(self) -> str:
        with urllib.request.urlopen(self.proxy.url, timeout=5) as answer:
            return t.cast(str, answer.headers["X-Version"])

    def of_images(self, version: str) -> dict[str, t.Any]:
        return {"docker": {"url": self.docker.url, "images": dict.fromkeys(NAMES, self.images[version])}}

    def of_tree(self) -> dict[str, t.Any]:
        tree = {"path": str(self.tree.path), "commit": self.commits["2.0.0"]}
        return {"docker": {"url": self.docker.url}, "working_tree": tree}

    def play(
        self, name: str, *args: str, codes: tuple[int, ...] = (0,), services: t.Mapping[str, t.Any], **more: t.Any
    ) -> Played:
        health = f"{self.proxy.url}/health"
        gates = [{"service": NAMES[0], "url": f"http://{HOST}:{self.port}/", "timeout": 4}]
        variables = {
            "golive_system": "contained",
            "golive_version": "2.0.0",
            "golive_state_host": "web1",
            "golive_state_dir": str(self.directory / "state"),
            "golive_checklist": [{"id": "there", "title": "It answers", "check_http": {"url": health}}],
            "golive_services": {
                "manager": "docker",
                "backend": NAMES[:1],
                "workers": NAMES[1:],
                "gates": gates,
                "snapshot_dir": str(self.directory / "snapshots"),
                **services,
            },
            "golive_maintenance": {
                "layers": [{"name": "proxy", "backend": "file", "path": str(self.flag), "survives_stop": True}],
                "verify": {"url": health, "status": [200], "timeout": 20},
            },
            "golive_downtime": {"url": health, "budget_seconds": 120, "version_header": "X-Version"},
            "golive_report": {"directory": str(self.directory / "report")},
            **more,
        }  # fmt: skip
        played = run_playbook(
            ROOT / "playbooks" / f"{name}.yml", extra_vars=variables, args=args, directory=self.directory / "play"
        )
        assert played.rc in codes, played.text[-6000:]
        assert "geheim-in-container" not in played.text
        return played

    @property
    def release(self) -> Path:
        """The record of the newest release."""
        return max(
            (self.directory / "state" / "contained" / "releases").iterdir(), key=lambda folder: folder.stat().st_mtime
        )

    def follow(self, codes: tuple[int, ...] = (0,)) -> str:
        """ROLLBACK.md of the newest release, all blocks, with what it asks for and no more."""
        (command,) = re.findall(
            r"^    (bash <.*)$", (self.release / "ROLLBACK.md").read_text(encoding="utf-8"), re.MULTILINE
        )
        ended = subprocess.run(
            ["bash", "-c", command],
            cwd=self.release,
            env={"PATH": os.environ["PATH"], "HOME": "/nowhere", "LANG": "C.UTF-8"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        said = ended.stdout + ended.stderr
        assert ended.returncode in codes, said
        assert "geheim-in-container" not in said
        return said

    def images_run(self) -> list[str]:
        return [seen["Image"] for seen in map(self.docker.inspect, NAMES) if seen["State"]["Running"]]

    def shapes(self) -> list[t.Any]:
        """What the containers are beside their images, ids and the label that says in whose place each was made."""
        return [
            (
                seen["HostConfig"],
                seen["Config"]["Cmd"],
                [entry for entry in seen["Config"]["Env"] if "VERSION" not in entry],
            )
            for seen in map(self.docker.inspect, NAMES)
        ]


@pytest.fixture
def site(docker: Docker, tmp_path: Path) -> t.Iterator[Site]:
    with HttpServer() as proxy:
        made = Site(docker, proxy, tmp_path)
        try:
            yield made
        finally:
            made.end()


@pytest.mark.long
@serves("S1.35", case="pass")
@serves("S1.64", case="pass")
def test_a_release_by_digest_and_back_by_the_playbook_and_by_hand(site: Site) -> None:
    site.begin()
    old, new, before = site.images["1.0.0"], site.images["2.0.0"], site.shapes()
    assert site.play("golive", "--check", services=site.of_images("2.0.0")).rc == 0
    assert site.images_run() == [old, old]
    live = site.play("golive", services=site.of_images("2.0.0"))
    assert "1 new images there, by their digests" in " ".join(live.stdout.split())
    assert (site.served, site.images_run()) == ("2.0.0", [new, new])

    taken = site.play("rollback", services=site.of_images("2.0.0"), golive_takeover=site.release.name)
    assert "Rolled back: version images-" in taken.text
    assert (site.served, site.images_run()) == ("1.0.0", [old, old])
    assert site.shapes() == before

    site.play("golive", services=site.of_images("2.0.0"))
    recipes = sorted((site.directory / "snapshots" / site.release.name / "containers").iterdir())
    assert [path.name for path in recipes] == [f"{name}.create.json" for name in NAMES]
    assert {path.stat().st_mode & 0o777 for path in recipes} == {0o600}
    for _turn in range(2):
        site.follow()
        assert (site.served, site.images_run()) == ("1.0.0", [old, old])
    assert site.shapes() == before
    left = [
        name
        for each in site.docker.asked("GET", "/containers/json?all=1")
        for name in each["Names"]
        if "_golive_" in name
    ]
    assert left == []
    site.play("restart", services=site.of_images("2.0.0"))
    assert site.images_run() == [old, old], "a restart changes no version"


@pytest.mark.long
@serves("S1.64", case="fail")
def test_a_bad_image_is_taken_back_by_itself_and_one_that_is_not_there_is_no_go(site: Site) -> None:
    site.begin()
    old, before = site.images["1.0.0"], site.shapes()
    absent = site.of_images("2.0.0")
    absent["docker"]["images"][NAMES[1]] = f"sha256:{'0' * 64}"
    refused = site.play("golive", services=absent, codes=(2,))
    assert f"Not on this host: sha256:{'0' * 64} of {NAMES[1]}" in refused.text
    assert not site.flag.exists(), "nothing of the window was begun"
    failed = site.play("golive", services=site.of_images("bad"), codes=(2,))
    assert "Rolled back: version images-" in failed.text
    assert (site.served, site.images_run(), site.shapes()) == ("1.0.0", [old, old], before)


@pytest.mark.long
def test_the_way_by_hand_begins_where_a_run_was_killed_between_two_names(site: Site) -> None:
    site.begin()
    old = site.images["1.0.0"]
    site.play("golive", services=site.of_images("2.0.0"))
    site.docker.asked("POST", f"/containers/{NAMES[0]}/stop")
    site.docker.asked("POST", f"/containers/{NAMES[0]}/rename?name={NAMES[0]}_golive_old")
    site.follow()
    assert (site.served, site.images_run()) == ("1.0.0", [old, old])
    site.docker.asked("DELETE", f"/images/{site.images['2.0.0']}?force=1")
    site.follow()


@pytest.mark.long
def test_an_image_that_is_gone_stops_the_way_by_hand_before_a_container_is_touched(site: Site) -> None:
    site.begin()
    site.play("golive", services=site.of_images("2.0.0"))
    site.docker.asked("DELETE", f"/images/{site.images['1.0.0']}?force=1")
    ids = [site.docker.inspect(name)["Id"] for name in NAMES]
    assert "No such image" in site.follow(codes=(1,))
    assert [site.docker.inspect(name)["Id"] for name in NAMES] == ids
    assert (site.served, len(site.images_run())) == ("2.0.0", 2), "nothing was stopped either"
    refused = site.play("rollback", services=site.of_images("2.0.0"), golive_takeover=site.release.name, codes=(2,))
    assert f"Not on this host: {site.images['1.0.0']} of {NAMES[0]}" in refused.text
    assert (site.served, len(site.images_run())) == ("2.0.0", 2)


@pytest.mark.long
@serves("S1.63", case="pass")
def test_a_release_of_mounted_code_and_back_to_the_commit_and_its_branch(site: Site) -> None:
    site.begin(mounted=True)
    live = site.play("golive", services=site.of_tree())
    assert "new version there in the working tree" in live.stdout
    assert (site.served, site.tree.git("rev-parse", "HEAD")) == ("2.0.0", site.commits["2.0.0"])
    site.play("rollback", services=site.of_tree(), golive_takeover=site.release.name)
    assert (site.served, site.tree.git("symbolic-ref", "--short", "HEAD")) == ("1.0.0", "live")
    site.play("golive", services=site.of_tree())
    for _turn in range(2):
        site.follow()
        assert (site.served, site.tree.git("symbolic-ref", "--short", "HEAD")) == ("1.0.0", "live")
    assert set(site.images_run()) == {site.images["1.0.0"]}


@pytest.mark.long
@serves("S1.63", case="fail")
def test_mounted_code_that_another_container_runs_or_somebody_changed_is_told_before_the_window(site: Site) -> None:
    site.begin(mounted=True)
    site.docker.run("live-other-1", "live-1.0.0:1", {"Binds": [f"{site.tree.path}:/code:ro"]}, Cmd=["/server"])
    refused = site.play("golive", services=site.of_tree(), codes=(2,))
    assert "live-other-1 has" in refused.text and "is none of services" in refused.text
    site.docker.remove("live-other-1")
    (site.tree.path / "version").write_text("3.0.0\n")
    refused = site.play("golive", services=site.of_tree(), codes=(2,))
    assert "is not clean: 1 changed (version)" in refused.text
    site.tree.git("checkout", "--", "version")
    assert (site.served, site.flag.exists()) == ("1.0.0", False)

    site.play("golive", services=site.of_tree())
    (site.tree.path / "version").write_text("3.0.0\n")
    assert "the working tree is not clean" in site.follow(codes=(1,))
    assert len(site.images_run()) == 2, "nothing was stopped"
    assert (site.tree.path / "version").read_text() == "3.0.0\n", "nothing is thrown away"
