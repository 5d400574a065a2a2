"""What a demo promises, each checked against the system itself. A promise that does not hold fails the demo."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Promises:
    """Collects what held and what did not, with the numbers."""

    kept: list[dict[str, object]] = field(default_factory=list)

    def check(self, promise: str, holds: bool, seen: str = "") -> bool:
        self.kept.append({"promise": promise, "holds": holds, "seen": seen})
        print(f"  {'✓' if holds else '✗ BROKEN:'} {promise}{f': {seen}' if seen else ''}", flush=True)
        return holds

    @property
    def broken(self) -> list[str]:
        return [str(entry["promise"]) for entry in self.kept if not entry["holds"]]

    def write(self, path: Path) -> None:
        path.write_text(json.dumps(self.kept, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def some(names: object, limit: int = 5) -> str:
    """The first few of many, and how many there are."""
    listed = [str(name) for name in names]  # type: ignore[attr-defined]  # any iterable; its length is the point
    return "none" if not listed else ", ".join(listed[:limit]) + (f" … ({len(listed)})" if len(listed) > limit else "")
