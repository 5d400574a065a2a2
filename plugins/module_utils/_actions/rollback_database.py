# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The database's blocks of ROLLBACK.md: downgraded, restored or left as it is, and under its own name again.

Where a run may have died is told by the names that are there: the live one, the fenced one, and the one of what failed.
"""

from __future__ import annotations

import typing as t
from urllib.parse import quote

from ansible_collections.opsready.golive.plugins.module_utils._actions.databases import MARK_HEAD
from ansible_collections.opsready.golive.plugins.module_utils._actions.rollback_shell import block, trusting, word

Plan = t.Mapping[str, t.Any]
#: Each standby is waited for so long.
STANDBY_SECONDS = 30


def steps(plan: Plan, where: t.Mapping[str, t.Any]) -> list[str]:
    """Lines of Markdown; none where there is no database."""
    if not plan["connection"]:
        return []
    if plan["database"] == "restore" and (where.get("backup") or {}).get("archive"):
        return _restore(plan, where)
    live, fenced = (plan["connection"][kind]["name"] for kind in ("live", "fenced"))
    text = "The schema stays; only the fenced name goes back."
    change: list[str] = []
    if plan["database"] == "downgrade":
        text = "The new code takes the migration back; the old code does not know the new revision."
        change = [_close(live, fenced), *_downgrade(plan, where)]
    elif plan["database"] == "restore":
        text = "No backup was made yet when this was written, so nothing was migrated: only the fenced name goes back."
    elif plan["database"] == "forward_only":
        text = "Only where the migration has not begun: the schema stays, and the fenced name goes back."
    found = [
        _there(plan, "fenced", "live"),
        "case $there in",
        f'  fenced | live) echo {word("The database is there:")} "$there" ;;',
        f"  '') stop {word(f'neither {fenced} nor {live} is there')} ;;",
        f"  *) stop {word(_both(fenced, live))} ;;",
        "esac",
    ]
    return [text, "", *block(*found, _admit(live, fenced), *change, *_name_back(plan))]


def readers(plan: Plan, where: t.Mapping[str, t.Any]) -> list[str]:
    """The age recipients of the backup that the way back restores; none where it restores none, or one that is not encrypted."""
    backup = where.get("backup") or {}
    is_restored = bool(plan["connection"]) and plan["database"] == "restore" and backup.get("archive")
    return list(backup.get("recipients") or ()) if is_restored else []


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _names(*names: str) -> str:
    return ", ".join(map(_literal, names))


def _sql(statement: str, *, generated: bool = False) -> str:
    """A command that gives the server a statement; ``generated``: its rows are statements, and are run."""
    return f"sql \"$server\" <<'SQL'\n{statement}{chr(10) + chr(92) + 'gexec' if generated else ';'}\nSQL"


def _both(fenced: str, live: str) -> str:
    return (
        f"both {fenced} and {live} are there; look which one is yours, rename the other one, and run this block again"
    )


def _there(plan: Plan, *kinds: str) -> str:
    """Sets ``there`` to the names under which the database is found, as in ``failed and live``."""
    names = {kind: plan["connection"][kind]["name"] for kind in kinds}
    cases = " ".join(f"WHEN {_literal(name)} THEN {_literal(kind)}" for kind, name in names.items())
    return (
        "there=$(sql \"$server\" <<'SQL'\n"
        f"SELECT string_agg(word, ' and ' ORDER BY word) FROM (\n  SELECT CASE datname {cases} END AS word FROM pg_database\n"
        f") AS known WHERE word IS NOT NULL;\nSQL\n)"
    )


def _admit(*names: str, allowed: str = "true") -> str:
    return _sql(
        f"SELECT format('ALTER DATABASE %I ALLOW_CONNECTIONS {allowed}', datname) FROM pg_database\n"
        f"WHERE datname IN ({_names(*names)})",
        generated=True,
    )


def _close(*names: str) -> str:
    return _sql(
        "SELECT 'session ' || pid, CASE WHEN pg_terminate_backend(pid) THEN 'ended' ELSE 'was gone' END\n"
        f"FROM pg_stat_activity WHERE datname IN ({_names(*names)}) AND pid <> pg_backend_pid()"
    )


def _rename(old: str, new: str) -> str:
    return _sql(
        f"SELECT format('ALTER DATABASE %I RENAME TO %I', {_literal(old)}, {_literal(new)})\n"
        f"WHERE EXISTS (SELECT FROM pg_database WHERE datname = {_literal(old)})\n"
        f"AND NOT EXISTS (SELECT FROM pg_database WHERE datname = {_literal(new)})",
        generated=True,
    )


def _name_back(plan: Plan) -> list[str]:
    live, fenced = (plan["connection"][kind]["name"] for kind in ("live", "fenced"))
    return [_close(live, fenced), _rename(fenced, live), _properties_back(live)]


def _properties_back(live: str) -> str:
    """Who may connect, and the comment, as they were: what the fence took stands in the mark that is the comment now."""
    head = _literal(MARK_HEAD)
    return _sql(
        "WITH mark AS (\n"
        f"  SELECT datname, substr(shobj_description(oid, 'pg_database'), length({head}) + 1)::jsonb AS m\n"
        f"  FROM pg_database WHERE datname = {_literal(live)}\n"
        f"  AND starts_with(shobj_description(oid, 'pg_database'), {head} || '{{')\n"
        ")\n"
        "SELECT statement FROM (\n"
        "  SELECT 1 AS place, format('REVOKE CONNECT ON DATABASE %I FROM %I', datname, given->>'role') AS statement\n"
        "  FROM mark, jsonb_array_elements(m #> '{note,admission,granted}') given\n"
        "  UNION ALL\n"
        "  SELECT 2, format('GRANT CONNECT ON DATABASE %I TO %s%s', datname,\n"
        "    CASE WHEN taken->>'role' = 'PUBLIC' THEN 'PUBLIC' ELSE quote_ident(taken->>'role') END,\n"
        "    CASE WHEN (taken->>'grantable')::boolean THEN ' WITH GRANT OPTION' ELSE '' END)\n"
        "  FROM mark, jsonb_array_elements(m #> '{note,admission,revoked}') taken\n"
        "  UNION ALL\n"
        "  SELECT 3, format('COMMENT ON DATABASE %I IS %L', datname, m->>'comment') FROM mark\n"
        ") AS back ORDER BY place",
        generated=True,
    )


def _downgrade(plan: Plan, where: t.Mapping[str, t.Any]) -> list[str]:
    connection = plan["connection"]
    command = " ".join(word(one) for one in where.get("migration_command") or ["alembic"])
    directory = word(where["migration_directory"])
    variables = {**connection["environment"], **dict(where.get("environment") or {})}
    environment = "".join(f"{name}={word(value)} " for name, value in sorted(variables.items()))
    variable = where.get("url_variable") or "DATABASE_URL"
    revision = word(plan["revision"] or "base")
    return [
        f"url={word(connection['live']['url'])}",
        f'if [ "$there" = fenced ]; then url={word(connection["fenced"]["url"])}; fi',
        f"if [ -d {directory} ]; then",
        f'  (cd {directory} && {environment}{variable}="$url" {command} downgrade {revision})',
        "else",
        "  echo 'The new version was never unpacked, so nothing was migrated.'",
        "fi",
    ]


def _restore(plan: Plan, where: t.Mapping[str, t.Any]) -> list[str]:
    live, fenced, failed = (plan["connection"][kind]["name"] for kind in ("live", "fenced", "failed"))
    dump, fetched = _fetch(plan["release"], where["backup"])
    # The archive knows the database by its fenced name, and brings grants, limits, settings and comment along.
    looked_at = [f"pg_restore --list {dump} > /dev/null"]
    restored = f'pg_restore --create --exit-on-error --no-password -d "$server" {dump}'
    if readers(plan, where):
        decrypted = f'age -d -i "$BACKUP_IDENTITY" {dump}'
        # What is read up to its end is authentic up to its end: nothing is set aside for what could not be restored.
        looked_at = [
            ': "${BACKUP_IDENTITY?the file with the age identity that reads the backup}"',
            f"{decrypted} | pg_restore --file=/dev/null",
        ]
        restored = f'{decrypted} | pg_restore --create --exit-on-error --no-password -d "$server"'
    again = [
        *fetched,
        *_unchanged(dump, str(where["backup"].get("sha256") or "")),
        *looked_at,
        *_set_aside(live, fenced, failed),
        restored,
        _numbers_moved_on(plan),
        _admit(failed, allowed="false"),
    ]
    return [
        "What was written since the backup is lost; while the fence held, nothing was. The failed database is kept as",
        f"`{failed}`, the backup is restored beside it, no number is given out twice, and the names are swapped.",
        "What a restore that died half-way had made is dropped and made again.",
        "",
        *block(*_decided(plan), 'if [ "$redo" = yes ]; then', *again, "fi", _admit(live, fenced), *_name_back(plan)),
        *_standbys(plan, failed),
    ]


def _standbys(plan: Plan, failed: str) -> list[str]:
    """A standby is free when it knows the failed database by that name, and nobody is on it. One that is down stops nothing."""
    standbys = plan["connection"].get("standbys")
    if not standbys:
        return []
    number = f"SELECT oid FROM pg_database WHERE datname = {_literal(failed)};"
    ended = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datid = :oid AND pid <> pg_backend_pid() \\g /dev/null"
    is_free = (
        "SELECT 'free' WHERE EXISTS (SELECT FROM pg_database WHERE oid = :oid AND datname = :'failed')\n"
        "AND NOT EXISTS (SELECT FROM pg_stat_activity WHERE datid = :oid AND pid <> pg_backend_pid());"
    )
    asked = f'psql -X -w -v ON_ERROR_STOP=1 -v oid="$oid" -v failed={word(failed)} -At -d "$1"'
    return [
        "Sessions on a standby do not notice, and read the failed database for as long as they last. They are ended here; a standby",
        "that does not answer or does not catch up is named, and looked at later.",
        "",
        *block(
            f"oid=$(sql \"$server\" <<'SQL'\n{number}\nSQL\n)",
            f"freed() {{ PGCONNECT_TIMEOUT=5 {asked} <<'SQL'\n{ended}\n{is_free}\nSQL\n}}",
            'if [ -n "$oid" ]; then',
            f"for standby in {' '.join(map(word, standbys))}; do",
            f"  limit=$((SECONDS + {STANDBY_SECONDS}))",
            '  while [ "$(freed "$standby")" != free ] && [ "$SECONDS" -lt "$limit" ]; do sleep 1; done',
            '  [ "$(freed "$standby")" = free ] || echo "Sessions there may still read the failed database: $standby" >&2',
            "done",
            "fi",
        ),
    ]


def _decided(plan: Plan) -> list[str]:
    """Sets ``redo`` to ``yes`` where the backup is to be restored; stops where a person must say so, or look."""
    live, fenced, failed = (plan["connection"][kind]["name"] for kind in ("live", "fenced", "failed"))
    lifted = (
        f"the fence is lifted: what was written to {live} since the backup would be lost. "
        "Say export RESTORE=yes, or export RESTORE=no to leave the database as it is, and run this block again"
    )
    return [
        _there(plan, "fenced", "live", "failed"),
        "redo=yes",
        "case $there in",
        "  fenced | failed | 'failed and fenced') ;;",
        "  'failed and live') redo=no; echo 'The backup is back already.' ;;",
        f"  live) case ${{RESTORE:-}} in yes | no) redo=$RESTORE ;; *) stop {word(lifted)} ;; esac ;;",
        f"  '') stop {word(f'none of {fenced}, {live} and {failed} is there')} ;;",
        f"  *) stop {word(_both(fenced, live))} ;;",
        "esac",
    ]


def _set_aside(live: str, fenced: str, failed: str) -> list[str]:
    """What is there becomes the failed database, and what a restore of before had begun goes."""
    half_made = (
        f"SELECT format('DROP DATABASE %I', datname) FROM pg_database WHERE datname = {_literal(fenced)}\n"
        f"AND EXISTS (SELECT FROM pg_database WHERE datname = {_literal(failed)})"
    )
    return [
        _admit(live, fenced, failed),
        _close(live, fenced, failed),
        _sql(half_made, generated=True),
        _rename(fenced, failed),
        _rename(live, failed),
    ]


def _numbers_moved_on(plan: Plan) -> str:
    """The failed database says past which numbers the restored one's sequences have to go."""
    failed, fenced = (word(plan["connection"][kind]["dsn"]) for kind in ("failed", "fenced"))
    given_out = (
        "SELECT format('SELECT setval(to_regclass(%L), greatest(%s, pg_sequence_last_value(to_regclass(%L))));',"
        " name, last_value, name)\n"
        "FROM (SELECT format('%I.%I', schemaname, sequencename) AS name, last_value, increment_by FROM pg_sequences) AS s\n"
        "WHERE last_value IS NOT NULL AND increment_by > 0;"
    )
    return f"sql {failed} <<'SQL' | sql {fenced} > /dev/null\n{given_out}\nSQL"


def _unchanged(dump: str, sha256: str) -> list[str]:
    """One bit in the table of contents may make other constraints or owners, and no error."""
    differs = word("the archive is not the one that was made and proven; nothing was changed:")
    return [f'[ "$(sha256sum < {dump})" = {word(f"{sha256}  -")} ] || stop {differs} {dump}'] if sha256 else []


def _fetch(release: str, backup: t.Mapping[str, t.Any]) -> tuple[str, list[str]]:
    """Where the archive lies, as a word of the shell, and the commands that bring it there."""
    archive = str(backup["archive"])
    if archive.startswith("file://"):
        return word(archive[len("file://") :]), []
    bucket, unused, key = archive[len("s3://") :].partition("/")
    region = str(backup.get("region") or "us-east-1")
    endpoint = str(backup.get("endpoint_url") or f"https://s3.{region}.amazonaws.com").rstrip("/")
    scheme, unused, host = endpoint.partition("://")
    place = f"{scheme}://{bucket}.{host}" if backup.get("addressing_style") == "virtual" else f"{endpoint}/{bucket}"
    url = word(f"{place}/{quote(key, safe='/~')}")
    dump, part = word(f"{release}.dump"), word(f"{release}.dump.part")
    get = f"curl -fsS --config - {trusting(backup.get('ca_file'))}--aws-sigv4 {word(f'aws:amz:{region}:s3')}"
    return dump, [
        f"if [ ! -e {dump} ]; then",
        # curl reads what stands between quotes with backslashes, and a secret on its command line is everybody's.
        '  printf \'%s:%s\' "${BACKUP_ACCESS_KEY?}" "${BACKUP_SECRET_KEY?}" | sed \'s/[\\"]/\\\\&/g; s/.*/user = "&"/\' \\',
        f"    | (umask 077 && {get} -o {part} {url})",
        f"  mv {part} {dump}",
        "fi",
    ]
