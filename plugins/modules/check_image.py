#!/usr/bin/python
# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Are all images on this host, built from the release's commit, of the expected digests, and fit to run here?"""

from __future__ import annotations

DOCUMENTATION = r"""
module: check_image
short_description: Judge Docker images
version_added: 1.0.0
author:
  - The opsready.golive authors (@opsready)
description:
  - Asks the Docker Engine about images by their references. Each must be there; the rest is judged where its option is given. Digests, build time and
    size of each are evidence either way, so that a way back can name the image by its digest.
  - It builds and pulls nothing. It needs the right to use the engine's socket, which is as good as being root, and no library.
    An engine that is not there, refuses or does not answer is V(unknown).
extends_documentation_fragment:
  - opsready.golive.check
  - opsready.golive.attributes
attributes:
  check_mode:
    support: full
options:
  url:
    description:
      - The engine, as C(unix:///path), or as C(tcp://host:port) without TLS, such as a proxy in front of the socket.
    type: str
    default: unix:///var/run/docker.sock
  images:
    description: References of the images that must be on the host, as V(repository:tag), as V(repository@sha256:…), or an image's own id V(sha256:…).
    type: list
    elements: str
    required: true
  digests:
    description:
      - What the images must be, by reference. V(sha256:…) is the image's own id or a registry's digest, V(repository@sha256:…) the digest at
        that registry.
    type: dict
  registry_digest:
    description: Whether a registry must know each image, so that another host can pull the very same. One that was only built here has no such digest.
    type: str
    choices: [required, optional]
    default: optional
  labels:
    description:
      - Labels that each image must have, with their values, such as C(org.opencontainers.image.revision) with the release's commit.
      - Of other labels only those that begin with C(org.opencontainers.image.) are evidence.
    type: dict
  max_age:
    description:
      - How long ago each image may have been built, such as V(24h). An image whose build left the time out, as a reproducible one does,
        is V(unknown).
    type: str
  max_size:
    description: How large each image may be, with all its layers, such as V(2GB).
    type: str
  architecture:
    description: Whether each image must be built for the system and architecture of the host that the engine runs on.
    type: str
    choices: [host, any]
    default: host
  tag_that_moves:
    description: What a reference by one of O(moving_tags) is, or by no tag, which means C(latest). One by digest or id never moves.
    type: str
    choices: [fail, warn, any]
    default: warn
  moving_tags:
    description: Tags that mean another image after another build.
    type: list
    elements: str
    default: [latest, stable, previous, main, master, develop, dev, edge, nightly]
  registries:
    description:
      - Registries that this host must reach, as URLs without path. Each is asked once for C(/v2/), without a login. A registry answers
        status 200 with the header C(Docker-Distribution-API-Version) or a JSON object, or status 401 with that header or a C(Bearer)
        challenge in C(WWW-Authenticate).
      - Status 200 or 401 without those, as any web server answers that has a page or asks for a password, is V(unknown), and so is a timeout
        or a refused connection. Another status fails.
    type: list
    elements: str
  ca_file:
    description: File of the authorities that O(registries) are trusted by, in place of the system's.
    type: path
"""

EXAMPLES = r"""
- name: The release's images are built, from its commit, today
  opsready.golive.check_image:
    images: ["archive/backend:2.0.0", "archive/worker:2.0.0"]
    labels:
      org.opencontainers.image.revision: 8c2f1e0d9b7a6f5e4d3c2b1a0f9e8d7c6b5a4f3e
    max_age: 24h
    max_size: 2GB

- name: What runs later is what was reviewed, and can be pulled again
  opsready.golive.check_image:
    images: ["registry.example.org/archive/backend:2.0.0"]
    digests:
      "registry.example.org/archive/backend:2.0.0": sha256:6c2ef57b0e99ec46833a82f0bb7cb16f9b14d1985886aea5209a94914426e367
    registry_digest: required
    tag_that_moves: fail
    registries: ["https://registry.example.org"]
"""

RETURN = r"""
msg:
  description: The summary of the finding.
  returned: always
  type: str
finding:
  description: What was found. RV(finding.status) is V(pass), V(warn), V(unknown) or V(fail).
  returned: always
  type: dict
  contains:
    status:
      description: The worst status of all criteria; V(unknown) when nothing could be judged.
      type: str
      sample: fail
    summary:
      description: One sentence that names every criterion that did not pass.
      type: str
      sample: "Image archive/worker:2.0.0 is not on this host."
    expected:
      description: What was expected, by criterion.
      type: dict
    measured:
      description: What was measured, by criterion.
      type: dict
    evidence:
      description:
        - The engine, and of each image reference, id, registries' digests, tags, build time, platform, size and the labels that name its source.
          What each registry answered.
      type: dict
    remedy:
      description: What to do.
      type: str
    check:
      description: Name of the check.
      type: str
      sample: check_image
    started:
      description: When the check began, in UTC.
      type: str
    seconds:
      description: How long it took.
      type: float
"""

from ansible_collections.opsready.golive.plugins.module_utils._checks import check_image
from ansible_collections.opsready.golive.plugins.module_utils._checks.judging import main_of


def main() -> None:
    main_of(check_image)


if __name__ == "__main__":
    main()
