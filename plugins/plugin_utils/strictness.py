# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Does a checklist judge less than it did at the last GO? What each item demands, kept in a verdict, and compared. Pure.

``loosened`` is what became easier to pass; it needs an approver. ``changed`` is what cannot be ordered, such as another URL.
"""

from __future__ import annotations

import functools
import hashlib
import json
import re
import typing as t

from ansible_collections.opsready.golive.plugins.module_utils._checks import registry
from ansible_collections.opsready.golive.plugins.module_utils._core.argspec import Spec
from ansible_collections.opsready.golive.plugins.module_utils._core.attestation import UNBOUND
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import BadInput
from ansible_collections.opsready.golive.plugins.module_utils._core.scrub import Scrubber
from ansible_collections.opsready.golive.plugins.module_utils._core.units import size_bytes, span_seconds
from ansible_collections.opsready.golive.plugins.plugin_utils import office_hours
from ansible_collections.opsready.golive.plugins.plugin_utils.checklist_items import CONTROLLER, Item, seconds_of

LOOSENED = "loosened"
CHANGED = "changed"

#: What an entry of a list is known by, so that one put before it is not a change of all that follow.
_NAMES = ("name", "path", "certificate", "url", "prefix", "bucket", "pattern", "port", "argv", "destination", "uid")
#: Where to ask and as whom: without it the question is another one, not a milder one.
_TARGETS = {
    "url", "dsn", "endpoint_url", "region", "access_key", "username", "ca_file", "connect_to", "addressing_style", "method",
    "headers", "body", "follow", "host", "process", "pid", "pid_file", "global_keyprefix", "canary_prefix", "canary_bytes",
    "table", "schema", "top", "changes_nothing", "destination", "database", "directory", "artefact", "config", "versions",
    "env_file", "env_file_variable", "url_variable", "url_scheme", "version_table", "version_table_schema", "to",
    "maintenance_database", "pg_bindir", "preview_file", "project",
}  # fmt: skip
#: What may hold anything is kept by its digest.
_OPAQUE = {"headers", "body"}
#: Stricter the higher, beside names that begin with min.
_HIGHER = {
    "at_least", "count_at_least", "samples", "consecutive", "size", "instances", "sample", "max_listed", "last", "hourly",
    "daily", "weekly", "monthly", "yearly", "gap_window",
}  # fmt: skip
#: Stricter the lower, beside names that begin with max.
_LOWER = {
    "at_most", "warmup", "min_calls", "reply_timeout", "connect_timeout", "share", "requests", "body_limit", "completed_since",
}  # fmt: skip
#: Lists of what is let through: each entry more is milder.
_ALLOWANCES = {
    "allowed", "one_of", "status", "schemes", "eviction_policies", "forbidden_except", "pass", "warn", "groups",
    "allowed_users", "allowed_applications", "exit_codes", "ignore", "placeholder_exceptions", "unaudited", "fingerprints",
    "exclude", "ignored_rules", "accepted_kinds", "accept", "restart_policies", "ignored",
    "ignored_severities", "ignored_xids", "good_colors", "recipients", "same_site", "expect_status", "cron_files",
}  # fmt: skip
_TRUE_IS_STRICTER = {"refuses_older", "require_maxmemory", "canary", "clean", "pushed", "dated", "secure", "http_only"}
_FALSE_IS_STRICTER = {"allow_private", "filtered_is_closed"}
#: An option that is there only to excuse, or to judge a part alone.
_EXCUSES = {"optional", "first_backup", "accepted_file", "after", "panels"}
#: Of one check alone: what was counted before is excused.
_EXCUSES_OF_A_CHECK = {("check_redis", "watch")}
#: By these something else is no longer judged: GPUs on the bus that nobody named.
_INSTEAD = {("check_gpu", "count"), ("check_gpu", "devices")}
#: Mappings whose names are the kernel's or a server's, and tell nothing of an order; only a bound below one does.
_NAMED_BY_OTHERS = {"sysctl", "settings", "labels", "images", "digests"}
_BOUNDS = {"at_least", "at_most"}
#: Choices that demand less than the others beside them, and below 0 more.
_MILD_CHOICES = {
    "any": 2,
    "ignored": 2,
    "first": 1,
    "optional": 2,
    "either": 1,
    "present": 1,
    "warn": 1,
    "head": 2,
    "archive": 1,
    "allowed": 1,
    "tag": 1,
    "memory": 1,
    "files": 2,
    "age": -1,  # more than that it is encrypted
}
_SHOWN = 100
#: A size, span, version or mode.
_MEASURE = re.compile(r"\d{1,12}(?:\.\d{1,6}){0,3} ?[A-Za-z]{0,3}")

Leaf = t.Any
Strictness = t.Mapping[str, t.Any]


def leaves(check: str, raw: t.Any, value: t.Any) -> t.Iterator[tuple[str, Leaf, bool]]:
    """Path, value and whether a template stands there, of every option but secrets; defaults are filled in.

    ``raw`` is the options as they are written, ``value`` as they are templated; the same twice where nothing is to template.
    """
    yield from _mapping(registry.load(check).ARGUMENT_SPEC, raw, value, "", False)


def as_written(own: t.Any, defaults: t.Any) -> t.Any:
    """An item's options and the defaults behind them, before a host has templated them; one expression stays one."""
    if isinstance(own, t.Mapping) and isinstance(defaults or {}, t.Mapping):
        return {**(defaults or {}), **own}
    return own or defaults or {}


def _mapping(spec: Spec | None, raw: t.Any, value: t.Any, path: str, made: bool) -> t.Iterator[tuple[str, Leaf, bool]]:
    made = made or is_template(raw)
    if not isinstance(value, t.Mapping):
        yield path, _kept(value, made and value != raw, ()), made
        return
    for name in sorted({*map(str, value), *(spec or {})}):
        definition = (spec or {}).get(name, {})
        if definition.get("no_log"):
            continue
        inner = value.get(name, definition.get("default"))
        if inner is None:
            continue
        written = raw.get(name, inner) if isinstance(raw, t.Mapping) else raw
        yield from _option(definition, written, inner, f"{path}.{name}" if path else name, made)


def _option(
    definition: t.Mapping[str, t.Any], raw: t.Any, value: t.Any, path: str, made: bool
) -> t.Iterator[tuple[str, Leaf, bool]]:
    children = definition.get("options")
    made = made or is_template(raw)
    if _last(path) in _OPAQUE:
        yield path, _digest(_text(value)), made
    elif isinstance(value, t.Mapping):
        yield from _mapping(children, raw, value, path, made)
    elif isinstance(value, list) and value and all(isinstance(entry, t.Mapping) for entry in value):
        for index, entry in enumerate(value):
            written = raw[index] if isinstance(raw, list) and index < len(raw) else raw
            name = _name_of(written if isinstance(written, t.Mapping) else entry, index)
            yield from _mapping(children, written, entry, f"{path}[{name}]", made)
    else:
        within = isinstance(raw, list) and any(is_template(entry) for entry in raw)
        made = made or within
        yield path, _kept(value, made and value != raw, definition.get("choices") or ()), made


def _name_of(entry: t.Mapping[str, t.Any], index: int) -> str:
    for key in _NAMES:
        if entry.get(key) is not None:
            return _LOOKS.text(_text(entry[key]))[:_SHOWN]
    return str(index)


def is_template(value: t.Any) -> bool:
    """Whether Ansible would evaluate this text."""
    return isinstance(value, str) and ("{{" in value or "{%" in value)


def has_template(value: t.Any) -> bool:
    """Whether there is such a text anywhere in it."""
    if isinstance(value, t.Mapping):
        return any(map(has_template, value.values()))
    if isinstance(value, (list, tuple)):
        return any(map(has_template, value))
    return is_template(value)


_LOOKS = Scrubber()


def _text(value: t.Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True, ensure_ascii=False, default=str)


def _kept(value: t.Any, is_evaluated: bool, choices: t.Collection[str]) -> Leaf:
    """A value as a verdict keeps it: without passwords inside URLs, and a long one by its digest.

    A template may have brought in anything, a secret too: of its texts only those are kept that can be ordered.
    """
    if isinstance(value, (bool, int, float)):
        return value
    if isinstance(value, (list, tuple)):
        return [_kept(entry, is_evaluated, choices) for entry in value]
    text = _LOOKS.text(_text(value))
    is_hidden = is_evaluated and text not in choices and not _MEASURE.fullmatch(text)
    return _digest(text) if is_hidden or len(text) > _SHOWN else text


def _digest(text: str) -> str:
    return "sha256:" + hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:16]


def demanded(item: Item, raw: t.Any, value: t.Any) -> dict[str, t.Any]:
    """What an item demands, as its plan tells it; ``value`` is its options, as written too where hosts template them."""
    listed = [] if item.sign_off else list(leaves(item.check, raw, value))
    options = {path: leaf for path, leaf, _made in listed}
    is_by_host = item.hosts != CONTROLLER and any(made for _path, _leaf, made in listed)
    sign_off = item.sign_off or {}
    expires = sign_off.get("expires_after")
    return {
        "check": item.check,
        "severity": item.severity,
        "phase": list(item.phases),
        "hosts": item.hosts,
        "when": item.when if isinstance(item.when, bool) else str(item.when),
        "max_age": item.max_age_seconds,
        "timeout": item.timeout_seconds,
        "options": dict(options),
        "by_host": is_by_host,
        "sign_off": {
            "team": sign_off["team"],
            "binds_to": sign_off["binds_to"],
            "asks": list(sign_off["asks"]),
            "expires_after": seconds_of(expires, where="expires_after") if expires else None,
            "hours": dict(sign_off["hours"]) if sign_off["hours"] else None,
        }
        if sign_off
        else None,
    }


def depends_on_host(check: str, raw: t.Any, value: t.Any) -> dict[str, Leaf]:
    """The options whose strictness only a host's own variables tell: those that a template makes."""
    return {path: leaf for path, leaf, made in leaves(check, raw, value) if made and _order(path) is not None}


def compared(now: Strictness, before: Strictness | None) -> list[dict[str, t.Any]]:
    """What changed since, each with ``id``, ``field``, ``was``, ``now`` and ``kind``: loosened, or changed.

    Both are ``{"require": ids, "satisfies": {step: ids}, "hosts": {pattern: names}, "items": {id: demanded}, "on_hosts": {id: [{options, hosts}]},
    "not_applicable": {id: hosts}}``.
    """
    if not before:
        return []
    wanted = now.get("require") or []
    found = [
        {"id": identity, **_field("require", "required", "not required", LOOSENED)}
        for identity in before.get("require") or []
        if not any(identity == wide or identity.startswith(f"{wide}.") for wide in wanted)
    ]
    found += [
        {"id": identity, **_field("covered", "by items", f"by the step {step}", LOOSENED)}
        for step, ids in (now.get("satisfies") or {}).items()
        for identity in ids
        if "satisfies" in before and identity not in before["satisfies"].get(step, ())
    ]
    for identity, was in sorted((before.get("items") or {}).items()):
        current = (now.get("items") or {}).get(identity)
        changes = (
            [_field("item", "judged", "removed", LOOSENED)]
            if current is None
            else [*_item_changes(was, current), *_host_changes(identity, was, current, now, before)]
        )
        found += [{"id": identity, **change} for change in changes]
    return found


def grouped(options_by_host: t.Mapping[str, t.Mapping[str, Leaf]]) -> list[dict[str, t.Any]]:
    """Options by host, each set of options once: most hosts share theirs."""
    groups: dict[str, dict[str, t.Any]] = {}
    for host, options in options_by_host.items():
        groups.setdefault(_text(options), {"options": dict(options), "hosts": []})["hosts"].append(host)
    return list(groups.values())


def by_host(strictness: Strictness, identity: str) -> dict[str, t.Mapping[str, Leaf]]:
    """The opposite of :func:`grouped`, for one item."""
    groups = (strictness.get("on_hosts") or {}).get(identity, [])
    return {host: group["options"] for group in groups for host in group["hosts"]}


def _field(field: str, was: t.Any, now: t.Any, kind: str) -> dict[str, t.Any]:
    return {"field": field, "was": was, "now": now, "kind": kind}


def _item_changes(was: Strictness, now: Strictness) -> t.Iterator[dict[str, t.Any]]:
    if was["check"] != now["check"]:
        # Nothing of what was judged is judged any more.
        yield _field("check", was["check"], now["check"], LOOSENED)
    if (was["severity"], now["severity"]) == ("blocker", "warning"):
        yield _field("severity", "blocker", "warning", LOOSENED)
    lost = [phase for phase in was["phase"] if phase not in now["phase"]]
    if lost:
        yield _field("phase", was["phase"], now["phase"], LOOSENED)
    if was["when"] != now["when"] and now["when"] is not True:
        yield _field("when", was["when"], now["when"], LOOSENED if was["when"] is True else CHANGED)
    for name in ("max_age", "timeout"):
        if was[name] is not None and (now[name] is None or now[name] > was[name]):
            yield _field(name, _seconds(was[name]), _seconds(now[name]), LOOSENED)
    if was["sign_off"] and now["sign_off"]:
        yield from _sign_off_changes(was["sign_off"], now["sign_off"])
    if was["check"] == now["check"] and not (was["by_host"] or now["by_host"]):
        yield from _option_changes(now["check"], was["options"], now["options"])


def _seconds(value: float | None) -> str:
    return "no limit" if value is None else f"{value:g} s"


def _sign_off_changes(was: Strictness, now: Strictness) -> t.Iterator[dict[str, t.Any]]:
    if was["team"] != now["team"]:
        yield _field("sign_off.team", was["team"], now["team"], CHANGED)
    # The release's digest covers the preview, and both are more than a time.
    order = (UNBOUND, "migration_preview", "release")
    if order.index(now["binds_to"]) < order.index(was["binds_to"]):
        yield _field("sign_off.binds_to", was["binds_to"], now["binds_to"], LOOSENED)
    if set(was.get("asks") or []) - set(now.get("asks") or []):
        yield _field("sign_off.asks", was["asks"], now.get("asks") or [], LOOSENED)
    there, still = was.get("hours"), now.get("hours")
    if there and (not still or office_hours.allows_more(still, there)):
        allowed = office_hours.in_words(still) if still else "any"
        yield _field("sign_off.hours", office_hours.in_words(there), allowed, LOOSENED)
    before, after = was["expires_after"], now["expires_after"]
    if before is not None and (after is None or after > before):
        yield _field("sign_off.expires_after", _seconds(before), _seconds(after), LOOSENED)


def _host_changes(
    identity: str, was: Strictness, now: Strictness, all_now: Strictness, all_before: Strictness
) -> t.Iterator[dict[str, t.Any]]:
    before = (all_before.get("hosts") or {}).get(was["hosts"], [])
    after = (all_now.get("hosts") or {}).get(now["hosts"], [])
    lost = [host for host in before if host not in set(after)]
    if lost:
        yield _field("hosts", was["hosts"], f"{now['hosts']}, no longer {_named(lost)}", LOOSENED)
    skipped_before = set((all_before.get("not_applicable") or {}).get(identity, []))
    skipped = [host for host in (all_now.get("not_applicable") or {}).get(identity, []) if host not in skipped_before]
    skipped = [host for host in skipped if host in set(before)]
    if skipped:
        yield _field("when", "judged", f"not applicable on {_named(skipped)}", LOOSENED)
    if was["check"] != now["check"]:
        return
    if not (was["by_host"] or now["by_host"]):
        return
    changes: dict[str, tuple[dict[str, t.Any], list[str]]] = {}
    there, here = by_host(all_before, identity), by_host(all_now, identity)
    compared_on = [host for host in before if host in set(after)]
    compared_on = [host for host in compared_on if _is_known(was, there, host) and _is_known(now, here, host)]
    for host in compared_on:
        before_here, now_here = _effective(was, there.get(host)), _effective(now, here.get(host))
        for change in _option_changes(now["check"], before_here, now_here):
            changes.setdefault(_text(change), (change, []))[1].append(host)
    for change, hosts in changes.values():
        where = "" if len(hosts) == len(compared_on) else f" on {_named(hosts)}"
        yield {**change, "field": change["field"] + where}
    if not compared_on:  # an item of another phase, say: as it is written
        yield from _option_changes(now["check"], was["options"], now["options"])


def _is_known(item: Strictness, own: t.Mapping[str, t.Any], host: str) -> bool:
    """Whether an item's options on this host are known: they were evaluated there, or there is nothing to evaluate."""
    return host in own or not item["by_host"]


def _effective(item: Strictness, own: t.Mapping[str, Leaf] | None) -> dict[str, Leaf]:
    """An item's options on one host."""
    if not item["by_host"]:
        return dict(item["options"])
    fixed = {path: leaf for path, leaf in item["options"].items() if not _is_made(leaf) or _order(path) is None}
    return {**fixed, **(own or {})}


def _is_made(leaf: Leaf) -> bool:
    return any(is_template(entry) for entry in leaf) if isinstance(leaf, list) else is_template(leaf)


def _named(hosts: t.Sequence[str]) -> str:
    return ", ".join(hosts[:3]) + (f" and {len(hosts) - 3} more" if len(hosts) > 3 else "")


def _option_changes(check: str, was: t.Mapping[str, Leaf], now: t.Mapping[str, Leaf]) -> t.Iterator[dict[str, t.Any]]:
    had, has = ({entry for path in options for entry in _entries(path)} for options in (was, now))
    gone: set[str] = set()
    for path in sorted({*was, *now}):
        before, after = was.get(path), now.get(path)
        if _is_same(before, after):
            continue
        lost = next((entry for entry in _entries(path) if entry not in has), None)
        if lost is not None and lost not in gone:
            gone.add(lost)
            yield _field(lost, "judged", "removed", LOOSENED)
        if lost is not None or any(entry not in had for entry in _entries(path)):
            continue  # an entry more only judges more
        kind = _kind_of_change(check, path, before, after)
        if kind:
            yield _field(path, before, after, kind)


def _is_same(before: Leaf, after: Leaf) -> bool:
    if before == after:
        return isinstance(before, bool) == isinstance(after, bool)
    # The same text, written in one list and brought in by a template in the other.
    return isinstance(before, str) and isinstance(after, str) and (before == _digest(after) or _digest(before) == after)


def _entries(path: str) -> list[str]:
    """The entries of lists that a path goes through: ``paths[/srv]`` of ``paths[/srv].min_free``."""
    return [path[: end + 1] for end in range(len(path)) if path[end] == "]" and path[end + 1 : end + 2] in (".", "")]


def _last(path: str) -> str:
    """The option's own name."""
    names = re.sub(r"\[.*\]", "", path)
    owner, dot, _name = names.partition(".")
    last = names.rpartition(".")[2]
    return owner if dot and owner in _NAMED_BY_OTHERS and last not in _BOUNDS else last


def _order(path: str) -> str | None:
    """How values of this option are ordered, or None where one is as strict as another."""
    name = _last(path)
    if name in _TARGETS:
        return None
    if name in _EXCUSES:
        return "excuse"
    if name in _LOWER or (name.startswith("max") and name not in _HIGHER):
        return "lower"
    if name in _HIGHER or name.startswith("min"):
        return "higher"
    if name in _TRUE_IS_STRICTER or name in _FALSE_IS_STRICTER:
        return "boolean"
    return "fewer" if name in _ALLOWANCES else "other"


def _kind_of_change(check: str, path: str, was: Leaf, now: Leaf) -> str:
    """Loosened, changed, or nothing for what became stricter."""
    order = "excuse" if (check, path) in _EXCUSES_OF_A_CHECK else _order(path)
    if order is None:
        return CHANGED
    if order == "excuse":
        return LOOSENED if was is None else CHANGED if now is not None else ""
    if now is None:
        return LOOSENED
    if was is None:
        return LOOSENED if (check, path) in _INSTEAD else CHANGED if order == "fewer" else ""
    if order in ("higher", "lower"):
        return _kind_by_size(_last(path), was, now, higher=order == "higher")
    if order == "boolean":
        return LOOSENED if now == (_last(path) in _FALSE_IS_STRICTER) else ""
    if isinstance(was, list) and isinstance(now, list) and _last(path) not in ("argv", "command"):
        return _kind_by_entries(was, now, fewer=order == "fewer")
    if isinstance(was, str) and isinstance(now, str):
        milder = _MILD_CHOICES.get(now, 0) - _MILD_CHOICES.get(was, 0)
        return LOOSENED if milder > 0 else "" if milder < 0 else CHANGED
    return CHANGED


def _kind_by_entries(was: list[t.Any], now: list[t.Any], *, fewer: bool) -> str:
    before, after = {_text(entry) for entry in was}, {_text(entry) for entry in now}
    gone, new = before - after, after - before
    milder, stricter = (new, gone) if fewer else (gone, new)
    return LOOSENED if milder else "" if stricter or before == after else CHANGED


def _kind_by_size(name: str, was: Leaf, now: Leaf, *, higher: bool) -> str:
    if name == "max_mode":
        try:
            return LOOSENED if int(str(now), 8) & ~int(str(was), 8) else ""
        except ValueError:
            return CHANGED
    before, after = _magnitude(name, was), _magnitude(name, now)
    if before is None or after is None:
        return CHANGED
    if before == after:
        return ""
    return LOOSENED if (after < before) == higher else ""


def _magnitude(name: str, value: Leaf) -> tuple[float, ...] | None:
    """A number, size, span or version as what can be ordered."""
    text = str(value).strip()
    if "version" in name or "kernel" in name:
        version = re.fullmatch(r"(?:[A-Za-z]*v)?(\d+(?:\.\d+)*)\b.*", text)
        return tuple(float(part) for part in version[1].split(".")) if version else None
    if isinstance(value, bool):
        return None
    for read in (float, functools.partial(size_bytes, option=name), functools.partial(span_seconds, option=name)):
        try:
            return (float(read(text)),)
        except (ValueError, BadInput):
            continue
    return None
