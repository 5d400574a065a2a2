# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The frame around every main(): one way in, one way out, and no secret on either.

Unhandled exceptions and ``warn()`` bypass Ansible's ``no_log``; so nothing here is unhandled, and every string that
leaves goes through the scrubber. SIGTERM becomes an exception, so that an action's cleanup runs.
"""

from __future__ import annotations

import contextlib
import signal
import sys
import traceback
import types
import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.opsready.golive.plugins.module_utils._core.argspec import Spec, secrets_in
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import Ended, GoliveError
from ansible_collections.opsready.golive.plugins.module_utils._core.progress import SILENT, Progress, telling
from ansible_collections.opsready.golive.plugins.module_utils._core.scrub import Scrubber, bounded, in_use

Result = dict[str, t.Any]

#: What ends a module early; SIGALRM is ours, for a signal that was dropped.
ENDING = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGALRM)
_AGAIN_SECONDS = 0.02


class Context:
    """What an acting module's body is given."""

    def __init__(self, module: AnsibleModule, scrubber: Scrubber) -> None:
        self.params: dict[str, t.Any] = module.params
        self.check_mode: bool = module.check_mode
        self.scrub = scrubber
        self.warnings: list[str] = []
        self.progress: Progress = SILENT

    def warn(self, text: str) -> None:
        """A warning for the user, shown when the module ends."""
        self.warnings.append(text)


@contextlib.contextmanager
def ended_by_signals() -> t.Iterator[None]:
    """Raise ``Ended`` where the main thread is when a signal comes.

    Python drops what is raised in ``__del__`` and in callbacks, one of which follows every fork: then it is raised again,
    by a timer, once that place was left. A second signal changes nothing: the cleanup under way runs to its end.
    """
    came: list[str] = []
    hook = sys.unraisablehook

    def end(number: int, frame: types.FrameType | None) -> None:
        if came and number != signal.SIGALRM:
            return
        came.append(signal.Signals(number).name)
        if frame is not None and frame.f_code is dropped.__code__:  # what is raised in there is dropped without a word
            signal.setitimer(signal.ITIMER_REAL, _AGAIN_SECONDS)
            return
        raise Ended(f"The module was ended by {came[0]}.")

    def dropped(what: sys.UnraisableHookArgs) -> None:
        if what.exc_type is Ended:
            signal.setitimer(signal.ITIMER_REAL, _AGAIN_SECONDS)
        else:
            hook(what)

    for number in ENDING:
        signal.signal(number, end)
    sys.unraisablehook = dropped
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number in ENDING:
            signal.signal(number, signal.SIG_DFL)
        sys.unraisablehook = hook


def where_it_broke(problem: BaseException) -> str:
    """File and line of an unexpected exception, without its text: the text may hold a secret."""
    frames = traceback.extract_tb(problem.__traceback__)
    last = frames[-1] if frames else None
    return f"{last.filename.rsplit('/', 1)[-1]}:{last.lineno}" if last else "an unknown place"


class Module(AnsibleModule):  # type: ignore[misc]  # Ansible has no types
    """AnsibleModule, which refuses options by itself too, and then shows all of them at -vvv."""

    def fail_json(self, msg: str, **kwargs: t.Any) -> t.NoReturn:
        _hide_from_invocation(self, Scrubber())
        super().fail_json(msg, **kwargs)
        raise AssertionError("fail_json ends the process")


def run_module(
    argument_spec: Spec,
    body: t.Callable[[Context], Result],
    *,
    supports_check_mode: bool = True,
    **constraints: t.Any,
) -> None:
    """Run an acting module: parse, call ``body(context)``, exit with its result or with one clear error."""
    module = Module(argument_spec, supports_check_mode=supports_check_mode, **constraints)
    scrubber = Scrubber(secrets_in(argument_spec, module.params))
    context = Context(module, scrubber)
    failure: Result = {}
    result: Result = {}
    try:
        with telling() as context.progress, ended_by_signals(), in_use(scrubber):
            result = body(context)
    except (GoliveError, Ended) as problem:
        failure = {**problem.known, "msg": str(problem), "error": type(problem).__name__}
    except Exception as problem:
        failure = {
            "msg": f"{type(problem).__name__} at {where_it_broke(problem)}. This is a defect; please report it.",
            "error": type(problem).__name__,
        }
    for text in context.warnings:
        module.warn(scrubber.text(text))
    _hide_from_invocation(module, scrubber)
    if failure:
        failure.setdefault("changed", False)
        module.fail_json(**_clean(scrubber, failure))
    module.exit_json(**_clean(scrubber, result))


def _clean(scrubber: Scrubber, result: Result) -> Result:
    cleaned: Result = bounded(scrubber.value(result), text=100_000, items=10_000)
    return cleaned


def _hide_from_invocation(module: AnsibleModule, scrubber: Scrubber) -> None:
    """Ansible prints the options at -vvv: a password that was put into a URL, and refused for it, must not be there."""
    module.params = scrubber.options(module.params)


def finish(module: AnsibleModule, scrubber: Scrubber, result: Result, *, failed: bool) -> None:
    """End a module whose result was made by a check."""
    cleaned = _clean(scrubber, result)
    _hide_from_invocation(module, scrubber)
    if failed:
        module.fail_json(**cleaned)
    module.exit_json(**cleaned)
