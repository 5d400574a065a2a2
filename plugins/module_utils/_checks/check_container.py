# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Judge Docker containers: are all there, healthy, of the expected images, held in bounds, and without rights they do not need?

What is judged is each container as it runs, and not the files it was made from: Docker's own settings hold for containers that
are created after they were changed.
"""

from __future__ import annotations

import dataclasses
import os
import re
import typing as t

from ansible_collections.opsready.golive.plugins.module_utils._checks import shared_engine
from ansible_collections.opsready.golive.plugins.module_utils._checks.container_completion import (
    judge_completion,
    state_text,
)
from ansible_collections.opsready.golive.plugins.module_utils._clients import docker, nvml
from ansible_collections.opsready.golive.plugins.module_utils._clients.docker import Container, Engine, Listed
from ansible_collections.opsready.golive.plugins.module_utils._core import units
from ansible_collections.opsready.golive.plugins.module_utils._core.argspec import Constraints, Spec
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import BadInput, GoliveError
from ansible_collections.opsready.golive.plugins.module_utils._core.finding import (
    Criterion,
    apart,
    at_least,
    at_most,
    holds,
    one_of,
    plain,
    unknown,
)
from ansible_collections.opsready.golive.plugins.module_utils._core.patterns import compiled, is_in
from ansible_collections.opsready.golive.plugins.module_utils._core.run import Run
from ansible_collections.opsready.golive.plugins.module_utils._core.scrub import beginning_of, refuse_public_secret
from ansible_collections.opsready.golive.plugins.module_utils._core.sensitive_text import GROUPS, Sensitive
from ansible_collections.opsready.golive.plugins.module_utils._core.since import since_when

NAME = "check_container"

#: A container's paths by which it would rule the engine, and with it the host.
_ENGINE_SOCKET = re.compile(r"/(docker|podman|containerd)\.sock$")


def _is_not_root(each: Container) -> bool | None:
    if each.user is None:
        return None
    name = each.user.partition(":")[0].strip()
    return name not in ("", "root") and not re.fullmatch("0+", name)


def _is_not_privileged(each: Container) -> bool | None:
    return None if each.is_privileged is None else not each.is_privileged


def _has_no_escalation(each: Container) -> bool:
    return any(re.fullmatch("no-new-privileges(?:[:=]true)?", option) for option in each.security_options)


def _drops_all(each: Container) -> bool:
    return "ALL" in (name.upper() for name in each.dropped)


def _has_no_socket(each: Container) -> bool | None:
    return None if each.mounts is None else not any(_ENGINE_SOCKET.search(source) for source in each.mounts)


#: What a security option asks for, and whether a container has it; None is that the engine did not tell.
_SECURITY: dict[str, tuple[str, t.Callable[[Container], bool | None], str]] = {
    "run_as_non_root": ("a user other than root", _is_not_root, "Set user, or USER in its Dockerfile."),
    "not_privileged": (
        "not privileged",
        _is_not_privileged,
        "Take privileged away, and add the capabilities it needs.",
    ),
    "no_escalation": ("no-new-privileges", _has_no_escalation, "Set security_opt: [no-new-privileges:true]."),
    "read_only_root": (
        "a read-only root",
        lambda each: each.is_read_only,
        "Set read_only, and tmpfs for what it writes.",
    ),
    "drop_all": ("ALL capabilities dropped", _drops_all, "Set cap_drop: [ALL], and cap_add for what it needs."),
    "no_engine_socket": ("no engine socket inside", _has_no_socket, "Who has the engine's socket is root on the host."),
}

ARGUMENT_SPEC: Spec = {
    "url": {"type": "str", "default": "unix:///var/run/docker.sock"},
    "containers": {"type": "list", "elements": "str"},
    "project": {"type": "str"},
    "services": {"type": "list", "elements": "str"},
    "replicas": {"type": "dict"},
    "unexpected": {"type": "str", "choices": ["fail", "warn", "any"], "default": "warn"},
    "state": {"type": "str", "choices": ["running", "completed"], "default": "running"},
    "completed": {"type": "list", "elements": "str"},
    "completed_since": {"type": "str"},
    "healthcheck": {"type": "str", "choices": ["required", "optional"], "default": "required"},
    "max_restarts": {"type": "int", "default": 0},
    "images": {"type": "dict"},
    "log_rotation": {"type": "str", "choices": ["required", "optional"], "default": "optional"},
    "max_log_size": {"type": "str"},
    "limits": {"type": "list", "elements": "str", "choices": ["memory", "cpu", "pids"]},
    "restart_policies": {
        "type": "list",
        "elements": "str",
        "choices": ["always", "unless-stopped", "on-failure", "never"],
    },
    "security": {"type": "list", "elements": "str", "choices": list(_SECURITY)},
    "exec": {
        "type": "list",
        "elements": "dict",
        "options": {
            "argv": {"type": "list", "elements": "str", "required": True},
            "only": {"type": "list", "elements": "str"},
            "changes_nothing": {"type": "bool", "default": False},
            "throw_away": {"type": "bool", "default": False},
            "exit_codes": {"type": "list", "elements": "int", "default": [0]},
            "stdout_matches": {"type": "list", "elements": "str"},
            "min_gpus": {"type": "int"},
        },
    },
}
CONSTRAINTS: Constraints = {
    "required_one_of": [["containers", "project"]],
    "mutually_exclusive": [["containers", "project"]],
    "required_by": {"project": ["services"], "services": ["project"]},
}

#: What the engine answers for a program that it could not start, as a shell does (POSIX, 2.8.2).
_NOT_STARTED = (126, 127)
_GPU = re.compile(r"\bGPU-[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b")
#: Sizes of log files, in Docker's units: 1k is 1000 bytes.
_LOG_SIZE = re.compile(r"(-?\d{1,15}(?:\.\d{1,6})?) ?([kmgtp]?)i?b?", re.IGNORECASE)
_LOG_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12, "p": 10**15}
#: Of the driver ``local``, where nothing is set.
_LOCAL_SIZE, _LOCAL_FILES = "20m", "5"
#: Drivers that hand lines on; what the engine keeps of them for itself it rotates (since 20.10).
_HANDED_ON = frozenset({"journald", "fluentd", "gelf", "awslogs", "splunk", "gcplogs", "logentries"})
#: Options of a log driver that are no secrets and say what is kept.
_SHOWN_LOG_OPTIONS = ("max-size", "max-file", "compress", "mode")
_SHOWN = 5
#: Characters of its whole output that are masked, and those of them that are told.
_MASKED, _TOLD = 64 * 1024, 2000


@dataclasses.dataclass(frozen=True)
class Probed:
    """How a program inside a container ended, and the GPUs of the host beside what it printed."""

    entry: int
    label: str
    #: Why it was not run, or not to its end.
    problem: str = ""
    remedy: str = ""
    left_out: bool = False
    exit_code: int | None = None
    stdout: str = ""
    #: The last lines, and the beginning of the output, as they may be shown.
    shown: tuple[str, ...] = ()
    told: str = ""
    gpus_of_host: tuple[str, ...] | None = None
    driver: str | None = None
    cuda: int | None = None
    #: Why the GPUs of the host are not known.
    gpu_problem: str = ""
    gpu_remedy: str = ""


@dataclasses.dataclass(frozen=True)
class Facts:
    """The engine, each container that is expected by what it is expected as, and the others of the project."""

    engine: str
    api: str
    found: tuple[tuple[str, tuple[Container, ...]], ...]
    #: By image.
    repo_digests: t.Mapping[str, tuple[str, ...] | None]
    others: tuple[Listed, ...] = ()
    probes: tuple[Probed, ...] = ()
    #: In seconds since the epoch.
    completed_since: float | None = None
    #: Of those in ``completed``, what was run by ``docker compose run``, maybe with another command.
    one_offs: tuple[Listed, ...] = ()


def _expected(params: t.Mapping[str, t.Any]) -> list[str]:
    named = params["services"] if params["project"] is not None else params["containers"]
    return list(dict.fromkeys([*named, *(params["completed"] or ())]))


def _must_have_ended(name: str, params: t.Mapping[str, t.Any]) -> bool:
    return params["state"] == "completed" or name in (params["completed"] or ())


def _refuse_unusable(params: t.Mapping[str, t.Any]) -> None:
    for option in ("containers", "services", "completed", "limits", "restart_policies", "security", "exec"):
        if params[option] == []:
            raise BadInput(f"{option} is empty, so nothing would be judged by it.")
    _refuse_unusable_completion(params)
    _refuse_unusable_replicas(params)
    if params["max_restarts"] < 0:
        raise BadInput(f"max_restarts is {params['max_restarts']}, expected at least 0.")
    if params["max_log_size"] is not None:
        if params["log_rotation"] != "required":
            raise BadInput("max_log_size means nothing without log_rotation: required.")
        units.size_bytes(params["max_log_size"], option="max_log_size")
    expected = _expected(params)
    for name, image in (params["images"] or {}).items():
        if name not in expected:
            raise BadInput(f"images: {name} is none of those expected: {plain(expected)}.")
        if not docker.DIGEST.fullmatch(str(image)):
            raise BadInput(
                f"images: {image!r} is no digest, expected sha256:… or repository@sha256:….",
                remedy="A tag can be moved to another image: docker image inspect --format '{{.RepoDigests}}' IMAGE.",
            )
    for probe in params["exec"] or ():
        ended = [name for name in probe["only"] or () if name in (params["completed"] or ())]
        if (params["state"] == "completed" or ended) and not probe["throw_away"]:
            raise BadInput(
                f"exec needs a container that runs, and {f'{plain(ended)} must have' if ended else 'state is'} completed.",
                remedy="With throw_away: true it runs in one of its own.",
            )
        _refuse_unusable_probe(probe, expected)


def _refuse_unusable_completion(params: t.Mapping[str, t.Any]) -> None:
    if params["completed"] is None:
        if params["completed_since"] is not None and params["state"] != "completed":
            raise BadInput("completed_since means nothing without completed, or state: completed.")
        return
    if params["state"] == "completed":
        raise BadInput("state: completed holds for all, so completed adds none.", remedy="Give one of the two.")
    running = params["services"] if params["project"] is not None else params["containers"]
    both = [name for name in params["completed"] if name in running]
    if both:
        option = "services" if params["project"] is not None else "containers"
        raise BadInput(f"{option} and completed both name {plain(both)}, which cannot run and have ended.")


def _refuse_unusable_replicas(params: t.Mapping[str, t.Any]) -> None:
    if params["replicas"] is None:
        return
    if params["project"] is None:
        raise BadInput("replicas means nothing with containers, since each name is one container's.")
    if not params["replicas"]:
        raise BadInput("replicas is empty, so nothing would be judged by it.")
    for service, number in params["replicas"].items():
        if service not in params["services"]:
            raise BadInput(f"replicas: {service} is none of the services: {plain(params['services'])}.")
        if not re.fullmatch("[1-9][0-9]{0,5}", str(number)):
            raise BadInput(f"replicas: {service} is {number!r}, expected a whole number of at least 1.")


def _refuse_unusable_probe(probe: t.Mapping[str, t.Any], expected: t.Sequence[str]) -> None:
    for option in ("exit_codes", "only", "stdout_matches"):
        if probe[option] == []:
            raise BadInput(f"exec: {option} is empty, so nothing would be judged by it.")
    if not probe["argv"] or not probe["argv"][0]:
        raise BadInput("exec: argv is empty, so there is nothing to run.")
    strange = [name for name in probe["only"] or () if name not in expected]
    if strange:
        raise BadInput(f"exec: only names {plain(strange)}, which is none of those expected: {plain(list(expected))}.")
    for pattern in probe["stdout_matches"] or ():
        compiled(pattern, option="exec: stdout_matches")
    if probe["min_gpus"] is not None and probe["min_gpus"] < 1:
        raise BadInput("exec: min_gpus below 1 demands no GPU, so nothing would be judged.")
    refuse_public_secret(
        " ".join(probe["argv"]),
        where="exec: argv",
        remedy="Let the program read it from a file inside the container.",
    )


def gather(params: t.Mapping[str, t.Any], *, run: Run) -> Facts:
    """Ask the engine once for all items about it. Raises BadInput, Unreachable, Denied, TimedOut, UnexpectedAnswer."""
    _refuse_unusable(params)
    since = since_when(params["completed_since"], run.clock.now().timestamp(), option="completed_since")
    url = params["url"]
    engine = shared_engine.opened(url, run=run)
    listed = shared_engine.containers(url, run=run)
    wanted, others = _chosen(listed, params)
    found = tuple(
        (name, tuple(_inspected(engine, each, run) for each in chosen)) for name, chosen in wanted.items()
    )  # fmt: skip
    there = tuple((name, tuple(each for each in entries if each is not None)) for name, entries in found)
    images = {each.image_id for _name, entries in there for each in entries}
    digests = {image: _digests(engine, image, run) for image in sorted(images)}
    probes = tuple(_probes(engine, there, params, run))
    return Facts(engine.version, engine.api, there, digests, others, probes, since, _one_offs(listed, params))


def _chosen(
    listed: t.Sequence[Listed], params: t.Mapping[str, t.Any]
) -> tuple[dict[str, list[Listed]], tuple[Listed, ...]]:
    """What is there of each that is expected, and what else the project has."""
    expected = _expected(params)
    if params["project"] is None:
        return {name: [each for each in listed if each.name == name] for name in expected}, ()
    own = [each for each in listed if each.project == params["project"]]
    services = [each for each in own if not each.is_one_off]
    wanted = {name: [each for each in services if each.service == name] for name in expected}
    # A task that was run once and has ended is no part of what runs.
    others = tuple(
        each for each in own if (each.state == "running" if each.is_one_off else each.service not in wanted)
    )  # fmt: skip
    return wanted, others


def _one_offs(listed: t.Sequence[Listed], params: t.Mapping[str, t.Any]) -> tuple[Listed, ...]:
    own = (each for each in listed if params["project"] is not None and each.project == params["project"])
    return tuple(each for each in own if each.is_one_off and each.service in (params["completed"] or ()))


def _inspected(engine: Engine, listed: Listed, run: Run) -> Container | None:
    """None where it is gone since it was listed."""
    key = (NAME, engine.url, "container", listed.id)
    try:
        return run.once(key, lambda: engine.container(listed.id, deadline=run.deadline))
    except docker.NotThere:
        return None


def _digests(engine: Engine, image: str, run: Run) -> tuple[str, ...] | None:
    return run.once((NAME, engine.url, "image", image), lambda: engine.repo_digests(image, deadline=run.deadline))


def _probes(
    engine: Engine,
    found: t.Sequence[tuple[str, tuple[Container, ...]]],
    params: t.Mapping[str, t.Any],
    run: Run,
) -> t.Iterator[Probed]:
    for entry, probe in enumerate(params["exec"] or ()):
        for name, containers in found:
            if name in (probe["only"] or ()) or (probe["only"] is None and name not in (params["completed"] or ())):
                for each in containers:
                    yield _probed(engine, each, entry, probe, run)


def _probed(engine: Engine, each: Container, entry: int, probe: t.Mapping[str, t.Any], run: Run) -> Probed:
    program = os.path.basename(probe["argv"][0])
    blank = Probed(entry, f"{_called(each)} exec {program}")
    if run.check_mode and (probe["throw_away"] or not probe["changes_nothing"]):
        why = "makes a container" if probe["throw_away"] else "has no promise to change nothing"
        return dataclasses.replace(
            blank,
            problem=f"{blank.label} was not run in check mode, since it {why}",
            remedy="" if probe["throw_away"] else "Promise changes_nothing: true if it does not.",
            left_out=True,
        )
    ask = engine.run_beside if probe["throw_away"] else engine.run_inside
    try:
        with run.trace():
            ran = ask(each.id, probe["argv"], deadline=run.deadline)
    except GoliveError as problem:
        return dataclasses.replace(
            blank, problem=f"{blank.label}: {problem.message.rstrip('.')}", remedy=problem.remedy
        )
    printed = ran.stderr if ran.stderr.strip() and ran.exit_code not in probe["exit_codes"] else ran.stdout
    mask = Sensitive(GROUPS)
    shown = run.scrub.text(printed).strip().splitlines()[-_SHOWN:]
    ended = dataclasses.replace(
        blank,
        exit_code=ran.exit_code,
        stdout=ran.stdout,
        shown=tuple(beginning_of(mask.without(line), 300) for line in shown),
        told=mask.without(beginning_of(run.scrub.text(ran.stdout), _MASKED))[:_TOLD],
    )
    if probe["min_gpus"] is None:
        return ended
    try:
        # As check_gpu asks, so that both cost one question.
        reading = run.once(("check_gpu", 0.0), lambda: nvml.read(watch_seconds=0.0, deadline=run.deadline))
    except GoliveError as problem:
        return dataclasses.replace(ended, gpu_problem=problem.message.rstrip("."), gpu_remedy=problem.remedy)
    uuids = tuple(str(gpu.facts["uuid"]) for gpu in reading.gpus if "uuid" in gpu.facts)
    return dataclasses.replace(ended, gpus_of_host=uuids, driver=reading.driver, cuda=reading.cuda)


def judge(facts: Facts, params: t.Mapping[str, t.Any]) -> t.Iterator[Criterion]:
    """Whether all are there and no others, then each container, then what ran inside."""
    whole = f"project {params['project']}" if params["project"] is not None else "containers"
    absent = [name for name, entries in facts.found if not entries]
    there = len(facts.found) - len(absent)
    yield holds(
        whole,
        not absent,
        measured=f"{there} of {len(facts.found)} there",
        expected=plain([name for name, _entries in facts.found]),
        sentence=f"{whole} has no {plain(absent)}: {there} of {len(facts.found)} are there{_untold(absent, facts, params)}",
        remedy=_remedy_of_absent(absent, params),
    )
    if params["project"] is not None and params["unexpected"] != "any":
        names = [f"{each.name} ({each.state})" for each in facts.others]
        yield holds(
            f"{whole} others",
            not names,
            measured=names or "none",
            expected="none",
            sentence=f"{whole} has {plain(names)} beside the services that are expected",
            remedy="Add it to services, or remove it: docker compose up --remove-orphans.",
            level=params["unexpected"],
        )
    for service, wanted in (params["replicas"] or {}).items():
        yield _judge_replicas(service, dict(facts.found)[service], int(wanted), params["state"])
    yield from apart(
        criterion
        for name, entries in facts.found
        for each in entries
        for criterion in _judge_container(name, each, facts, params)
    )
    yield from apart(
        criterion for probe in facts.probes for criterion in _judge_probe(probe, params["exec"][probe.entry])
    )


def _judge_replicas(service: str, entries: t.Sequence[Container], wanted: int, state: str) -> Criterion:
    """Fewer are a failure; more, such as one that was left when the service was scaled down, are a warning."""
    counted = len(entries) if state == "completed" else sum(each.state == "running" for each in entries)
    word = "there" if state == "completed" else "running"
    return holds(
        f"service {service} replicas",
        counted == wanted,
        measured=f"{counted} {word}",
        expected=f"{wanted} {word}",
        remedy=f"docker compose up --detach --scale {service}={wanted}",
        level="fail" if counted < wanted else "warn",
    )


def _untold(absent: t.Sequence[str], facts: Facts, params: t.Mapping[str, t.Any]) -> str:
    """What is not known of tasks without a container: whether they never ran, or were removed after it."""
    gone = [name for name in absent if _must_have_ended(name, params)]
    if not gone:
        return ""
    one_offs = [each.name for each in facts.one_offs if each.service in gone]
    beside = f" ({plain(one_offs)} is of docker compose run, maybe with another command)" if one_offs else ""
    return f", and whether {plain(gone)} ever ran, and how it ended, cannot be told without its container{beside}"


def _remedy_of_absent(absent: t.Sequence[str], params: t.Mapping[str, t.Any]) -> str:
    remedy = "docker ps --all tells what there is."
    if not any(_must_have_ended(name, params) for name in absent):
        return remedy
    return f"{remedy} Run a task by docker compose up, or by its container's name, and without --rm, so that its end can be read."


def _called(each: Container) -> str:
    return f"container {each.name}"


def _judge_container(
    expected_as: str, each: Container, facts: Facts, params: t.Mapping[str, t.Any]
) -> t.Iterator[Criterion]:
    if _must_have_ended(expected_as, params):
        yield from judge_completion(each, facts.completed_since)
    else:
        yield _judge_running(each)
        yield from _judge_health(each, params["healthcheck"])
    remedy = f"docker logs --tail 50 {each.name} tells why it ended."
    yield at_most(f"{_called(each)} restarts", each.restarts, params["max_restarts"], remedy=remedy)
    image = (params["images"] or {}).get(expected_as)
    if image is not None:
        yield _judge_image(each, image, facts.repo_digests.get(each.image_id))
    if params["log_rotation"] == "required":
        yield from _judge_rotation(each, params["max_log_size"])
    for limit in dict.fromkeys(params["limits"] or ()):
        yield _judge_limit(each, limit)
    # What must come back after a reboot is what serves, and not a task that has ended.
    if params["restart_policies"] is not None and expected_as not in (params["completed"] or ()):
        policy = each.restart_policy
        told = None if policy is None else "never" if policy in ("", "no") else policy
        remedy = "Whether it comes back after a reboot depends on it: docker update --restart."
        yield one_of(f"{_called(each)} restart policy", told, params["restart_policies"], remedy=remedy)
    for wish in dict.fromkeys(params["security"] or ()):
        expected, has_it, remedy = _SECURITY[wish]
        truth = has_it(each)
        measured = f"user {each.user or 'root'}" if wish == "run_as_non_root" else "so" if truth else "not so"
        sentence = f"{_called(each)} {wish} could not be judged: Docker did not tell" if truth is None else ""
        yield holds(
            f"{_called(each)} {wish}", truth, measured=measured, expected=expected, sentence=sentence, remedy=remedy
        )


def _judge_running(each: Container) -> Criterion:
    return holds(
        f"{_called(each)} state",
        each.state == "running",
        measured=state_text(each),
        expected="running",
        remedy=f"docker logs --tail 50 {each.name}",
    )


def _judge_health(each: Container, wanted: str) -> t.Iterator[Criterion]:
    if each.health is None and wanted == "optional":
        return
    yield holds(
        f"{_called(each)} health",
        each.health == "healthy",
        measured=each.health or "not asked: there is no health check",
        expected="healthy",
        remedy=f"docker inspect --format '{{{{json .State.Health}}}}' {each.name}"
        if each.health
        else "Write a healthcheck for it, or set healthcheck: optional.",
    )


def _judge_image(each: Container, wanted: str, repo_digests: tuple[str, ...] | None) -> Criterion:
    """By the image's own id, or the digest under which a registry knows it."""
    match = docker.DIGEST.fullmatch(wanted)
    digest = match[1] if match else wanted
    known = [each.image_id, *(repo_digests or ())]
    good = wanted in known or ("@" not in wanted and any(digest == name.rpartition("@")[2] for name in known))
    if not good and repo_digests is None:
        return unknown(
            f"{_called(each)} image",
            f"{_called(each)} image {each.image_id} is no longer kept, so its digests are not known",
        )
    return holds(
        f"{_called(each)} image",
        good,
        measured=known,
        expected=wanted,
        remedy="It runs another image than the release: create it again from the digest.",
    )


def _judge_limit(each: Container, limit: str) -> Criterion:
    measured: t.Any = {"memory": each.memory, "pids": each.pids}.get(limit)
    if limit == "cpu":
        measured = f"processors {each.cpuset}" if each.cpuset and not each.cpus else each.cpus
        truth = None if measured is None else bool(measured)
        text = measured if isinstance(measured, str) else f"{plain(each.cpus)} processors"
    elif limit == "memory":
        truth = None if measured is None else measured > 0
        text = units.size_text(measured or 0)
    else:
        truth = (measured or 0) > 0  # no limit is told as nothing, 0 or -1
        text = plain(measured)
    options = {"memory": "mem_limit", "cpu": "cpus", "pids": "pids_limit"}
    return holds(
        f"{_called(each)} {limit} limit",
        truth,
        measured=text if truth else "none",
        expected="a limit",
        remedy=f"One that runs wild takes the host along: set {options[limit]}.",
    )


def _judge_rotation(each: Container, max_size: str | None) -> t.Iterator[Criterion]:
    name, driver = f"{_called(each)} log rotation", each.log_driver
    remedy = (
        "Set logging: {driver: local}, or json-file with max-size and max-file, and create the container again: "
        "daemon.json holds for new ones only."
    )
    if driver in _HANDED_ON:
        yield holds(name, True, measured=f"{driver}: handed on", expected="bounded")
        return
    if driver == "none":
        yield holds(name, False, measured="none: nothing is kept", expected="bounded", remedy=remedy, level="warn")
        return
    if driver not in ("json-file", "local"):
        why = f"{_called(each)} logs by {driver or 'a driver that is not told'}, of which is not seen from here what rotates it"
        yield unknown(name, why, remedy="Judge its files with check_logs or check_host, or use local.")
        return
    sizes = (_LOCAL_SIZE, _LOCAL_FILES) if driver == "local" else ("-1", "1")
    size_text, files_text = (
        each.log_options.get(key, default) for key, default in zip(("max-size", "max-file"), sizes)
    )
    size, files = _log_bytes(size_text), int(files_text) if re.fullmatch(r"\d{1,6}", files_text) else None
    if size is None or files is None:
        yield unknown(
            name, f"{_called(each)} has max-size {size_text!r} and max-file {files_text!r}, which cannot be read"
        )
        return
    if size <= 0:
        measured = f"{driver} without max-size: it grows until the disk is full"
        yield holds(name, False, measured=measured, expected="bounded", remedy=remedy)
        return
    measured = f"{driver}, {size_text} in each of {files} files"
    if files < 2:
        measured = f"{driver}, {size_text} in one file: when it is full all is lost"
    yield holds(
        name, files >= 2, measured=measured, expected="bounded, in 2 files or more", remedy=remedy, level="warn"
    )
    if max_size is not None:
        bound = units.size_bytes(max_size, option="max_log_size")
        yield holds(
            f"{_called(each)} log size",
            size * max(1, files) <= bound,
            measured=units.size_text(size * max(1, files)),
            expected=f"at most {units.size_text(bound)}",
            remedy=remedy,
        )


def _log_bytes(text: str) -> int | None:
    match = _LOG_SIZE.fullmatch(text.strip())
    return int(float(match[1]) * _LOG_UNITS[match[2].lower()]) if match else None


def _judge_probe(probed: Probed, wanted: t.Mapping[str, t.Any]) -> t.Iterator[Criterion]:
    label = probed.label
    if probed.problem:
        yield unknown(label, probed.problem, remedy=probed.remedy, left_out=probed.left_out)
        return
    code = t.cast(int, probed.exit_code)
    said = f": {probed.shown[-1]}" if probed.shown and code not in wanted["exit_codes"] else ""
    if code in _NOT_STARTED and code not in wanted["exit_codes"]:
        yield unknown(f"{label} exit code", f"{label} could not be started (exit code {code}){said}")
        return
    yield holds(
        f"{label} exit code",
        code in wanted["exit_codes"],
        measured=code,
        expected=plain(wanted["exit_codes"]),
        sentence=f"{label} ended with exit code {code}, expected {plain(wanted['exit_codes'])}{said}",
    )
    for pattern in dict.fromkeys(wanted["stdout_matches"] or ()):
        yield _judge_output(probed, pattern)
    if wanted["min_gpus"] is not None:
        yield _judge_gpus(probed, wanted["min_gpus"])


def _judge_output(probed: Probed, pattern: str) -> Criterion:
    """What was printed is searched, and told without secrets and personal data."""
    name = f"{probed.label} output /{pattern}/"
    try:
        is_match = is_in(re.compile(pattern), probed.stdout)
    except GoliveError as problem:
        return unknown(name, f"{name} could not be judged: {problem.message.rstrip('.')}", remedy=problem.remedy)
    expected = f"a match of /{pattern}/"
    return holds(
        name,
        is_match,
        measured=probed.told,
        expected=expected,
        sentence=f"{name} is {probed.told!r}, expected {expected}",
    )


def _judge_gpus(probed: Probed, least: int) -> Criterion:
    """The container sees GPUs of this very host, told by their UUIDs."""
    name = f"{probed.label} GPUs"
    if probed.gpus_of_host is None:
        why = f"{name} could not be compared with those of the host: {probed.gpu_problem}"
        return unknown(name, why, remedy=probed.gpu_remedy)
    inside = sorted(set(_GPU.findall(probed.stdout)))
    strange = [uuid for uuid in inside if uuid not in probed.gpus_of_host]
    if strange:
        return holds(name, False, measured=inside, expected=f"of the host: {plain(list(probed.gpus_of_host))}")
    seen = at_least(
        name, len(inside), least, remedy="Hand them in: --gpus all, or deploy.resources.reservations.devices."
    )
    return dataclasses.replace(seen, measured=inside or "none") if seen.status == "pass" else seen


def evidence(facts: Facts) -> dict[str, t.Any]:
    """Each container's state, health, restarts, image, start, log and limits; what ran inside. No variable, no label."""
    return {
        "engine": facts.engine,
        "api": facts.api,
        "containers": [
            {
                **dataclasses.asdict(each),
                "expected_as": name,
                "repo_digests": facts.repo_digests.get(each.image_id),
                "log_options": {key: each.log_options[key] for key in _SHOWN_LOG_OPTIONS if key in each.log_options},
            }
            for name, entries in facts.found
            for each in entries
        ],
        "absent": [name for name, entries in facts.found if not entries],
        "others": [dataclasses.asdict(each) for each in facts.others],
        "one_offs": [dataclasses.asdict(each) for each in facts.one_offs],
        "exec": [
            {
                "program": probe.label,
                "exit_code": probe.exit_code,
                "printed": list(probe.shown),
                "problem": probe.problem,
                "gpus_of_host": probe.gpus_of_host,
                "driver": probe.driver,
                "cuda": f"{probe.cuda // 1000}.{probe.cuda % 1000 // 10}" if probe.cuda else None,
            }
            for probe in facts.probes
        ],
    }
