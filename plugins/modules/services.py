#!/usr/bin/python
# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Take a system's services from one version to another, and back."""

from __future__ import annotations

DOCUMENTATION = r"""
module: services
short_description: Take services from one version to another, and back
version_added: 1.0.0
author:
  - The opsready.golive authors (@opsready)
description:
  - Keeps what is needed to come back, has the new version verified beside the old one, stops services in order and reads how each
    ended, starts them in order and each behind its health gates, and puts files and version back.
  - One interface for whatever runs the processes. Supervisor is supported, and containers of a Docker Engine by their names, also those that Compose made.
  - A service that was killed instead of ending by itself is a failure, since what it was doing may be lost. So is a service that has to be
    started twice.
options:
  state:
    description:
      - V(snapshot) copies O(files) and notes each service's state and the deployed version in O(snapshot_dir). The snapshot of a release is taken
        once; later runs verify it.
      - V(pulled) verifies the artefact and unpacks it beside the other versions, in one step. Nothing is switched.
      - V(stopped) stops O(services) in the order given.
      - V(started) makes O(artefact.version) the current one and starts O(services) in the order given, each behind its O(gates).
      - V(restarted) stops and starts O(services) in the version that is current, one entry after the other; the next is touched only when the
        one before runs and passes its O(gates). It never changes the version, and fails where a service that runs is of another one. Whoever
        was killed on the way is started again, and is a failure all the same.
      - V(status) changes nothing.
      - V(restored) puts files and version back as the snapshot has them. It starts nothing, and refuses while O(services) run.
    type: str
    choices: [snapshot, pulled, stopped, started, restarted, status, restored]
    required: true
  manager:
    description: What runs the services.
    type: str
    choices: [supervisor, docker]
    default: supervisor
  services:
    description:
      - The services in order, by name, as C(group:name), or as C(group:*). Needed for every state but V(pulled). With O(manager=docker) they are names of
        containers.
    type: list
    elements: str
    default: []
  supervisor:
    description: Where supervisord is. Needed for every state but V(pulled), unless O(manager=docker).
    type: dict
    suboptions:
      server:
        description: Its socket, such as V(unix:///run/supervisor.sock), or V(http://127.0.0.1:9001). It must be on the host that runs the task.
        type: str
        required: true
      username:
        description: User of its interface.
        type: str
      password:
        description: Password of its interface. It is never printed.
        type: str
  artefact:
    description: The versions of the application on this host. V(pulled) needs this or O(working_tree).
    type: dict
    suboptions:
      src:
        description: The version's tar archive on this host. Needed for O(state=pulled).
        type: path
      sha256:
        description: The archive's digest. Needed for O(state=pulled); O(state=started) compares it with what was unpacked.
        type: str
      version:
        description: Name of the version, and of its folder.
        type: str
      releases_dir:
        description: Folder that holds a folder for each version. Older ones are kept.
        type: path
        required: true
      current:
        description: Symbolic link to the current version's folder, which the services run from.
        type: path
        required: true
      strip_components:
        description: Leading folders of the archive that are left out.
        type: int
        default: 0
  docker:
    description:
      - With O(manager=docker), the engine, and the images that its containers are to run. With O(working_tree) they keep their images, and their
        versions are commits of the tree, which they mount.
      - V(snapshot) notes the image of each container, V(pulled) has those of O(docker.images) here, V(started) and V(restored) make each container
        whose image is another one anew, with its name, networks, volumes, limits and own settings, and prove the image that it has then.
        What it had from its image, such as variables and labels, it has from the new one. V(snapshot) also writes into O(snapshot_dir)/containers, for the
        task's user alone, what each is made of, its variables too, so that somebody without this collection can make it.
      - An image that is not on this host is refused before the first container is touched, and so is a container that runs.
      - A container that has its network, IPC, processes or volumes from another container, and one that is removed when it stops (C(docker run --rm)),
        cannot be made anew by itself. V(snapshot) and V(pulled) refuse it, before anything is stopped.
      - The new container is made as C(NAME_golive_new), and the old one is C(NAME_golive_old) until the new one has its name. Where a run is killed
        meanwhile, the next V(stopped), V(started), V(restarted) or V(restored) takes that back, or ends it where the new one has the name. V(status) and
        check mode tell it. A container of such a name is removed only where the label C(org.opsready.golive.replaces), the id of the one that another
        was made in place of, proves where it comes from.
    type: dict
    suboptions:
      url:
        description: The engine's socket. It must be on the host that runs the task.
        type: str
        default: unix:///var/run/docker.sock
      images:
        description:
          - The image of each container, by the container's name, as V(repository@sha256:…) or as V(sha256:…), the image's own id or a registry's
            digest. A tag is refused. V(pulled) pulls the former, without a login.
        type: dict
  working_tree:
    description:
      - A git working tree that the services run from, in place of O(artefact), where code is mounted into containers or lies in a checkout. Its versions are
        tags and commits. Git runs no hook of the repository, and nothing is fetched, so fetch before V(pulled).
      - V(snapshot) notes the commit, and V(restored) goes back to that very commit whatever its tag means by then. A tree that is not clean is
        refused by both, and nothing in it is thrown away. A file that git ignores here and that the other commit tracks is not overwritten.
        V(pulled) names it and refuses, and so does whatever would switch.
      - A commit that has submodules, or whose C(.gitattributes) hand files to a content filter as Git LFS does, is refused by V(snapshot) and V(pulled),
        since a switch would leave other files than those of the release. Deploy such a one as O(artefact).
      - Where a switch was killed, V(restored) takes it back if every changed file is, byte for byte, that of the noted commit, of the one that is
        checked out or of O(working_tree.version), or is missing or empty. So give the version with V(restored) too. A lock that the killed git
        left, such as C(.git/index.lock), is named and left alone, since no proof is at hand that nobody holds it; V(snapshot), V(pulled) and
        every switch refuse until it is removed.
    type: dict
    suboptions:
      path:
        description: The working tree, or a place in it. The task must run as its owner.
        type: path
        required: true
      version:
        description:
          - The version that V(pulled) proves to be here, with every file of it, and V(started) checks out. A tag, or a whole commit id; a branch
            moves, and is none.
        type: str
      commit:
        description: The whole id of the commit that O(working_tree.version) must mean. A tag that was moved is refused.
        type: str
      untracked:
        description: Whether files that git neither knows nor ignores make the tree one that is not clean.
        type: str
        choices: [refused, ignored]
        default: refused
      docker:
        description:
          - A Docker Engine, as V(unix:///var/run/docker.sock), whose containers are looked through for what they mount of the tree. They are listed
            with the result, and code is not changed under one that runs. With O(manager=docker) it is that engine by default; otherwise nobody looks
            without it.
        type: str
  files:
    description:
      - Files that the release changes, with absolute paths. A file that was not there is removed by V(restored).
      - A link is kept, and put back, with the file it leads to, since whoever writes through it changes that file. One that leads to a folder is
        refused.
    type: list
    elements: path
    default: []
  snapshot_dir:
    description:
      - Private folder of the snapshot, one for each release. Needed for V(snapshot) and V(restored).
      - V(status) looks with it whether all is there that V(restored) would need, and is refused otherwise.
    type: path
  gates:
    description:
      - What must be answered before the next service starts. Needs O(gates[].consecutive) good answers in a row, and the services started so
        far must be the same processes throughout.
    type: list
    elements: dict
    default: []
    suboptions:
      service:
        description: The entry of O(services) that this gate is for. Without it, the gate is passed after all have started.
        type: str
      url:
        description: What is asked for. Needed unless O(gates[].postgres) or O(gates[].redis) is.
        type: str
      postgres:
        description: A PostgreSQL server that must take a login and writes. Needs psycopg on the host.
        type: dict
        suboptions:
          dsn:
            description: The database, without a password.
            type: str
            required: true
          password:
            description: The password. It is never printed.
            type: str
      redis:
        description: A Redis or Valkey server that must take a login, have loaded its data and be no replica. Needs redis-py on the host.
        type: dict
        suboptions:
          url:
            description: Such as V(redis://127.0.0.1:6379/0), without a password.
            type: str
            required: true
          username:
            description: The user.
            type: str
          password:
            description: The password. It is never printed.
            type: str
          ca_file:
            description: Certificate authorities, in PEM, to trust instead of the host's own.
            type: path
      consecutive:
        description: Good answers in a row that open the gate.
        type: int
        default: 3
      interval:
        description: Seconds between two requests.
        type: float
        default: 0.1
      timeout:
        description: Seconds after which the gate stays shut and the task fails, naming the last answer.
        type: float
        default: 60.0
      request_timeout:
        description: Seconds for one request.
        type: float
        default: 5.0
      ca_file:
        description: Certificate authorities, in PEM, to trust instead of the host's own.
        type: path
      connect_to:
        description: Connect to this C(host:port). The name in the URL is still used for TLS and the C(Host) header.
        type: str
      headers:
        description: Headers of the request.
        type: dict
        default: {}
      secret_headers:
        description: Headers whose values are never printed.
        type: dict
        default: {}
      bearer:
        description: Token of the C(Authorization) header. It is never printed.
        type: str
      status:
        description: Good status codes.
        type: list
        elements: int
      json:
        description: What must hold in the answer's JSON.
        type: list
        elements: dict
        suboptions:
          path:
            description: Where to look, such as V($.status) or V($.items[0].name).
            type: str
            required: true
          equals:
            description: The value must be this one.
            type: raw
          one_of:
            description: The value must be one of these.
            type: list
            elements: raw
          matches:
            description: A regular expression that must be found in the value.
            type: str
          at_least:
            description: The smallest good number.
            type: float
          at_most:
            description: The largest good number.
            type: float
          exists:
            description: Whether there must be a value.
            type: bool
          count_at_least:
            description: How many values there must be at least.
            type: int
          max_age:
            description: Longest age of the moment that stands there, as in M(opsready.golive.check_http).
            type: str
          level:
            description: What it means when it does not hold.
            type: str
            choices: [fail, warn]
            default: fail
      states:
        description: Words in the answer's JSON that mean good, degraded and bad.
        type: dict
        suboptions:
          paths:
            description: Where the words are.
            type: list
            elements: str
            required: true
            aliases: [path]
          pass:
            description: Words that are good.
            type: list
            elements: str
            required: true
          warn:
            description: Words that are still accepted.
            type: list
            elements: str
            default: []
          fail:
            description: Words that are bad.
            type: list
            elements: str
            default: []
      response_headers:
        description: What must hold for the answer's headers.
        type: list
        elements: dict
        suboptions:
          name:
            description: The header.
            type: str
            required: true
          equals:
            description: The value must be this one.
            type: str
          matches:
            description: A regular expression that must be found in the value.
            type: str
          exists:
            description: Whether the header must be there.
            type: bool
          level:
            description: What it means when it does not hold.
            type: str
            choices: [fail, warn]
            default: fail
      contains:
        description: Texts that the body must contain.
        type: list
        elements: str
      contains_not:
        description: Texts that the body must not contain.
        type: list
        elements: str
      max_ms:
        description: The longest good answer in milliseconds.
        type: float
  start_timeout:
    description: Seconds for one service to run.
    type: float
    default: 60.0
  stop_timeout:
    description: Seconds for one service to end. It is never killed by this module; the process manager may do so after its own limit.
    type: float
    default: 60.0
  max_restarts:
    description: How often one service may come back as another process while it starts and while gates are awaited.
    type: int
    default: 0
  allowed_exits:
    description: How a running service may end when it is stopped, as exit code or name of a signal.
    type: list
    elements: str
    default: ["0", "143", SIGTERM]
  on_bad_exit:
    description: V(fail) ends the task at the first service that was killed or ended otherwise. V(report) warns and goes on, for the way back.
    type: str
    choices: [fail, report]
    default: fail
  ports_closed:
    description:
      - Addresses C(host:port) where nothing may listen after V(stopped). Only a port that refuses is closed; a name that does not resolve and a
        port that never answers fail the task.
    type: list
    elements: str
    default: []
  stateful:
    description:
      - Names of services that keep data, beside the well-known ones (elasticsearch, mariadb, minio, mongodb, mysql, nats, postgres,
        postgresql, rabbitmq, redis, valkey). None of them is stopped unless O(allow_stateful) is set.
    type: list
    elements: str
    default: []
  allow_stateful:
    description: Stop services that keep data, too.
    type: bool
    default: false
  recreate:
    description:
      - With O(state=restarted), take each service out of the process manager and put it back as the manager's configuration has it by then.
      - A configuration that cannot be read, or has one of O(services) no more, is refused before anything is stopped. Of a group in supervisor
        all services are recreated, or none.
    type: bool
    default: false
  timeout:
    description: Seconds for everything that has no limit of its own.
    type: float
    default: 300.0
extends_documentation_fragment:
  - opsready.golive.attributes
  - opsready.golive.release
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
  idempotent:
    support: partial
    details: V(restarted) restarts each time.
  action:
    support: full
seealso:
  - module: opsready.golive.worker_drain
  - module: opsready.golive.maintenance
"""

EXAMPLES = r"""
- name: Have version 2.0.0 here before the window
  opsready.golive.services:
    state: pulled
    artefact:
      src: /var/cache/archive/archive-2.0.0.tar.gz
      sha256: 6c0f4bd9c0b1f1d5c6b4bd4f9f8c6e0b9f1c2d3e4a5b6c7d8e9f0a1b2c3d4e5f
      version: 2.0.0
      releases_dir: /srv/archive/releases
      current: /srv/archive/current

- name: Write the way back
  opsready.golive.services:
    state: snapshot
    services: [beat, worker, backend]
    supervisor:
      server: unix:///run/archive/supervisor.sock
    artefact:
      releases_dir: /srv/archive/releases
      current: /srv/archive/current
    files: [/srv/archive/archive.env]
    snapshot_dir: /var/lib/opsready/archive/snapshots/r-20261122
    release: "{{ golive_release.token }}"

- name: Go back to the commit that was noted before the release
  opsready.golive.services:
    state: restored
    services: [worker, backend]
    supervisor:
      server: unix:///run/archive/supervisor.sock
    working_tree:
      path: /srv/archive/checkout
      docker: unix:///var/run/docker.sock
    snapshot_dir: /var/lib/opsready/archive/snapshots/r-20261122
    release: "{{ golive_release.token }}"

- name: Have the container run the image that was reviewed
  opsready.golive.services:
    state: started
    manager: docker
    services: [archive-backend-1]
    docker:
      images:
        archive-backend-1: registry.example.org/archive/backend@sha256:6c2ef57b0e99ec46833a82f0bb7cb16f9b14d1985886aea5209a94914426e367
    release: "{{ golive_release.token }}"

- name: Stop the backend, and read how it ended
  opsready.golive.services:
    state: stopped
    services: [backend]
    supervisor:
      server: unix:///run/archive/supervisor.sock
    ports_closed: ["127.0.0.1:8000"]
    release: "{{ golive_release.token }}"

- name: Restart the backend, then the worker, and prove that the backend is well in between
  opsready.golive.services:
    state: restarted
    services: [backend, worker]
    supervisor:
      server: unix:///run/archive/supervisor.sock
    gates:
      - service: backend
        url: http://127.0.0.1:8000/api/v1/health/detailed
        states:
          paths: [$.status]
          pass: [gesund]

- name: Start the new version, each service behind its gate
  opsready.golive.services:
    state: started
    services: [backend, worker]
    supervisor:
      server: unix:///run/archive/supervisor.sock
    artefact:
      version: 2.0.0
      releases_dir: /srv/archive/releases
      current: /srv/archive/current
    gates:
      - service: backend
        url: http://127.0.0.1:8000/api/v1/health/detailed
        json:
          - path: $.version
            equals: 2.0.0
        states:
          paths: [$.status]
          pass: [gesund]
    release: "{{ golive_release.token }}"
"""

RETURN = r"""
services:
  description:
    - The services in order. With V(status) and V(started) each has state, pid, start, the digest of its command line, and how it ended last.
    - With V(stopped) each has C(before), C(after), C(exit) (a code or the name of a signal), C(killed) and C(seconds), and how it was stopped,
      C(signal) and C(grace_seconds), where the process manager tells.
    - With V(restarted) each has those, of C(seconds) how long it was away, and its whole status before and after in C(was) and C(now), with
      process id, start, and digest of the command line, and of a container its id and its image's.
  returned: with O(state=stopped), O(state=started), O(state=restarted) and O(state=status), on failure too
  type: list
  elements: dict
  sample:
    - {name: backend, before: running, after: stopped, exit: "0", killed: false, seconds: 0.412, signal: SIGTERM, grace_seconds: 10.0}
gates:
  description: Each gate that opened, with its last answer, seconds, attempts and the time of its first good answer.
  returned: with O(state=started) and O(state=restarted), on failure too
  type: list
  elements: dict
restarts:
  description: How often each service came back as another process than the one that was started.
  returned: with O(state=started) and O(state=restarted), on failure too
  type: dict
left:
  description: Each service's state after a start or restart that failed.
  returned: when O(state=started) or O(state=restarted) fails
  type: dict
not_restarted:
  description: Services that were not touched, since one before them failed.
  returned: with O(state=restarted), on failure too
  type: list
  elements: str
left_running:
  description: Services that still run after a stop that failed.
  returned: when O(state=stopped) fails
  type: list
  elements: str
deployed:
  description:
    - The version that the next start runs, and its digest, C(sha256:) of the artefact it was unpacked from, C(tree:) of its files as they lie there, or
      C(git:) of the commit that is checked out, with C(-dirty) where the tree is not clean. Of containers it is C(images:) of all their images.
  returned: with every state but O(state=stopped) and O(state=snapshot)
  type: dict
  sample: {version: 2.0.0, digest: "sha256:6c0f4bd9…"}
pulled:
  description:
    - Version, digest, bytes and seconds. Of images the bytes are the sizes of those that were not here, each counted once, and C(images) has them
      by container.
  returned: with O(state=pulled)
  type: dict
snapshot:
  description: When it was taken, services, deployed version, and each file with its digest, mode and owner.
  returned: with O(state=snapshot) and O(state=restored)
  type: dict
images:
  description: Each container with the image that it had before, C(from), and has now, C(to), by its id, what registries call that, and its state.
  returned: with O(manager=docker) and every state but V(stopped), V(pulled) and V(restarted)
  type: list
  elements: dict
  sample:
    - name: archive-backend-1
      from: sha256:2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae
      to: sha256:fcde2b2edba56bf408601fb721fe9b5c338d10ee429ea04fae5511b68fbf8fb9
      repo_digests: ["registry.example.org/archive/backend@sha256:6c2ef57b0e99ec46833a82f0bb7cb16f9b14d1985886aea5209a94914426e367"]
      state: running
working_tree:
  description:
    - The tree with the commit that it was at before, C(from), and is at now, C(to), its tags and branch, whether it is clean, and the containers that
      mount it or a part of it. C(bind_mounts) is nothing where no engine was asked.
  returned: with O(working_tree) and every state but V(stopped) and V(restarted)
  type: dict
  sample:
    path: /srv/archive/checkout
    from: 8c2f1e0d9b7a6f5e4d3c2b1a0f9e8d7c6b5a4f3e
    to: 1d0f9b8e7c6a5d4f3e2b1c0a9f8e7d6c5b4a3f2e
    tags: [1.0.0]
    branch: live
    is_clean: true
    not_clean: ""
    bind_mounts:
      - {container: archive-backend-1, state: exited, source: /srv/archive/checkout/app}
restored:
  description: Files that were put back.
  returned: with O(state=restored)
  type: list
  elements: str
all_running:
  description: Whether every service runs.
  returned: with O(state=status)
  type: bool
all_stopped:
  description: Whether nothing is left to stop.
  returned: with O(state=status)
  type: bool
"""

from ansible_collections.opsready.golive.plugins.module_utils._actions.services import ARGUMENT_SPEC, CONSTRAINTS, body
from ansible_collections.opsready.golive.plugins.module_utils._core.guard import run_module


def main():
    run_module(ARGUMENT_SPEC, body, **CONSTRAINTS)


if __name__ == "__main__":
    main()
