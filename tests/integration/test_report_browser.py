# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The HTML report in a real browser: filters, keys, phone, both colour schemes, paper, and without JavaScript."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.opsready.golive.plugins.plugin_utils import report_html
from ansible_collections.opsready.golive.plugins.plugin_utils.report_html import write_html
from ansible_collections.opsready.golive.tests.unit.plugins.plugin_utils import test_report_samples as samples

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
websocket = pytest.importorskip("websocket", reason="PyPI websocket-client is not installed")

ANSWER_SECONDS = 60
PHONE = 360
COLOURS = ("light", "dark")

# Contrast as WCAG 2 defines it, of every element with text of its own against the nearest painted ground.
CONTRAST = """
(() => {
  const parse = (c) => c.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b].map((v) => v / 255)
    .map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const ground = (el) => {
    for (let up = el; up; up = up.parentElement) {
      const c = parse(getComputedStyle(up).backgroundColor);
      if (c.length < 4 || c[3] === 1) return c;
    }
    throw new Error('no ground');
  };
  const low = [];
  let seen = 0;
  for (const el of document.querySelectorAll('body *')) {
    if (el.closest('script,style,datalist,.skip') || !el.checkVisibility()) continue;
    if (![...el.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim())) continue;
    const [a, b] = [light(parse(getComputedStyle(el).color)), light(ground(el))];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    seen += 1;
    if (ratio < 4.5) low.push(`${el.tagName}.${el.className} ${el.textContent.slice(0, 30)}: ${ratio.toFixed(2)}`);
  }
  return { seen, low };
})()
"""


class Page:
    """One tab of a headless Chromium, driven over its DevTools protocol."""

    def __init__(self, address: str) -> None:
        self._socket = websocket.create_connection(address, timeout=ANSWER_SECONDS, suppress_origin=True)
        self._sent = 0
        self._session = ""
        self.complaints: list[str] = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        self._target = target
        for domain in ("Page", "Runtime", "Log"):
            self.call(f"{domain}.enable")

    def close(self) -> None:
        session, self._session = self._session, ""
        if session:
            self.call("Target.closeTarget", targetId=self._target)
        self._socket.close()

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        self._sent += 1
        message = {"id": self._sent, "method": method, "params": params}
        self._socket.send(json.dumps({**message, "sessionId": self._session} if self._session else message))
        while True:
            answer = self._receive()
            if answer.get("id") == self._sent:
                if "error" in answer:
                    raise AssertionError(f"{method}: {answer['error']['message']}")
                result: dict[str, Any] = answer["result"]
                return result

    def wait_for(self, event: str) -> None:
        while self._receive().get("method") != event:
            pass

    def _receive(self) -> dict[str, Any]:
        message: dict[str, Any] = json.loads(self._socket.recv())
        if message.get("method") in ("Runtime.exceptionThrown", "Log.entryAdded", "Runtime.consoleAPICalled"):
            self.complaints.append(json.dumps(message["params"]))
        return message

    def show(
        self, path: Path, *, width: int = 1280, scheme: str = "light", script: bool = True, anchor: str = ""
    ) -> None:
        self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=800, deviceScaleFactor=1, mobile=width < 600
        )
        self.call("Emulation.setEmulatedMedia", media="", features=[{"name": "prefers-color-scheme", "value": scheme}])
        self.call("Emulation.setScriptExecutionDisabled", value=not script)
        self.call("Page.navigate", url=f"{path.as_uri()}{anchor}")
        self.wait_for("Page.loadEventFired")

    def ask(self, expression: str) -> Any:
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def until(self, condition: str) -> None:
        """Return once the condition holds in the page; fail where it does not within 20 s."""
        held = self.ask(
            f"""new Promise((done) => {{ const end = performance.now() + 20000;
            const look = () => ({condition}) ? done(true) : performance.now() > end ? done(false)
              : requestAnimationFrame(look);
            look(); }})"""
        )
        assert held, f"never held: {condition}; shown: {self.ask(SHOWN)}"

    def press(self, key: str, text: str = "") -> None:
        for kind in ("keyDown", "keyUp"):
            code = {"Enter": 13, "Tab": 9, "ArrowDown": 40, "ArrowUp": 38, "End": 35, " ": 32}[key]
            extra = {"text": text} if text and kind == "keyDown" else {}
            self.call("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code, **extra)

    def fill(self, field: str, value: str) -> None:
        self.ask(f"document.querySelector('.filters [name={field}]').focus()")
        self.call("Input.insertText", text=value)


SHOWN = "document.querySelector('.shown').textContent"


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    profile = tmp_path_factory.mktemp("chromium")
    command = [
        str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
        "--disable-background-networking", "--no-first-run", "--remote-debugging-port=0",
        f"--user-data-dir={profile}", "about:blank",
    ]  # fmt: skip
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True) as running:
        try:
            assert running.stderr is not None
            lines = iter(running.stderr.readline, "")
            address = next((found for line in lines if (found := re.search(r"ws://127\.0\.0\.1:\S+", line))), None)
            assert address, "Chromium ended before it listened"
            yield address.group()
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(running.pid, signal.SIGKILL)


@pytest.fixture
def page(browser: str) -> Iterator[Page]:
    opened = Page(browser)
    try:
        yield opened
    finally:
        opened.close()


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    directory = tmp_path_factory.mktemp("reports")
    made = {}
    for name, build in samples.SAMPLES.items():
        made[name] = directory / f"{name}.html"
        write_html(build(), made[name])
    return made


@pytest.mark.parametrize("name", samples.SAMPLES)
def test_a_report_opens_without_a_complaint_and_asks_for_nothing(
    page: Page, reports: dict[str, Path], name: str
) -> None:
    page.show(reports[name])
    assert page.ask("performance.getEntriesByType('resource').length") == 0
    assert page.ask("document.querySelector('h1').checkVisibility()") is True
    assert page.complaints == []


def test_a_complaint_would_be_seen(page: Page, reports: dict[str, Path]) -> None:
    page.show(reports["live"])
    page.ask("document.body.insertAdjacentHTML('beforeend', '<img src=data:image/png;base64,AAAA onerror=1>')")
    page.until("true")
    page.ask("new Promise((done) => setTimeout(done, 0))")
    assert any("Content Security Policy" in complaint for complaint in page.complaints)


@pytest.mark.parametrize("name", samples.SAMPLES)
def test_a_phone_scrolls_in_one_direction_only(page: Page, reports: dict[str, Path], name: str) -> None:
    page.show(reports[name], width=PHONE)
    page.ask("document.querySelectorAll('details').forEach((details) => { details.open = true; })")
    wide = page.ask(
        """[...document.querySelectorAll('body *')].filter((el) => el.checkVisibility()
        && !el.closest('.skip,thead,.chip input')
        && el.getBoundingClientRect().right > innerWidth + 0.5).map((el) => el.tagName + '.' + el.className)"""
    )
    assert wide == []
    assert page.ask("document.documentElement.scrollWidth") <= PHONE


@pytest.mark.parametrize("scheme", COLOURS)
@pytest.mark.parametrize("name", ["live", "no_go", "rolled_back"])
def test_every_text_stands_out_from_its_ground(page: Page, reports: dict[str, Path], name: str, scheme: str) -> None:
    page.show(reports[name], scheme=scheme)
    page.ask("document.querySelectorAll('details').forEach((details) => { details.open = true; })")
    measured = page.ask(CONTRAST)
    assert measured["seen"] > 100
    assert measured["low"] == []


def test_the_two_schemes_differ(page: Page, reports: dict[str, Path]) -> None:
    grounds = []
    for scheme in COLOURS:
        page.show(reports["live"], scheme=scheme)
        grounds.append(page.ask("getComputedStyle(document.body).backgroundColor"))
    assert grounds[0] != grounds[1]


def test_the_status_filter_shows_only_what_was_asked_for(page: Page, reports: dict[str, Path]) -> None:
    page.show(reports["no_go"])
    assert page.ask(SHOWN) == "36 of 36 findings shown"
    page.ask("document.querySelector('.chip input[value=unknown]').click()")
    page.until(f"{SHOWN}.startsWith('2 of')")
    page.ask("document.querySelector('.chip input[value=fail]').click()")
    page.until(f"{SHOWN}.startsWith('6 of')")
    visible = page.ask(
        "[...document.querySelectorAll('.rows > li')].filter((el) => el.checkVisibility()).map((el) => el.dataset.s)"
    )
    assert sorted(visible) == ["fail"] * 4 + ["unknown"] * 2


@pytest.mark.parametrize(
    ("field", "value", "count"),
    [
        ("host", "app-1", 11),
        ("item", "S1.2", 1),
        ("item", "S1.2*", 0),
        ("item", "tls-pub", 1),
        ("text", "BITS entropy", 1),
        ("text", "not_after", 6),
        ("text", "nothing says this", 0),
    ],
)
def test_a_filter_by(page: Page, reports: dict[str, Path], field: str, value: str, count: int) -> None:
    page.show(reports["no_go"])
    page.fill(field, value)
    page.until(f"{SHOWN} === '{count} of 36 findings shown'")
    assert page.ask("document.querySelector('.none').checkVisibility()") is (count == 0)


def test_the_severity_filter_and_the_way_back_to_everything(page: Page, reports: dict[str, Path]) -> None:
    page.show(reports["live"])
    page.ask(
        "(() => { const select = document.querySelector('[name=severity]'); select.value = 'warning';"
        "select.dispatchEvent(new Event('input', { bubbles: true })); })()"
    )
    page.until(f"{SHOWN} === '1 of 33 findings shown'")
    page.ask("document.querySelector('.filters button').click()")
    page.until(f"{SHOWN} === '33 of 33 findings shown'")


def test_the_keyboard_reaches_the_report_first_and_then_every_row(page: Page, reports: dict[str, Path]) -> None:
    page.show(reports["no_go"])
    page.press("Tab")
    assert page.ask("document.activeElement.className") == "skip"
    page.press("Enter", "\r")
    page.until("document.activeElement.id === 'content'")
    seen = set()
    for _unused in range(30):
        page.press("Tab")
        row = page.ask("document.activeElement.closest('.rows > li')?.id")
        if row:
            seen.add(row)
            break
        assert (
            page.ask("getComputedStyle(document.activeElement).outlineStyle") != "none"
            or page.ask("getComputedStyle(document.activeElement.nextElementSibling).outlineStyle") != "none"
        ), page.ask("document.activeElement.outerHTML")
    assert seen == {"f0"}
    page.press("ArrowDown")
    assert page.ask("document.activeElement.closest('.rows > li').id") == "f1"
    page.press("End")
    assert page.ask("document.activeElement.closest('.rows > li').id") == "f35"
    assert page.ask("document.activeElement.parentElement.open") is False
    page.press("Enter", "\r")
    page.until("document.activeElement.parentElement.open")


def test_a_link_from_what_blocks_opens_its_finding_though_it_is_filtered_out(
    page: Page, reports: dict[str, Path]
) -> None:
    page.show(reports["no_go"])
    page.ask("document.querySelector('.chip input[value=pass]').click()")
    page.until(f"{SHOWN}.startsWith('30 of')")
    page.ask("[...document.querySelectorAll('.blocks a')].find((a) => a.textContent === 'tls-public').click()")
    page.until("document.activeElement.closest('.rows > li')?.dataset.i.startsWith('tls-public')")
    assert page.ask("document.activeElement.parentElement.open && document.activeElement.checkVisibility()") is True


def test_without_javascript_everything_is_there_and_no_dead_filter(page: Page, reports: dict[str, Path]) -> None:
    page.show(reports["no_go"], script=False)
    tree = page.call("DOM.getDocument", depth=-1)["root"]["nodeId"]
    rows = page.call("DOM.querySelectorAll", nodeId=tree, selector=".rows > li:not([hidden])")["nodeIds"]
    assert len(rows) == 36
    assert page.call("DOM.querySelectorAll", nodeId=tree, selector=".filters:not([hidden])")["nodeIds"] == []


def test_paper_gets_what_did_not_pass_unfolded_and_no_controls(page: Page, tmp_path: Path) -> None:
    many = [samples.finding(f"item-{number}", "fail") for number in range(report_html.UNFOLDED_FINDINGS + 1)]
    report = samples.build_report(
        system="s", version="1", verdict=samples.verdict("NO-GO"), outcome="no_go", findings=many
    )
    write_html(report, tmp_path / "report.html")
    page.show(tmp_path / "report.html")
    assert page.ask("document.querySelectorAll('.rows > li > details[open]').length") == 0
    page.ask("dispatchEvent(new Event('beforeprint'))")
    page.call("Emulation.setEmulatedMedia", media="print", features=[])
    assert page.ask("document.querySelectorAll('.rows > li > details[open]').length") == len(many)
    assert page.ask("document.querySelector('.filters').checkVisibility()") is False
    assert base64.b64decode(page.call("Page.printToPDF")["data"]).startswith(b"%PDF")
    page.ask("dispatchEvent(new Event('afterprint'))")
    assert page.ask("document.querySelectorAll('.rows > li > details[open]').length") == 0


def test_folded_hosts_are_filtered_one_by_one(page: Page, tmp_path: Path) -> None:
    write_html(samples.fleet(hosts=30, items=100), tmp_path / "fleet.html")
    page.show(tmp_path / "fleet.html")
    assert page.ask(SHOWN) == "3,000 of 3,000 findings shown"
    page.fill("host", "web-0007")
    page.until(f"{SHOWN} === '100 of 3,000 findings shown'")
    page.ask("document.querySelector('.rows > li[data-s=pass]:not([hidden]) details').open = true")
    hosts = page.ask(
        "[...document.querySelector('.rows > li[data-s=pass]:not([hidden])').querySelectorAll('.hosts > li')]"
        ".filter((el) => el.checkVisibility()).map((el) => el.firstChild.textContent)"
    )
    assert hosts == ["web-0007"]
    page.ask("document.querySelector('.filters button').click()")
    page.until(f"{SHOWN} === '3,000 of 3,000 findings shown'")
    assert page.complaints == []
