# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The one error family: everything that can go wrong in a check or an action is one of these.

Backends raise them and never exit; the guard around main() and the checklist runner turn them into results.
"""

from __future__ import annotations

import typing as t


class _Told(BaseException):
    """What went wrong, in one sentence that names the thing, and the way out in another."""

    def __init__(self, message: str, *, remedy: str = "", known: t.Mapping[str, t.Any] | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy
        self.known: dict[str, t.Any] = dict(known or {})

    def __str__(self) -> str:
        return f"{self.message} {self.remedy}".strip()


class GoliveError(_Told, Exception):
    """Everything that a check or an action may expect to go wrong."""


class Ended(_Told):
    """A signal ended the module. No ``Exception``: what expects a failure, and goes on, must not take it for one.

    Only the guard ends with it. What has something to tell or to take back catches ``(GoliveError, Ended)`` and raises.
    """


class BadInput(GoliveError):
    """The user's parameters cannot be used as they are."""


class MissingLibrary(GoliveError):
    """A library or program that this host needs is absent or too old."""


class Unreachable(GoliveError):
    """Nothing answered: refused, no route, no such name."""


class TimedOut(Unreachable):
    """Something may be there, but it did not answer within the limit."""


class Denied(GoliveError):
    """The other side answered and refused us: wrong password, missing right."""


class UnexpectedAnswer(GoliveError):
    """The other side answered with something that cannot be understood."""


class CommandFailed(GoliveError):
    """A program ended with a code other than 0."""

    def __init__(self, message: str, *, returncode: int, stderr: str = "", remedy: str = "") -> None:
        super().__init__(message, remedy=remedy, known={"returncode": returncode, "stderr": stderr})
        self.returncode = returncode
        self.stderr = stderr


class Refused(GoliveError):
    """We refuse to go on, because a law of the design would be broken."""


class ActionFailed(GoliveError):
    """An action stopped half way; ``known`` says what was done and what is left behind."""
