# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A registry that a Docker Engine can pull from: manifests and blobs by digest, as the OCI Distribution Specification asks."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import platform
import tarfile
import typing as t
from pathlib import Path

from tests.servers import HOST, Answer, Docker, HttpServer

_KIND = "application/vnd.docker."
#: In Go's words, as Docker tells them.
ARCHITECTURE = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())


def digest_of(octets: bytes) -> str:
    return f"sha256:{hashlib.sha256(octets).hexdigest()}"


class ImageRegistry:
    """Images of one program, published over a scripted server. The engine trusts 127.0.0.1 without TLS."""

    def __init__(self, server: HttpServer, program: Path) -> None:
        self.server, self.name = server, f"{HOST}:{server.port}"
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w") as archive:
            archive.add(program, "program")
        self.layer = packed.getvalue()
        server.route("/v2/", Answer(200, {}))
        server.route("*", Answer(404, {"errors": [{"code": "MANIFEST_UNKNOWN", "message": "manifest unknown"}]}))

    def publish(
        self,
        repository: str,
        tag: str,
        *,
        created: str,
        labels: t.Mapping[str, str],
        architecture: str = ARCHITECTURE,
    ) -> tuple[str, str]:
        """Make the tag mean this image. The manifest's digest, by which it is pulled, and the image's id."""
        config = json.dumps(
            {
                "architecture": architecture,
                "os": "linux",
                "created": created,
                "config": {"Cmd": ["/program"], "Labels": dict(labels)},
                "rootfs": {"type": "layers", "diff_ids": [digest_of(self.layer)]},
                "history": [{"created": created, "created_by": "COPY program /"}],
            }
        ).encode()
        layer = gzip.compress(self.layer, mtime=0)
        manifest = json.dumps(
            {
                "schemaVersion": 2,
                "mediaType": f"{_KIND}distribution.manifest.v2+json",
                "config": self._blob(repository, config, "container.image.v1+json"),
                "layers": [self._blob(repository, layer, "image.rootfs.diff.tar.gzip")],
            }
        ).encode()
        digest = digest_of(manifest)
        kind = {"Content-Type": f"{_KIND}distribution.manifest.v2+json", "Docker-Content-Digest": digest}
        for name in (tag, digest):
            self.server.route(f"/v2/{repository}/manifests/{name}", Answer(200, manifest, kind))
        return digest, digest_of(config)

    def _blob(self, repository: str, octets: bytes, kind: str) -> dict[str, t.Any]:
        digest = digest_of(octets)
        headers = {"Content-Type": "application/octet-stream"}
        self.server.route(f"/v2/{repository}/blobs/{digest}", Answer(200, octets, headers))
        return {"mediaType": f"{_KIND}{kind}", "size": len(octets), "digest": digest}

    def pull(self, docker: Docker, repository: str, tag: str) -> str:
        """Have the engine pull it; its reference there."""
        told = docker.asked("POST", f"/images/create?fromImage={self.name}/{repository}&tag={tag}")
        assert "error" not in told, told
        return f"{self.name}/{repository}:{tag}"
