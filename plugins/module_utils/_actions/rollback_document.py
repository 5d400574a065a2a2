# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""ROLLBACK.md: the way back as stock commands, for the night without us.

It needs bash, psql, pg_restore, age, supervisorctl or docker, git, curl, redis-cli and what the migration tool brings. It is written for any
point at which a run may have died: every block looks before it changes, needs nothing of another block but the first one,
and may be run again.
"""

from __future__ import annotations

import json
import typing as t

from ansible_collections.opsready.golive.plugins.module_utils._actions import rollback_code, rollback_database
from ansible_collections.opsready.golive.plugins.module_utils._actions.rollback_shell import (
    block,
    first_block,
    found,
    line,
    trusting,
    word,
)

Plan = t.Mapping[str, t.Any]

#: Works on Redis from 5.0 on; LMOVE is known from 6.2 on only. A job is taken away after it was put, never before.
_PUT_BACK = """\
local moved = 0
for _, name in ipairs(redis.call("SMEMBERS", KEYS[1])) do
  local aside = KEYS[1] .. ":" .. name
  moved = moved + redis.call("LLEN", aside)
  if redis.call("EXISTS", name) == 0 and redis.call("EXISTS", aside) == 1 then
    redis.call("RENAME", aside, name)
  end
  while redis.call("LLEN", aside) > 0 do
    redis.call("RPUSH", name, redis.call("LINDEX", aside, 0))
    redis.call("LPOP", aside)
  end
  redis.call("SREM", KEYS[1], name)
end
return moved"""

_BROKER_FOUND = (
    "command -v redis-cli > /dev/null || command -v valkey-cli > /dev/null "
    "|| stop 'neither redis-cli nor valkey-cli is found; install one (redis-tools), or add its directory to PATH'"
)

_ONE_HOST = """\
Run the blocks from top to bottom in a bash that you start for it: it ends, and says why, at the first thing that is not
as it should be. Then start another, run block 0, and go on with the block that stopped: each looks before it changes, and
may be run again. Or run them all at once, as often as it takes:

    bash <(sed -n '/^```sh$/,/^```$/{/^```/!p}' ROLLBACK.md)""".splitlines()
_SEVERAL_HOSTS = """\
Run the blocks from top to bottom, each on the host that it names, in a bash that you start for it and give block 0 first.
It ends, and says why, at the first thing that is not as it should be. Then start another and go on with the block that
stopped: each looks before it changes, and may be run again.""".splitlines()


def render(plan: Plan) -> str:
    """The whole file, from a plan of ``rollback_plan.build``."""
    where = plan["where"]
    migrates = "migration" if plan["database"] == "downgrade" else "database"
    sections = [
        ("", "What you need", _preamble(plan, where)),
        ("maintenance", "Maintenance on", _maintenance_on(plan, where)),
        ("services", "Stop the new version", rollback_code.stop(where, _looks_of_services(plan, where))),
        (migrates, "Database", rollback_database.steps(plan, where)),
        ("services", "Code and files", rollback_code.put_back(plan, where)),
        ("workers", "Waiting jobs", _jobs(plan)),
        ("services", "Start the previous version", rollback_code.start(where)),
        ("maintenance", "Maintenance off", _maintenance_off(plan, where)),
        ("outside", "Look", _look(where)),
    ]
    known = where.get("hosts") or {}
    hosts = {part: str(known[part]) for part, _title, body in sections if body and known.get(part)}
    are_several = len(set(hosts.values())) > 1
    lines = [
        f"# ROLLBACK: {line(plan['system'])} {line(plan['version'])} → {line(plan['previous_version']) or 'what was there'}",
        "",
        f"Release `{plan['release']}`. Written before anything was changed, for the case that Ansible is not there.",
        *(_SEVERAL_HOSTS if are_several else _ONE_HOST),
        "",
        *_verdict(plan),
        "",
    ]
    lines += [f"- cannot be undone: {line(text)}" for text in plan["irreversible"]] + [""] * bool(plan["irreversible"])
    for number, (part, title, body) in enumerate(section for section in sections if section[2]):
        named = [f"On `{hosts[part]}`.", ""] if are_several and part in hosts else []
        lines += [f"## {number}. {title}", "", *named, *body]
    lines += [
        "Afterwards tell the record that it is over, or the next release will refuse to begin:",
        "",
        f"    ansible-playbook opsready.golive.abort <-i and -e @files of the release> -e golive_takeover={plan['release']}",
        "",
    ]
    return "\n".join(lines)


def _verdict(plan: Plan) -> list[str]:
    reason = line(plan["reason"])
    if plan["database"] != "forward_only":
        return [f"The database goes back by **{plan['database'].replace('_', ' ')}**: {reason}."]
    return [
        f"**The database does not go back**: {reason}. Once the migration has begun, do not start the previous version:",
        "leave maintenance on and mend forward. Before it has begun, this file brings everything back.",
    ]


def _preamble(plan: Plan, where: t.Mapping[str, t.Any]) -> list[str]:
    text = []
    commands = [
        "set -Eeuo pipefail",
        "trap 'echo \"ROLLBACK stops at: $BASH_COMMAND\" >&2' ERR",
        'stop() { echo "ROLLBACK stops: $*" >&2; exit 1; }',
    ]
    if plan["connection"]:
        text.append("- the password of the database user in `PGPASSWORD`, empty where none is asked for")
        commands += [': "${PGPASSWORD?the password of the database user}"', "export PGPASSWORD PGCLIENTENCODING=UTF8"]
        if where.get("pg_bindir"):
            commands.append(f'export PATH={word(where["pg_bindir"])}:"$PATH"')
        commands.append(f"server={word(plan['connection']['server'])}")
        commands.append('sql() { psql -X -w -v ON_ERROR_STOP=1 -At -d "$1"; }')
    if plan["broker"]:
        text.append("- the password of the broker in `REDISCLI_AUTH`, where it has one")
        commands.append('if [ -n "${REDISCLI_AUTH:-}" ]; then export REDISCLI_AUTH; else unset REDISCLI_AUTH; fi')
        text.append("- `redis-cli` or `valkey-cli`, where jobs are put back")
        commands.append(
            f'broker() {{ "$(command -v redis-cli || command -v valkey-cli)" {_broker(plan["broker"])} "$@"; }}'
        )
    if _fetches(plan, where):
        text.append("- access to the backup in `BACKUP_ACCESS_KEY` and `BACKUP_SECRET_KEY`")
    readers = rollback_database.readers(plan, where)
    if readers:
        named = " or ".join(f"`{line(one)}`" for one in readers)
        text.append(
            f"- the path of a file with the age identity of {named}, in `BACKUP_IDENTITY`; the host of the database reads it"
        )
    needed = _programs(plan, where)
    asked, defined = rollback_code.preamble(plan, where)
    text += asked
    commands += defined
    if needed:
        text.append(f"- these programs, where they are used: {', '.join(f'`{line(name)}`' for name in needed)}")
    if _is_one_host(where):
        commands += [*([found(needed)] if needed else []), *([_BROKER_FOUND] if plan["broker"] else [])]
        commands += rollback_code.first_look(plan, where)
    return [*text, *[""] * bool(text), *first_block(*commands)]


def _looks_of_services(plan: Plan, where: t.Mapping[str, t.Any]) -> list[str]:
    """Over several hosts, what block 0 would look for if all ran on one, as far as it is needed on the services' host."""
    if _is_one_host(where):
        return []
    needed, hosts = rollback_code.programs(plan, where), where["hosts"]
    has_jobs = plan["broker"] and hosts.get("workers") == hosts.get("services")
    return [
        *([found(needed)] if needed else []),
        *([_BROKER_FOUND] if has_jobs else []),
        *rollback_code.first_look(plan, where),
    ]


def _is_one_host(where: t.Mapping[str, t.Any]) -> bool:
    """Whether all blocks run on one host, so that the first one can look for what the others need."""
    return len({str(host) for host in (where.get("hosts") or {}).values() if host}) <= 1


def _fetches(plan: Plan, where: t.Mapping[str, t.Any]) -> bool:
    """Whether a backup has to come from a store."""
    return plan["database"] == "restore" and str((where.get("backup") or {}).get("destination", "s3:")).startswith(
        "s3:"
    )


def _programs(plan: Plan, where: t.Mapping[str, t.Any]) -> list[str]:
    """What the blocks run, beside what every host has."""
    asks = _fetches(plan, where) or where.get("health") or where.get("user_path")
    needed = [
        *(["psql"] if plan["connection"] else []),
        *(["pg_restore"] if plan["connection"] and plan["database"] == "restore" else []),
        *(["age"] if rollback_database.readers(plan, where) else []),
        *rollback_code.programs(plan, where),
        *(["curl"] if asks else []),
    ]
    return list(dict.fromkeys(needed))


def _broker(broker: t.Mapping[str, t.Any]) -> str:
    words = ["-s", broker["socket"]] if "socket" in broker else ["-h", broker["host"], "-p", broker["port"]]
    words += ["-n", broker["db"]]
    words += ["--user", broker["user"]] if broker["user"] else []
    words += ["--tls"] if broker["tls"] else []
    return " ".join(map(word, words))


# --------------------------------------------------------------------------------------------------------- maintenance


def _maintenance_on(plan: Plan, where: t.Mapping[str, t.Any]) -> list[str]:
    # With the release's id: `abort` takes a flag of this release off, and leaves anybody else's on.
    content = word(json.dumps({"reason": "rollback by hand", "release": plan["release"]}))
    flags = [f"[ -e {word(flag)} ] || echo {content} > {word(flag)}" for flag in where.get("flags") or []]
    return [*_by_hand(where, "on"), *(block(*flags) if flags else [])]


def _maintenance_off(plan: Plan, where: t.Mapping[str, t.Any]) -> list[str]:
    commands = []
    for flag in map(word, where.get("flags") or []):
        commands.append(
            f"if grep -qsF {word(plan['release'])} {flag}; then rm -f {flag}\n"
            f"elif [ -e {flag} ]; then echo 'Not set by this release, and so it stays:' {flag} >&2; fi"
        )
    return [*_by_hand(where, "off"), *(block(*commands) if commands else [])]


def _by_hand(where: t.Mapping[str, t.Any], state: str) -> list[str]:
    names = ", ".join(line(name) for name in where.get("switches") or [])
    return [f"Switched by a request, so by hand, here: {names} {state}.", ""] if names else []


# ---------------------------------------------------------------------------------------------------------------- jobs


def _jobs(plan: Plan) -> list[str]:
    if not plan["broker"]:
        return []
    index = word(f"opsready:{plan['system']}:parked:{plan['release']}")
    return [
        "Every list of jobs that the release put aside, those of priorities too, goes back to the end of its own list from",
        "which jobs are taken next.",
        "",
        *block(
            f"put_back={word(_PUT_BACK)}",
            f'said=$(broker EVAL "$put_back" 1 {index})',
            "case $said in '' | *[^0-9]*) stop \"the broker did not put the jobs back: $said\" ;; esac",
            'echo "$said jobs were put back"',
        ),
    ]


def _look(where: t.Mapping[str, t.Any]) -> list[str]:
    url = where.get("user_path")
    return block(f"curl -fsS {trusting(where.get('ca_file'))}{word(url)}") if url else []
