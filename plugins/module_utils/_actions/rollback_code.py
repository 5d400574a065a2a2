# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The services' blocks of ROLLBACK.md: stopped, their code and files as before, and started.

Services are programs of supervisord or containers of a Docker Engine. Their code is what a link leads to, the image that a
container was made of, or a commit of a working tree.
"""

from __future__ import annotations

import os
import typing as t
from urllib.parse import quote

from ansible_collections.opsready.golive.plugins.module_utils._actions.container_exchange import (
    ITS_ID,
    NEW,
    OLD,
    RECIPES,
    REPLACES,
)
from ansible_collections.opsready.golive.plugins.module_utils._actions.rollback_shell import (
    block,
    line,
    trusting,
    word,
)

Plan = t.Mapping[str, t.Any]
Where = t.Mapping[str, t.Any]

_HALT_PROGRAM = """\
halt() {  # halt PROGRAM, and see that it does not run
  local said
  # Both end with a code of their own for a program that does not run: what they say decides.
  ctl stop "$1" || true
  said=$(ctl status "$1" 2>&1) || true
  case $said in
    *RUNNING* | *STARTING* | *STOPPING* | *BACKOFF* | *UNKNOWN*) stop "$1 still runs: $said" ;;
    *STOPPED* | *EXITED* | *FATAL* | *"no such process"* | *"no such group"*) ;;
    *) stop "whether $1 runs is not known: $said" ;;
  esac
}
begin() { ctl start "$1"; }"""

_LABEL = word('{{ index .Config.Labels "' + REPLACES + '" }}')
_HALT_CONTAINER = f"""\
is_there() {{ engine container inspect "$1" > /dev/null 2>&1; }}
told() {{ engine container inspect --format "$2" "$1"; }}
replaces={_LABEL}
removed() {{  # removed CONTAINER: one that another was made in place of
  engine stop "$1" > /dev/null && engine rm "$1" || echo "$1 is left over: docker rm it later" >&2
}}
named() {{  # named CONTAINER: where a run was killed that made it anew, take that back or end it
  is_there "$1" || engine rename "$1{OLD}" "$1"
  if is_there "$1{OLD}" && [ "$(told "$1" "$replaces")" = "$(told "$1{OLD}" '{{{{ .Id }}}}')" ]; then removed "$1{OLD}"; fi
  if is_there "$1{NEW}" && [ -n "$(told "$1{NEW}" "$replaces")" ]; then removed "$1{NEW}"; fi
}}
is_halted() {{ [ "$(told "$1" '{{{{ .State.Running }}}}')" = false ] || stop "$1 runs"; }}
halt() {{  # halt CONTAINER, and see that it does not run
  named "$1"
  engine stop "$1" > /dev/null
  is_halted "$1"
}}
begin() {{ engine start "$1"; }}"""

#: A label of the new one says in whose place it was made: whoever finds both knows what is left over.
_MAKE_ANEW = f"""\
make_anew() {{  # make_anew CONTAINER IMAGE [NETWORK ...]: the same container, of the image that it had
  local name=$1 image=$2 id number=0
  shift 2
  named "$name"
  if [ "$(told "$name" '{{{{ .Image }}}}')" = "$image" ]; then return; fi
  is_halted "$name"
  id=$(told "$name" '{{{{ .Id }}}}')
  sed "s/{ITS_ID}/$id/" "$recipes/$name.create.json" | post "containers/create?name=${{name}}{NEW}"
  for network; do
    post "networks/$network/connect" < "$recipes/$name.join-$number.json"
    number=$((number + 1))
  done
  engine rename "$name" "${{name}}{OLD}"
  engine rename "${{name}}{NEW}" "$name"
  removed "${{name}}{OLD}"
}}"""


def preamble(plan: Plan, where: Where) -> tuple[list[str], list[str]]:
    """What the services' blocks need, in words for people, and what they call, in bash."""
    text, commands = [], []
    if where.get("supervisor"):
        if where.get("supervisor_user"):
            text.append(f"- the password of {line(where['supervisor_user'])} at supervisord in `SUPERVISOR_PASSWORD`")
            commands.append(': "${SUPERVISOR_PASSWORD?the password at supervisord}"')
        commands += [_ctl(where), _HALT_PROGRAM]
    elif where.get("docker"):
        text.append(f"- the right to use the Docker Engine at `{line(where['docker'])}`")
        commands += [f'engine() {{ docker --host {word(where["docker"])} "$@"; }}', _HALT_CONTAINER]
        text += [f"- {one}" for one in _images_needed(plan)]
    if plan.get("working_tree"):
        text.append(f"- the rights of whoever owns the working tree `{line(plan['working_tree']['working_tree'])}`")
    return text, commands


def first_look(plan: Plan, where: Where) -> list[str]:
    """What has to be there for the code to come back, in bash: looked at before anything is stopped."""
    images = sorted({word(kept["image"]) for kept in (plan.get("containers") or {}).values()})
    return [
        *_version_is_there(plan, where),
        *([f"engine image inspect {' '.join(images)} > /dev/null"] if images else []),
        *_clean_tree(plan, where),
    ]


def _images_needed(plan: Plan) -> list[str]:
    """The images that the containers had, in words, with what registries call them."""
    found = {str(kept["image"]): kept.get("repo_digests") or () for kept in (plan.get("containers") or {}).values()}
    return [
        f"the image `{line(image)}`" + (f", which is `{'` or `'.join(map(line, digests))}`" if digests else "")
        for image, digests in found.items()
    ]


def programs(plan: Plan, where: Where) -> list[str]:
    """What these blocks run, beside what every host has."""
    return [
        *([str(where.get("supervisorctl") or "supervisorctl")] if where.get("supervisor") else []),
        *(["docker"] if where.get("docker") else []),
        *(["curl"] if plan.get("containers") else []),
        *(["git"] if plan.get("working_tree") else []),
    ]


def _ctl(where: Where) -> str:
    program = word(where.get("supervisorctl") or "supervisorctl")
    if not where.get("supervisor_user"):
        return f'ctl() {{ {program} -s {word(where["supervisor"])} "$@"; }}'
    # On its command line everybody could read the password.
    url, user = (str(where[name]).replace("%", "%%") for name in ("supervisor", "supervisor_user"))
    lines = ["[supervisorctl]", f"serverurl={url}", f"username={user}", "password=%(ENV_SUPERVISOR_PASSWORD)s"]
    settings = " ".join(map(word, lines))
    return f"export SUPERVISOR_PASSWORD\nctl() {{ {program} -c <(printf '%s\\n' {settings}) \"$@\"; }}"


def _named(where: Where, *kinds: str) -> list[str]:
    """The services of these kinds, in order; none where nobody is known who runs them."""
    named = where.get("programs") or {}
    known = where.get("supervisor") or where.get("docker")
    return [name for kind in kinds for name in named.get(kind) or []] if known else []


def stop(where: Where, looks: t.Sequence[str] = ()) -> list[str]:
    """Lines of Markdown that stop the new version, once ``looks`` (in bash) found what its way back needs."""
    commands = [f"halt {word(name)}" for name in _named(where, "schedulers", "workers", "backend")]
    return block(*looks, *commands) if commands else []


def start(where: Where) -> list[str]:
    """Lines of Markdown that start the previous version, the rest once the backend answers."""
    commands = [f"begin {word(name)}" for name in _named(where, "backend")]
    if commands:
        for url in where.get("health") or []:
            trusted = trusting(where.get("ca_file"))
            asked = f"until curl -fs --max-time 5 {trusted}-o /dev/null {word(url)}; do sleep 0.5; done"
            commands.append(f"timeout 60 sh -c {word(asked)} || stop 'no good answer within 60 s:' {word(url)}")
    commands += [f"begin {word(name)}" for name in _named(where, "workers", "schedulers")]
    return block(*commands) if commands else []


def put_back(plan: Plan, where: Where) -> list[str]:
    """Lines of Markdown that put the previous version's code in place, and files as they were."""
    commands = [*_link(plan, where), *_images(plan, where), *_commit(plan, where)]
    for entry in plan["files"]:
        path = word(entry["path"])
        if entry["kind"] == "file":
            kept = word(f"{where['snapshot_dir']}/{entry['copy']}")
            owned = f"-m {word(entry['mode'])} -o {word(entry['uid'])} -g {word(entry['gid'])}"
            commands.append(f"install -DT {owned} {kept} {path}")
        elif entry["kind"] == "link":
            commands.append(f"ln -sfnT -- {word(entry['target'])} {path}")
        else:
            commands.append(f"rm -f {path}")
    return block(*commands) if commands else []


def _version_is_there(plan: Plan, where: Where) -> list[str]:
    if not where.get("current") or not plan["previous_version"]:
        return []
    old = word(f"{where['releases_dir']}/{plan['previous_version']}")
    return [f"[ -d {old} ] || stop 'the previous version is not there:' {old}"]


def _link(plan: Plan, where: Where) -> list[str]:
    looks = _version_is_there(plan, where)
    if not looks:
        return []
    current, aside = word(where["current"]), word(f"{where['current']}.golive")
    old = word(f"{where['releases_dir']}/{plan['previous_version']}")
    return [
        *looks,
        f"ln -sfnT {old} {aside}",
        f"mv -T {aside} {current}",
    ]


def _images(plan: Plan, where: Where) -> list[str]:
    """Containers of the images that they had, as the snapshot wrote down that they are made."""
    if not plan.get("containers"):
        return []
    socket = word(str(where["docker"]).partition("://")[2])
    called = [
        *first_look(plan, where),
        f"recipes={word(os.path.join(str(where['snapshot_dir']), RECIPES))}",
        f"post() {{  # post PATH, with what comes in; the engine's answer ends with its status\n"
        f"  local said\n  said=$(curl -sS --unix-socket {socket} -w ' %{{http_code}}' -H 'Content-Type: application/json' "
        '--data-binary @- "http://docker/$1")\n  case ${said##* } in 2??) ;; *) stop "the engine refused $1: $said" ;; esac\n}',
        _MAKE_ANEW,
    ]
    for name, kept in plan["containers"].items():
        joins = [quote(network, safe="") for network in kept.get("joins") or ()]
        called.append(" ".join(["make_anew", *map(word, [name, kept["image"], *joins])]))
    return called


def _clean_tree(plan: Plan, where: Where) -> list[str]:
    """That nothing stands in the working tree which a switch would take along, or lose."""
    if not plan.get("working_tree"):
        return []
    unknown = "no" if where.get("untracked") == "ignored" else "all"
    return [
        f'in_tree() {{ git -c core.hooksPath=/dev/null -C {word(plan["working_tree"]["working_tree"])} "$@"; }}',
        f"said=$(in_tree status --porcelain --untracked-files={unknown})",
        f'[ -z "$said" ] || stop {word("the working tree is not clean, and nothing in it is thrown away:")} "$said"',
    ]


def _commit(plan: Plan, where: Where) -> list[str]:
    """The working tree at the commit that it was at, on its branch as long as that means it."""
    if not plan.get("working_tree"):
        return []
    kept = plan["working_tree"]
    commit, branch = word(kept["commit"]), str(kept["branch"])
    switch = f"in_tree checkout --quiet --no-overwrite-ignore --detach {commit} --"
    if branch:
        meant = f"in_tree rev-parse --verify --quiet {word('refs/heads/' + branch)}"
        # rev-parse ends with 1 where the branch is gone: nothing is the commit then.
        same = f'[ "$({meant} || true)" = {commit} ]'
        switch = f"if {same}; then in_tree checkout --quiet --no-overwrite-ignore {word(branch)} --; else {switch}; fi"
    running = [] if where.get("supervisor") else _named(where, "schedulers", "workers", "backend")
    return [
        *_clean_tree(plan, where),
        *[f"is_halted {word(name)}" for name in running],
        switch,
        f'[ "$(in_tree rev-parse HEAD)" = {commit} ] || stop "another commit is checked out"',
    ]
