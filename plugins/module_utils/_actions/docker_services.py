# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Services as containers of one Docker Engine, whose versions are images by their digests.

Docker changes no container's image: one is made anew from what was asked for of the old one, and takes its name. What the old
one had from its image, such as variables and labels, the new one has from its own.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import typing as t

from ansible_collections.opsready.golive.plugins.module_utils._actions.cleanup import uninterrupted
from ansible_collections.opsready.golive.plugins.module_utils._actions.container_exchange import (
    ITS_ID,
    NEW,
    OLD,
    RECIPES,
    REPLACES,
)
from ansible_collections.opsready.golive.plugins.module_utils._actions.service_managers import (
    Deployed,
    ServiceStatus,
    StopTerms,
)
from ansible_collections.opsready.golive.plugins.module_utils._actions.working_tree import WorkingTree
from ansible_collections.opsready.golive.plugins.module_utils._clients import docker
from ansible_collections.opsready.golive.plugins.module_utils._clients.docker import Engine, Image
from ansible_collections.opsready.golive.plugins.module_utils._core.clock import Deadline
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import (
    ActionFailed,
    BadInput,
    GoliveError,
    Refused,
)
from ansible_collections.opsready.golive.plugins.module_utils._core.whole_file import write_whole

#: Container states (docker inspect), in our words.
STATES = {
    "created": "stopped",
    "running": "running",
    "paused": "unknown",
    "restarting": "restarting",
    "removing": "stopping",
    "exited": "stopped",
    "dead": "failed",
}
#: What docker stop does where neither image nor container says otherwise.
_STOP_SIGNAL, _STOP_SECONDS = "SIGTERM", 10
#: Renaming one container and removing another takes the engine a moment, however little time is left.
_UNDO_SECONDS = 10.0
#: What Compose calls the service that a container is of.
_SERVICE = "com.docker.compose.service"
#: What a container's configuration may have from its image: as one value, by entry, and by name.
_WHOLE = ("Cmd", "Entrypoint", "WorkingDir", "User", "StopSignal", "Healthcheck", "Shell")
_BY_NAME = ("Labels", "ExposedPorts", "Volumes")
#: What a container may have of another one, which Docker keeps by that one's id.
_SHARED = ("NetworkMode", "IpcMode", "PidMode")
#: Modes beside which a container has no other network, and those of the engine's own bridge, in which it has no settings.
_ALONE, _BRIDGE = ("none", "host"), ("default", "bridge")


def checked(options: t.Mapping[str, t.Any], *, name: str) -> dict[str, str]:
    """The image of each container as these options name it, a digest. Raises BadInput."""
    url = options.get("url") or "unix://"
    if not url.startswith("unix://"):
        raise BadInput(
            f"{name}.url is {url!r}, expected unix:///path: processes are looked at on this host.",
            remedy="Run the task on the host that the engine runs on.",
        )
    images = {str(service): str(digest) for service, digest in (options.get("images") or {}).items()}
    for service, digest in images.items():
        if not docker.DIGEST.fullmatch(digest):
            raise BadInput(
                f"{name}.images: {digest!r} of {service} is no digest, expected sha256:… or repository@sha256:….",
                remedy="A tag can be moved to another image: docker image inspect --format '{{.RepoDigests}}' IMAGE.",
            )
    return images


class DockerServices:
    """A ServiceManager over containers by name, and the images that they are to run."""

    def __init__(self, options: t.Mapping[str, t.Any], services: t.Sequence[str], *, deadline: Deadline) -> None:
        """``images`` are digests by container; those of ``services`` count, or all where none is named. Raises BadInput."""
        images = checked(options, name="docker")
        self._names = list(dict.fromkeys(services)) or list(images)
        self._wanted = {name: images[name] for name in self._names if name in images}
        self._deadline = deadline
        self._url = options["url"]
        self._opened: Engine | None = None
        #: What the one who asked should know, though nothing failed.
        self.notes: list[str] = []
        #: The folder of a snapshot that is restored from, and what each container joined by it.
        self._recipes_in, self._joins = "", t.cast("t.Mapping[str, t.Sequence[str]]", {})
        #: The image of each container when this call began.
        self._began_with: dict[str, str] = {}

    @property
    def _engine(self) -> Engine:
        if self._opened is None:
            self._opened = docker.opened(self._url, deadline=self._deadline)
        return self._opened

    def close(self) -> None:
        if self._opened is not None:
            self._opened.close()

    def _raw(self, name: str, deadline: Deadline | None = None) -> dict[str, t.Any]:
        """A container as the engine tells it, also where a run was killed that had it aside. Raises BadInput where it is not there."""
        found = self._found(name, deadline) or self._found(f"{name}{OLD}", deadline)
        if found is None:
            raise BadInput(f"There is no container {name}.", remedy="docker ps --all tells what there is.")
        return found

    def _found(self, name: str, deadline: Deadline | None = None) -> dict[str, t.Any] | None:
        """The container of this very name: the engine would also resolve the beginning of an id, which names no service."""
        if not docker.CONTAINER_NAME.fullmatch(name):
            return None
        with contextlib.suppress(docker.NotThere):
            raw = self._engine.inspected("containers", name, deadline=deadline or self._deadline)
            return raw if raw.get("Name") == f"/{name}" else None
        return None

    # -- what a run that was killed left

    def unsettled(self) -> dict[str, str | None]:
        """Containers that an exchange left halfway, with the name that each is to have; None where it is to be removed.

        One is removed only where a label proves that an exchange made it, or made the one that has its place.
        """
        there = {each.name for each in self._engine.containers(deadline=self._deadline)}
        found: dict[str, str | None] = {}
        for name in self._names:
            old = self._found(f"{name}{OLD}") if f"{name}{OLD}" in there else None
            new = self._found(f"{name}{NEW}") if f"{name}{NEW}" in there else None
            if old and name not in there:
                found[f"{name}{OLD}"] = name
            elif old and _replaces(self._raw(name)) == old["Id"]:
                found[f"{name}{OLD}"] = None
            if new and not _runs(new) and _replaces(new):
                found[f"{name}{NEW}"] = None
        return found

    def settle(self) -> None:
        """Take an exchange back that was killed between the two names, and end one that was killed after them."""
        for name, becomes in self.unsettled().items():
            if becomes is None:
                self._remove(name)
            else:
                self._engine.rename(name, becomes, deadline=self._deadline)

    def _remove(self, name: str) -> None:
        """One that another was made in place of. It may stay, since that one has its name: a problem is a note.

        Its anonymous volumes are also those of the one that stays.
        """
        try:
            if _runs(self._raw(name)):  # an engine that starts anew starts it, as its restart policy says
                self.ask_stop(name, deadline=self._deadline)
            self._engine.remove(name, deadline=self._deadline)
        except GoliveError as problem:
            self.notes.append(f"{name} is left over, and could not be removed: {problem.message}")

    # -- containers

    def expand(self, services: t.Sequence[str], *, deadline: Deadline) -> list[str]:
        names = list(dict.fromkeys(services))
        for name in names:
            self._began_with.setdefault(name, str(self._raw(name, deadline)["Image"]))
        return names

    def status(self, service: str, *, deadline: Deadline) -> ServiceStatus:
        raw = self._raw(service, deadline)
        state = raw["State"]
        is_running = state["Status"] == "running"
        argv = [str(raw.get("Path") or ""), *map(str, raw.get("Args") or ())]
        said = "It was out of memory." if state.get("OOMKilled") else str(state.get("Error") or "")
        if raw["Name"] != f"/{service}":
            said = f"It is named {raw['Name'][1:]}, as a run that was killed left it: the next change takes that back. {said}"
        return ServiceStatus(
            name=service,
            state=STATES.get(str(state["Status"]), "unknown"),
            pid=int(state.get("Pid") or 0) or None,
            started_at=docker.seconds_of(str(state.get("StartedAt") or "")),
            exit_code=None if is_running or state["Status"] == "created" else state.get("ExitCode"),
            command_sha256=hashlib.sha256("\0".join(argv).encode()).hexdigest(),
            container_id=str(raw["Id"]),
            image=str(raw["Image"]),
            detail=said.strip(),
        )

    def ask_start(self, service: str, *, deadline: Deadline) -> None:
        self._engine.start(service, deadline=deadline)

    def ask_stop(self, service: str, *, deadline: Deadline) -> None:
        """Docker waits as long as the container's own limit, and kills it then."""
        grace = self.stop_terms(service, deadline=deadline).grace_seconds
        self._engine.stop(service, int(grace or 0), deadline=deadline)

    def stop_terms(self, service: str, *, deadline: Deadline) -> StopTerms:
        config = self._raw(service, deadline)["Config"]
        seconds = config.get("StopTimeout")
        return StopTerms(config.get("StopSignal") or _STOP_SIGNAL, float(_STOP_SECONDS if seconds is None else seconds))

    def require_renewable(self, service: str, *, deadline: Deadline) -> None:
        self._require_separable([service])
        self._require_here({service: str(self._raw(service, deadline)["Image"])})

    def renew(self, service: str, *, deadline: Deadline) -> None:
        self._make_anew(service, self._require_here({service: str(self._raw(service, deadline)["Image"])})[service])

    def compose_services(self) -> dict[str, str]:
        """What Compose calls the containers that it made, by their names."""
        labels = {name: self._raw(name)["Config"].get("Labels") or {} for name in self._names}
        return {name: str(each[_SERVICE]) for name, each in labels.items() if _SERVICE in each}

    # -- images

    def told(self) -> list[dict[str, t.Any]]:
        """Each container with the image that it had and has, by id and by what registries call it."""
        found = []
        for name in self._names:
            raw = self._raw(name)
            image = self._image(str(raw["Image"]))
            found.append(
                {
                    "name": name,
                    "from": self._began_with.get(name),
                    "to": raw["Image"],
                    "repo_digests": list(image.repo_digests) if image else None,
                    "state": str(raw["State"]["Status"]),
                }
            )
        return found

    def _image(self, digest: str) -> Image | None:
        """An image by its id or a registry's digest, with a repository or without; None where it is not on this host."""
        with contextlib.suppress(docker.NotThere):
            return self._engine.image(digest, deadline=self._deadline)
        return None if "@" in digest else self._engine.image_by_digest(digest, deadline=self._deadline)

    def _require_separable(self, names: t.Iterable[str]) -> None:
        """That each could be made anew by itself. Raises Refused before a container is touched."""
        names = list(names)
        for name in names:
            host = self._raw(name).get("HostConfig") or {}
            if host.get("AutoRemove"):
                raise Refused(
                    f"{name} has HostConfig.AutoRemove (docker run --rm): once it stops it is gone, and there is no way back to it.",
                    remedy="Make it without --rm, or release it apart.",
                )
            others = [(mode, str(host.get(mode) or "")) for mode in _SHARED]
            others = [(mode, value.partition(":")[2]) for mode, value in others if value.startswith("container:")]
            others += [("VolumesFrom", str(value).partition(":")[0]) for value in host.get("VolumesFrom") or ()]
            if others:
                setting, other = others[0]
                raise Refused(
                    f"{name} has HostConfig.{setting} of another container, {_name_or_id(other)}: made anew it would not be what "
                    f"it is, and once the other is, {name} would not start.",
                    remedy="Have Compose recreate them (docker compose up --force-recreate), and release them apart from the others.",
                )
        self._require_nobody_inside(names)

    def _require_nobody_inside(self, names: t.Sequence[str]) -> None:
        """Raises Refused where another container has its network, processes or volumes from one of these, which it keeps by its id."""
        made_anew = {key: name for name in names for key in (name, str(self._raw(name)["Id"]))}
        for listed in self._engine.containers(deadline=self._deadline) if made_anew else ():
            with contextlib.suppress(docker.NotThere):  # it is gone since it was listed
                host = self._engine.inspected("containers", listed.id, deadline=self._deadline).get("HostConfig") or {}
                uses = [str(host.get(mode) or "").partition("container:")[2] for mode in _SHARED]
                uses += [str(value).partition(":")[0] for value in host.get("VolumesFrom") or ()]
                inside = [made_anew[key] for key in uses if key in made_anew]
                if inside and listed.name not in made_anew:
                    raise Refused(
                        f"{listed.name} has its network, processes or volumes from {inside[0]}: made anew, {inside[0]} would be another "
                        f"container, and {listed.name} would be left without them.",
                        remedy="Have Compose recreate them (docker compose up --force-recreate), and release them apart from the others.",
                    )

    def _require_here(self, wanted: t.Mapping[str, str]) -> dict[str, Image]:
        """All of them, before the first container is touched. Raises Refused."""
        found = {name: self._image(digest) for name, digest in wanted.items()}
        absent = [f"{wanted[name]} of {name}" for name, image in found.items() if image is None]
        if absent:
            raise Refused(
                f"Not on this host: {', '.join(absent)}.",
                remedy="Pull it by its digest, or load it: nothing was changed.",
            )
        return {name: image for name, image in found.items() if image is not None}

    def _ids(self) -> dict[str, str]:
        return {name: str(self._raw(name)["Image"]) for name in self._names}

    @property
    def version(self) -> str | None:
        """The set of images that is wanted; None where none is."""
        if not self._wanted:
            return None
        found = {name: self._image(digest) for name, digest in self._wanted.items()}
        resolved = {name: image.id if image else self._wanted[name] for name, image in found.items()}
        return _name_of({**self._ids(), **resolved})

    def deployed(self) -> Deployed:
        ids = self._ids()
        return Deployed(_name_of(ids), f"images:{_hash_of(ids)}")

    def selected_at(self) -> float | None:
        """A container has one image as long as it lives, so none runs another than it has."""
        return None

    def snapshot(self) -> dict[str, t.Any]:
        """Raises Refused where an image is gone, since no way back would have it, or a container could not be made anew."""
        self._require_separable(self._names)
        here = self._require_here(self._ids())
        return {
            "containers": {
                name: {
                    "image": image.id,
                    "repo_digests": list(image.repo_digests),
                    "joins": list(self._recipe(name)[1]),
                }
                for name, image in here.items()
            }
        }

    def _recipe(self, name: str) -> tuple[dict[str, t.Any], dict[str, t.Any]]:
        """What this container would be made with to be what it is, and the networks that it joins after that."""
        raw = self._raw(name)
        image = self._engine.inspected("images", str(raw["Image"]), deadline=self._deadline)["Config"] or {}
        return anew(raw, image, str(raw["Image"]), replaces=ITS_ID)

    def _as_noted(
        self, name: str, image: Image, old: t.Mapping[str, t.Any]
    ) -> tuple[dict[str, t.Any], dict[str, t.Any]] | None:
        """What the snapshot that is restored from says that it is made of; None where it says nothing of this image.

        What the container has by now from its new image cannot be told from what it was given itself.
        """
        if not self._recipes_in or name not in self._joins:
            return None
        try:
            wanted = _read_recipe(self._recipes_in, name, "create")
            joins = [_read_recipe(self._recipes_in, name, f"join-{number}") for number in range(len(self._joins[name]))]
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as problem:
            raise Refused(f"What {name} was made of cannot be read in {self._recipes_in}: {problem}.")
        if wanted.get("Image") != image.id:
            return None
        wanted["Labels"] = {**(wanted.get("Labels") or {}), REPLACES: old["Id"]}
        return wanted, dict(zip(self._joins[name], (join["EndpointConfig"] for join in joins)))

    def restore_from(self, folder: str, kept: t.Mapping[str, t.Any]) -> None:
        """As ``restore``, with what the snapshot in this folder has of each container."""
        self._recipes_in = os.path.join(folder, RECIPES)
        self._joins = {name: each.get("joins") or () for name, each in (kept.get("containers") or {}).items()}
        self.restore(kept)

    def write_recipes(self, folder: str) -> None:
        """Each container as the engine's API would make it, in files for this user alone: they hold its variables.

        ROLLBACK.md needs them, since a container that is changed by then cannot tell. Raises OSError.
        """
        place = os.path.join(folder, RECIPES)
        os.makedirs(place, mode=0o700, exist_ok=True)
        for name in self._names:
            wanted, others = self._recipe(name)
            joins = [{"Container": f"{name}{NEW}", "EndpointConfig": endpoint} for endpoint in others.values()]
            for kind, content in [("create", wanted), *((f"join-{number}", one) for number, one in enumerate(joins))]:
                written = json.dumps(content, indent=1, sort_keys=True).encode()
                write_whole(os.path.join(place, f"{name}.{kind}.json"), written, mode=0o600)

    def pull(self, *, check_mode: bool, deadline: Deadline) -> dict[str, t.Any]:
        """Have every wanted image here, by digest. No container is touched. ``bytes`` are the sizes of images that were not here, each once."""
        if not self._wanted:
            raise BadInput("docker.images is needed: the digest of each container's image.")
        self._require_separable(self._names)
        began = deadline.clock.monotonic()
        absent = {name: digest for name, digest in self._wanted.items() if self._image(digest) is None}
        nameless = {name: digest for name, digest in absent.items() if "@" not in digest}
        if nameless:
            self._require_here(nameless)
        if not check_mode:
            for digest in dict.fromkeys(absent.values()):
                self._engine.pull(digest, deadline=deadline)
        here = {
            name: image for name, image in ((name, self._image(one)) for name, one in self._wanted.items()) if image
        }
        if not check_mode:
            self._require_here(self._wanted)
        ids = {name: image.id for name, image in here.items()}
        before = self._ids()
        came = {here[name].id: here[name].size_bytes or 0 for name in absent if name in here}
        return {
            "changed": bool(absent),
            "version": self.version,
            "digest": f"images:{_hash_of({**before, **self._wanted, **ids})}",
            "images": [
                {"name": name, "from": before[name], "to": ids.get(name), "bytes": came.get(ids.get(name, ""), 0)}
                for name in self._wanted
            ],
            "bytes": sum(came.values()),
            "seconds": round(deadline.clock.monotonic() - began, 3),
        }

    def require_available(self, version: str) -> str:
        here = {name: image.id for name, image in self._require_here(self._wanted).items()}
        self._require_separable(name for name, image in here.items() if self._raw(name)["Image"] != image)
        return f"images:{_hash_of({**self._ids(), **here})}"

    def select(self, version: str) -> None:
        self._switch(self._require_here(self._wanted))

    def require_restorable(self, kept: t.Mapping[str, t.Any]) -> None:
        images = self._noted_images(kept)
        self._require_separable(name for name, image in images.items() if self._raw(name)["Image"] != image.id)

    def restore(self, kept: t.Mapping[str, t.Any]) -> None:
        self._switch(self._noted_images(kept))

    def _noted_images(self, kept: t.Mapping[str, t.Any]) -> dict[str, Image]:
        """Raises Refused where one of them is gone, with what registries call it."""
        containers = kept.get("containers")
        if containers is None:
            raise Refused("The snapshot is of no containers.")
        try:
            return self._require_here({name: str(each["image"]) for name, each in containers.items()})
        except Refused as problem:
            called = dict.fromkeys(digest for each in containers.values() for digest in each.get("repo_digests") or ())
            pulls = "; ".join(f"docker pull {digest}" for digest in called)
            raise Refused(problem.message, remedy=f"Have it here again: {pulls}." if pulls else problem.remedy)

    def _switch(self, images: t.Mapping[str, Image]) -> None:
        differing = {name: image for name, image in images.items() if self._raw(name)["Image"] != image.id}
        self._require_separable(differing)
        for name, image in differing.items():
            self._make_anew(name, image)

    def _make_anew(self, name: str, image: Image) -> None:
        """The same container with this image; the old one is removed once the new one has its name. Raises as the engine does."""
        self.settle()
        old = self._raw(name)
        if old["State"].get("Running"):
            raise Refused(f"{name} runs: its image is not changed under it.", remedy="Stop it first: state stopped.")
        engine, its_old, its_new = self._engine, f"{name}{OLD}", f"{name}{NEW}"
        for other in (its_old, its_new):
            if self._found(other):
                raise Refused(
                    f"There is a container {other}, the name that one has for a moment while {name} is changed, and nothing "
                    f"proves that a run which was killed left it.",
                    remedy=f"Once {name} is as it should be: docker rm {other}.",
                )
        try:
            own = self._engine.inspected("images", str(old["Image"]), deadline=self._deadline)["Config"] or {}
        except docker.NotThere:
            raise Refused(f"The image of {name} is gone, so which of its settings are the image's own is not known.")
        wanted, others = self._as_noted(name, image, old) or anew(old, own, image.id, replaces=old["Id"])
        engine.create(its_new, wanted, deadline=self._deadline)
        is_aside = False
        with uninterrupted():  # between the two names nobody has the one that everybody knows
            try:
                made = self._raw(its_new)["Image"]
                if made != image.id:
                    raise ActionFailed(f"{name} was made with image {made}, expected {image.id}; it is as it was.")
                for network, endpoint in others.items():
                    engine.connect(network, its_new, endpoint, deadline=self._deadline)
                engine.rename(name, its_old, deadline=self._deadline)
                is_aside = True
                engine.rename(its_new, name, deadline=self._deadline)
            except GoliveError:
                own_time = Deadline(_UNDO_SECONDS, clock=self._deadline.clock)
                if is_aside:
                    engine.rename(its_old, name, deadline=own_time)
                engine.remove(its_new, deadline=own_time)
                raise
        self._remove(its_old)


class MountedCode(DockerServices):
    """Containers that keep their images and run code that is mounted into them: their versions are commits of a working tree."""

    def __init__(
        self, options: t.Mapping[str, t.Any], services: t.Sequence[str], tree: WorkingTree, *, deadline: Deadline
    ) -> None:
        if options["images"]:
            raise BadInput(
                "docker.images and working_tree are both given, so it is not said what the version is made of.",
                remedy="Leave docker.images out where the containers keep their images and the code is mounted.",
            )
        super().__init__(options, services, deadline=deadline)
        self._tree = tree

    @property
    def version(self) -> str | None:
        return self._tree.version

    def deployed(self) -> Deployed:
        return self._tree.deployed()

    def selected_at(self) -> float | None:
        return self._tree.selected_at()

    def snapshot(self) -> dict[str, t.Any]:
        return self._tree.snapshot()

    def pull(self, *, check_mode: bool, deadline: Deadline) -> dict[str, t.Any]:
        """Raises Refused as the tree does, and where another container would keep its code from being switched."""
        pulled = self._tree.pull(check_mode=check_mode, deadline=deadline)
        others = [one["container"] for one in self._tree.bind_mounts() or () if one["state"] == "running"]
        others = [name for name in dict.fromkeys(others) if self._names and name not in self._names]
        if others:
            raise Refused(
                f"{', '.join(others)} has {self._tree.path} mounted and is none of services: its code would change under it.",
                remedy="Name it among the services, or stop it before the release.",
            )
        return pulled

    def require_available(self, version: str) -> str:
        return self._tree.require_available(version)

    def select(self, version: str) -> None:
        self._tree.select(version)

    def require_restorable(self, kept: t.Mapping[str, t.Any]) -> None:
        self._tree.require_restorable(kept)

    def restore(self, kept: t.Mapping[str, t.Any]) -> None:
        self._tree.restore(kept)


def _name_or_id(other: str) -> str:
    return other[:12] if re.fullmatch(r"[0-9a-f]{64}", other) else other


def _read_recipe(folder: str, name: str, kind: str) -> dict[str, t.Any]:
    with open(os.path.join(folder, f"{name}.{kind}.json"), encoding="utf-8") as source:
        return t.cast("dict[str, t.Any]", json.load(source))


def _runs(raw: t.Mapping[str, t.Any]) -> bool:
    return bool(raw["State"].get("Running"))


def _replaces(raw: t.Mapping[str, t.Any]) -> str | None:
    return t.cast("str | None", (raw["Config"].get("Labels") or {}).get(REPLACES))


def _hash_of(ids: t.Mapping[str, str]) -> str:
    return hashlib.sha256(json.dumps(sorted(ids.items())).encode()).hexdigest()


def _name_of(ids: t.Mapping[str, str]) -> str:
    return f"images-{_hash_of(ids)[:12]}"


def anew(
    old: t.Mapping[str, t.Any], image: t.Mapping[str, t.Any], new_image: str, *, replaces: str
) -> tuple[dict[str, t.Any], dict[str, t.Any]]:
    """What a container is made with to be like ``old`` but for its image, and the networks that it joins after that.

    ``image`` is the configuration of the old one's image: what a container has from there is left to the new image.
    ``replaces`` is the id of the one that it is made in place of. Pure.
    """
    config = {name: value for name, value in (old.get("Config") or {}).items() if value is not None}
    short = str(old["Id"])[:12]
    for name in _WHOLE:
        if config.get(name) == image.get(name):
            config.pop(name, None)
    config.update(_what_it_begins_with(old.get("Config") or {}, image))
    for name in _BY_NAME:
        theirs = image.get(name) or {}
        config[name] = {
            key: value for key, value in (config.get(name) or {}).items() if key not in theirs or theirs[key] != value
        }
    config["Labels"][REPLACES] = replaces
    config["Env"] = [entry for entry in config.get("Env") or () if entry not in (image.get("Env") or ())]
    if config.get("Hostname") == short:
        config.pop("Hostname")
    host = dict(old.get("HostConfig") or {})
    host["Binds"] = [*(host.get("Binds") or ()), *_anonymous(old, host)]
    host["Mounts"] = [_named_mount(mount, old) for mount in host.get("Mounts") or ()]
    mode = str(host.get("NetworkMode") or "default")
    own = {} if mode in _ALONE or mode.startswith("container:") else _endpoints(old, short)
    own = {name: endpoint for name, endpoint in own.items() if name not in _BRIDGE}
    # With the engine's own bridge all others are joined later.
    first = None if mode in _BRIDGE else next(iter([name for name in own if name == mode] or own), None)
    joined = {"EndpointsConfig": {first: own[first]}} if first is not None else {}
    others = {name: endpoint for name, endpoint in own.items() if name != first}
    return {**config, "Image": new_image, "HostConfig": host, "NetworkingConfig": joined}, others


def _what_it_begins_with(own: t.Mapping[str, t.Any], image: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    """What of an image's entry point and command was cleared has to be cleared again: the engine fills in what is not there."""
    if image.get("Entrypoint") and not own.get("Entrypoint"):
        return {"Entrypoint": [""]}
    if image.get("Cmd") and not own.get("Cmd") and own.get("Entrypoint"):
        return {"Entrypoint": own["Entrypoint"]}
    return {}


def _named_mount(mount: t.Mapping[str, t.Any], old: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    """A volume that was asked for without a name has one by now; without it the new container would get an empty one."""
    if mount.get("Type") != "volume" or mount.get("Source"):
        return dict(mount)
    names = {each["Destination"]: each.get("Name") for each in old.get("Mounts") or () if each.get("Type") == "volume"}
    return {**mount, "Source": names.get(mount.get("Target"))}


def _anonymous(old: t.Mapping[str, t.Any], host: t.Mapping[str, t.Any]) -> list[str]:
    """Volumes without a name of their own, which a new container would get empty."""
    named = {bind.split(":")[1] for bind in host.get("Binds") or () if ":" in bind}
    named |= {str(mount.get("Target")) for mount in host.get("Mounts") or ()}
    return [
        f"{mount['Name']}:{mount['Destination']}" + ("" if mount.get("RW", True) else ":ro")
        for mount in old.get("Mounts") or ()
        if mount.get("Type") == "volume" and mount["Destination"] not in named
    ]


def _endpoints(old: t.Mapping[str, t.Any], short: str) -> dict[str, t.Any]:
    """The networks of a container as they were asked for: without the addresses that it was given, and its own id as a name."""
    networks = (old.get("NetworkSettings") or {}).get("Networks") or {}
    return {
        name: {
            "IPAMConfig": endpoint.get("IPAMConfig"),
            "Links": endpoint.get("Links"),
            "DriverOpts": endpoint.get("DriverOpts"),
            "Aliases": [alias for alias in endpoint.get("Aliases") or () if alias != short],
        }
        for name, endpoint in networks.items()
    }
