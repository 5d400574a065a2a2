# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A dashboard of Grafana as its browser would ask for it: which queries its panels send, and what their answers show.

Grafana fills in variables and paints thresholds in the browser, so who asks without one has to do both. What cannot be done
as the browser does it is NotEvaluated, with the reason: another query's answer would be judged in its place.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
import re
import typing as t

from ansible_collections.opsready.golive.plugins.module_utils._core.errors import UnexpectedAnswer

Json = t.Mapping[str, t.Any]

#: Panels that ask no data source, though queries may be left in them from when they were of another type.
_WITHOUT_QUERIES = frozenset({
    "row", "text", "news", "dashlist", "alertlist", "annolist", "welcome", "gettingstarted", "live", "debug",
})  # fmt: skip
#: Panels that show one value for each series, in the colour of its threshold.
_PAINTED = frozenset({"stat", "gauge", "bargauge"})
#: They are older than thresholds in ``fieldConfig``.
_PAINTED_BEFORE = frozenset({"singlestat", "grafana-singlestat-panel"})
#: A panel repeated over more values than this is not asked for.
MOST_PANELS = 200
#: A query is no longer, in characters, with its variables filled in.
_LONGEST = 1_000_000
_POINTS = 100
_MIXED, _BUILT_IN, _OTHER_PANEL, _EXPRESSION = (
    "-- Mixed --",
    ("grafana", "-- Grafana --"),
    "-- Dashboard --",
    "__expr__",
)
_ALL = "$__all"
#: What is filled in is no query, but the name of whom to ask.
_A_SOURCE = "datasource"
_VARIABLE = re.compile(r"\$(\w+)|\[\[(\w+?)(?::(\w+))?\]\]|\$\{(\w+)(?:\.([^:^}]+))?(?::([^}]+))?\}")
#: Grafana's browser code fills these in, from what only it knows.
_BROWSER_ONLY = re.compile(r"__(?:dashboard|org|user|url_time_range|all_variables|field|series|value|data|name)\b")
#: What names a result or describes it, and is no part of the question.
_NO_QUESTION = frozenset({"refId", "datasource", "legendFormat", "alias", "hide", "key"})
_FOR_A_REGEX = re.compile(r"[$^*{}\[\]'+?.()|]")


class NotEvaluated(UnexpectedAnswer):
    """A panel cannot be judged as Grafana would show it; the message says why."""


class NoSource(NotEvaluated):
    """A panel asks a data source that does not exist."""


@dataclasses.dataclass(frozen=True)
class Source:
    """A data source that the login may query."""

    uid: str
    name: str
    kind: str


@dataclasses.dataclass(frozen=True)
class Sources:
    """All of them, and the name of the one that a panel without one asks."""

    listed: tuple[Source, ...]
    default: str

    def find(self, text: str) -> Source | None:
        """By uid, else by name: old dashboards name it."""
        wanted = self.default if text == "default" else text
        by_uid = next((source for source in self.listed if source.uid == wanted), None)
        return by_uid or next((source for source in self.listed if source.name == wanted), None)


@dataclasses.dataclass(frozen=True)
class Panel:
    """One panel as it is shown, its model, and what a repetition fills in. ``number`` is its id."""

    number: int | None
    title: str
    model: Json
    repeated: t.Mapping[str, str]

    @property
    def kind(self) -> str:
        return str(self.model.get("type"))

    @property
    def called(self) -> str:
        title = self.title or f"panel {self.number}"
        of = ", ".join(f"{name}={value}" for name, value in self.repeated.items())
        return f"{title} ({of})" if of else title


@dataclasses.dataclass(frozen=True)
class Question:
    """The queries of a panel, by data source, as they are sent; ``shown`` are the refIds of those that it shows."""

    requests: tuple[tuple[Json, ...], ...]
    shown: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Shown:
    """A value that a panel shows, and the colour it has; ``is_base`` where that is the colour of the lowest step."""

    value: float
    color: str
    is_base: bool


def panels_of(dashboard: Json) -> list[tuple[Json, t.Any]]:
    """Each panel's model, those of rows too, with the variable that its row is repeated by. Copies of a repetition are left out."""
    found: list[tuple[Json, t.Any]] = []
    row_repeat = None
    for panel in dashboard.get("panels") or ():
        if panel.get("type") == "row":
            row_repeat = panel.get("repeat")
            found += [(inner, row_repeat) for inner in panel.get("panels") or ()]
        else:
            found.append((panel, row_repeat))
    for row in dashboard.get("rows") or ():
        found += [(inner, row.get("repeat")) for inner in row.get("panels") or ()]
    return [(panel, repeat) for panel, repeat in found if not panel.get("repeatPanelId")]


def has_query(model: Json) -> bool:
    """Whether the panel asks anything that it shows."""
    targets = model.get("targets") or ()
    return model.get("type") not in _WITHOUT_QUERIES and any(not target.get("hide") for target in targets)


def is_painted(model: Json) -> bool:
    """Whether the panel shows values in colours that tell good from bad: a base alone tells nothing."""
    thresholds = ((model.get("fieldConfig") or {}).get("defaults") or {}).get("thresholds") or {}
    return model.get("type") in _PAINTED_BEFORE or (
        model.get("type") in _PAINTED and len(thresholds.get("steps") or ()) > 1
    )


def repeated(model: Json, row_repeat: t.Any, variables: Variables) -> list[Panel]:
    """The panel once for each value of what repeats it, or its row. Raises NotEvaluated."""
    number, title = model.get("id"), str(model.get("title") or "")
    filled: list[dict[str, str]] = [{}]
    for name in dict.fromkeys(name for name in (row_repeat, model.get("repeat")) if name):
        each = ({**one, str(name): value} for one in filled for value in variables.listed(str(name)))
        filled = list(itertools.islice(each, MOST_PANELS + 1))
    if len(filled) > MOST_PANELS:
        raise NotEvaluated(f"it is repeated more than {MOST_PANELS} times")
    return [Panel(number, title, model, one) for one in filled]


class Variables:
    """The variables of a dashboard: with the values that were given, else with those it was saved with."""

    def __init__(self, dashboard: Json, given: t.Mapping[str, t.Any]) -> None:
        listed = (dashboard.get("templating") or {}).get("list") or ()
        self._models: dict[str, Json] = {str(model["name"]): model for model in listed}
        self._given = given

    def strange(self) -> list[str]:
        """Those that were given, and that the dashboard does not have."""
        return [name for name in self._given if name not in self._models]

    def unfilled(self) -> str:
        """The name of an ad hoc variable that changes every query; else nothing."""
        changing = (
            name for name, model in self._models.items() if model.get("type") == "adhoc" and model.get("filters")
        )
        return next(changing, "")

    def listed(self, name: str) -> list[str]:
        """The values that stand for it, one or several. Raises NotEvaluated."""
        values, is_pattern = self._values(name)
        if is_pattern:
            raise NotEvaluated(
                f"the variable {name} stands on All, of which no values are saved; name them in variables"
            )
        return values

    def _values(self, name: str) -> tuple[list[str], bool]:
        """The values, and whether it is one that is no value but a pattern of all."""
        model = self._models.get(name, {})
        if name in self._given:
            given = self._given[name]
            return [str(value) for value in (given if isinstance(given, list) else [given])], False
        kind, value = model.get("type"), (model.get("current") or {}).get("value")
        if kind == "constant" or (kind == "textbox" and value is None):
            return [str(model.get("query") or "")], False
        if kind == "interval" and str(value).startswith("$__auto"):
            return ["$__interval"], False
        values = [str(one) for one in (value if isinstance(value, list) else [value]) if one is not None]
        if _ALL in values:
            return self._all(name, model)
        if not values or (values == [""] and kind != "textbox"):
            raise NotEvaluated(f"no value of the variable {name} is saved; name it in variables")
        return values, False

    def _all(self, name: str, model: Json) -> tuple[list[str], bool]:
        if model.get("allValue"):
            return [str(model["allValue"])], True
        options = [str(option["value"]) for option in model.get("options") or () if option.get("value") != _ALL]
        if not options and model.get("type") == "custom":
            options = [
                text.split(" : ")[-1].strip() for text in str(model.get("query") or "").split(",") if text.strip()
            ]
        if not options:
            raise NotEvaluated(
                f"the variable {name} stands on All, of which no values are saved; name them in variables"
            )
        return options, False

    def filled(self, text: str, panel: Panel, kind: str, span: tuple[int, int]) -> str:
        """The text as it is sent to a data source of this kind. ``span`` is the time asked for, in ms. Raises NotEvaluated."""

        left = _LONGEST - len(text)

        def value(match: re.Match[str]) -> str:
            nonlocal left
            written = of(match)
            left -= len(written)
            if left < 0:
                raise NotEvaluated(f"a query of it is longer than {_LONGEST} characters with its variables filled in")
            return written

        def of(match: re.Match[str]) -> str:
            name, style = match[1] or match[2] or match[4], match[3] or match[6]
            if name in ("__from", "__to"):
                if style:
                    raise NotEvaluated(f"{match[0]} is filled in by the browser alone")
                return str(span[name == "__to"])
            if name in panel.repeated:
                return _joined([panel.repeated[name]], name, style, kind, is_multi=True)
            if name in self._models:
                if match[5]:
                    raise NotEvaluated(f"{match[0]} is filled in by the browser alone")
                values, is_pattern = self._values(name)
                model = self._models.get(name, {})
                if is_pattern or values == ["$__interval"]:
                    return values[0]
                return _joined(values, name, style, kind, is_multi=bool(model.get("multi") or model.get("includeAll")))
            if _BROWSER_ONLY.match(name):
                raise NotEvaluated(f"{match[0]} is filled in by the browser alone")
            return match[0]

        return _VARIABLE.sub(value, text)


def _joined(values: t.Sequence[str], name: str, style: str | None, kind: str, *, is_multi: bool) -> str:
    """Values as Grafana writes them: in its default for the kind of data source, or in the style that is asked for."""
    is_promql = kind in ("prometheus", "loki")
    if style is None and is_promql and is_multi:
        # Two backslashes: it stands in a string, of which the query language takes one away.
        escaped = [_FOR_A_REGEX.sub(r"\\\\\g<0>", value.replace("\\", "\\\\\\\\")) for value in values]
        return escaped[0] if len(escaped) == 1 else f"({'|'.join(escaped)})"
    is_plain = is_promql or kind == _A_SOURCE or not is_multi
    if style in ("raw", "csv") or (style is None and len(values) == 1 and is_plain):
        return ",".join(values)
    if style == "pipe":
        return "|".join(values)
    if style == "regex":
        escaped = [re.sub(r"[\\^$*+?.()|\[\]{}/]", r"\\\g<0>", value) for value in values]
        return escaped[0] if len(escaped) == 1 else f"({'|'.join(escaped)})"
    how = f"as {style}" if style else f"for a data source of type {kind}"
    raise NotEvaluated(f"how the browser writes the variable {name} {how} is not known here")


def question(
    panel: Panel, models: t.Mapping[t.Any, Json], variables: Variables, sources: Sources, span: tuple[int, int]
) -> Question:
    """What the panel asks of whom, over ``span`` in ms. ``models`` are the dashboard's panels by id. Raises NotEvaluated."""
    model = _asking(panel.model, models)
    adhoc = variables.unfilled()
    if adhoc:
        raise NotEvaluated(f"the ad hoc filters of {adhoc} are put into queries by the browser alone")
    every = list(model.get("targets") or ())
    targets = (
        every if any(_is_expression(target) for target in every) else [one for one in every if not one.get("hide")]
    )
    sent: dict[str, list[Json]] = {}
    shown = []
    for index, target in enumerate(targets):
        name = str(target.get("refId") or chr(ord("A") + index % 26))
        if not target.get("hide"):
            shown.append(name)
        if _is_expression(target):
            source = Source(_EXPRESSION, _EXPRESSION, _EXPRESSION)
        else:
            source = _source(model, target, panel, variables, sources, span)
        sent.setdefault(source.uid, []).append({
            **{key: _filled(key, value, panel, variables, source.kind, span) for key, value in target.items()},
            **({"exemplar": False} if target.get("exemplar") else {}),
            "refId": name,
            "datasource": {"uid": source.uid, "type": source.kind},
            "maxDataPoints": _POINTS,
            "intervalMs": max(1000, (span[1] - span[0]) // _POINTS),
        })  # fmt: skip
    if len(set(shown)) < len(shown):
        raise NotEvaluated("several of its queries have one refId")
    if not shown:
        raise NotEvaluated("the panel whose queries it shows asks nothing")
    if _EXPRESSION in sent:  # an expression is computed from the queries that are sent along
        return Question((tuple(one for queries in sent.values() for one in queries),), tuple(shown))
    return Question(tuple(tuple(queries) for queries in sent.values()), tuple(shown))


def _asking(model: Json, models: t.Mapping[t.Any, Json]) -> Json:
    """The panel whose queries it shows: another one's, where its data source is the dashboard."""
    if _uid(model.get("datasource")) != _OTHER_PANEL:
        return model
    other = models.get((model.get("targets") or [{}])[0].get("panelId"))
    if other is None or _uid(other.get("datasource")) == _OTHER_PANEL:
        raise NotEvaluated("it shows what another panel asks for, which is not there or shows another's in turn")
    return other


def _uid(reference: t.Any) -> str:
    return str((reference.get("uid") if isinstance(reference, dict) else reference) or "")


def _is_expression(target: Json) -> bool:
    reference = target.get("datasource")
    kind = reference.get("type") if isinstance(reference, dict) else None
    return _EXPRESSION in (_uid(reference), kind)


def _source(
    model: Json, target: Json, panel: Panel, variables: Variables, sources: Sources, span: tuple[int, int]
) -> Source:
    of_panel = _uid(model.get("datasource"))
    reference = _uid(target.get("datasource")) if of_panel in ("", _MIXED) else of_panel
    wanted = variables.filled(reference or "default", panel, _A_SOURCE, span)
    if wanted in _BUILT_IN:
        raise NotEvaluated("it shows Grafana's own data (-- Grafana --), which is no data source's")
    found = sources.find(wanted)
    if found is None:
        raise NoSource(f"its data source {wanted} does not exist, or may not be queried with this login")
    return found


def _filled(key: str, value: t.Any, panel: Panel, variables: Variables, kind: str, span: tuple[int, int]) -> t.Any:
    if key in _NO_QUESTION:
        return value
    if isinstance(value, str):
        return variables.filled(value, panel, kind, span)
    if isinstance(value, list):
        return [_filled("", one, panel, variables, kind, span) for one in value]
    if isinstance(value, dict):
        return {name: _filled(name, one, panel, variables, kind, span) for name, one in value.items()}
    return value


def columns(frames: t.Iterable[Json], *, since: float) -> tuple[bool, list[list[float | None]]]:
    """Whether there is any value in these frames, and the numbers of each numeric field. ``since`` is in ms since 1970.

    Samples of a time series from before it do not count: some data sources take no notice of the time that is asked for.
    """
    has_value, numeric = False, []
    for frame in frames:
        fields = (frame.get("schema") or {}).get("fields") or ()
        told = frame.get("data") or {}
        values = told.get("values") or []
        if values and len(values) != len(fields):
            raise UnexpectedAnswer("a frame has not as many columns as fields")
        entities = told.get("entities") or [None] * len(values)
        kinds = [field["type"] for field in fields]
        times = next((column for kind, column in zip(kinds, values) if kind == "time"), None)
        is_series = times is not None and set(kinds) == {"time", "number"}
        for kind, column, special in zip(kinds, values, entities):
            cells = _restored(column, special or {}) if kind == "number" else list(column)
            if is_series:
                cells = [cell for cell, when in zip(cells, times or ()) if when is not None and when >= since]
            if kind == "number":
                numeric.append(cells)
            has_value = has_value or (kind != "time" and any(cell is not None for cell in cells))
    return has_value, numeric


def _restored(column: t.Sequence[t.Any], special: Json) -> list[float | None]:
    """The numbers of a column; JSON knows no infinity, so that stands beside it. What is not a number is None."""
    cells = [None if cell is None or math.isnan(float(cell)) else float(cell) for cell in column]
    for name, number in (("Inf", math.inf), ("NegInf", -math.inf)):
        for index in special.get(name) or ():
            cells[index] = number
    return cells


_CALCS: dict[str, t.Callable[[t.Sequence[float]], float]] = {
    "lastNotNull": lambda numbers: numbers[-1],
    "firstNotNull": lambda numbers: numbers[0],
    "mean": lambda numbers: sum(numbers) / len(numbers),
    "min": min,
    "max": max,
    "sum": sum,
    "count": len,
    "range": lambda numbers: max(numbers) - min(numbers),
    "diff": lambda numbers: numbers[-1] - numbers[0],
}


def shown_values(model: Json, numeric: t.Sequence[t.Sequence[float | None]]) -> tuple[Shown, ...]:
    """Each value that a stat, gauge or bar gauge shows, with its colour. Raises NotEvaluated where that is not known."""
    if model.get("type") in _PAINTED_BEFORE:
        raise NotEvaluated("it is of a type that Grafana has replaced by stat")
    options, config = model.get("options") or {}, model.get("fieldConfig") or {}
    reduce, defaults = options.get("reduceOptions") or {}, config.get("defaults") or {}
    if any(not change.get("disabled") for change in model.get("transformations") or ()):
        raise NotEvaluated("its transformations are computed by the browser alone")
    if any(
        name.get("id") in ("thresholds", "mappings", "min", "max")
        for override in config.get("overrides") or ()
        for name in override.get("properties") or ()
    ):
        raise NotEvaluated("some of its fields have thresholds of their own")
    if reduce.get("fields") not in (None, "", "/.*/"):
        raise NotEvaluated("it shows some fields alone")
    numbers = [number for column in numeric for number in _reduced(column, reduce)]
    steps = _steps(defaults)
    return tuple(_painted(number, steps, defaults) for number in numbers)


def _reduced(column: t.Sequence[float | None], reduce: Json) -> list[float]:
    present = [number for number in column if number is not None]
    if reduce.get("values"):
        return present
    calc = (reduce.get("calcs") or ["lastNotNull"])[0]
    if calc in ("last", "first"):
        edge = (column[-1] if calc == "last" else column[0]) if column else None
        return [] if edge is None else [edge]
    if calc not in _CALCS:
        raise NotEvaluated(f"how the browser computes {calc} is not known here")
    return [float(_CALCS[calc](present))] if present else []


def _steps(defaults: Json) -> list[tuple[float, str]]:
    thresholds = defaults.get("thresholds") or {}
    told = thresholds.get("steps") or ()
    steps = [(-math.inf if step.get("value") is None else float(step["value"]), str(step["color"])) for step in told]
    if thresholds.get("mode") == "percentage":
        low, high = defaults.get("min"), defaults.get("max")
        if low is None or high is None or float(high) <= float(low):
            raise NotEvaluated("its thresholds are percentages, of no minimum and maximum that it names")
        steps = [(float(low) + at / 100 * (float(high) - float(low)), color) for at, color in steps]
    return sorted(steps, key=lambda step: step[0])


def _painted(number: float, steps: t.Sequence[tuple[float, str]], defaults: Json) -> Shown:
    reached = [color for at, color in steps if number >= at] or [steps[0][1]]
    color = _mapped(number, defaults) or reached[-1]
    return Shown(number, color, color == steps[0][1])


def _mapped(number: float, defaults: Json) -> str | None:
    """The colour of the value mapping that holds; None of none, or of one that leaves the colour as it is."""
    for mapping in defaults.get("mappings") or ():
        options = mapping.get("options") or {}
        if mapping.get("type") == "value":
            result = next((result for text, result in options.items() if _is_number(text, number)), None)
        elif mapping.get("type") == "range":
            low, high = options.get("from"), options.get("to")
            is_in = (low is None or number >= float(low)) and (high is None or number <= float(high))
            result = options.get("result") if is_in else None
        elif mapping.get("type") == "special":  # of what is no number
            result = None
        else:
            raise NotEvaluated(f"its value mapping of type {mapping.get('type')} is not known here")
        if result is not None:
            return str(result["color"]) if result.get("color") else None
    return None


def _is_number(text: str, number: float) -> bool:
    try:
        return float(text) == number
    except ValueError:
        return False
