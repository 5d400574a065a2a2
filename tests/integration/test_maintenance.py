# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""maintenance on real servers: outer layers first, proven on a user path, and never taken from somebody else."""

from __future__ import annotations

import json
import os
import typing as t
from pathlib import Path

import pytest

from ansible_collections.opsready.golive.plugins.module_utils._core.fencing import lock_directory
from tests.servers import Answer, DemoCa, HangingServer, HttpServer, Request

#: A system of this run only: a host remembers the highest token of each system, so that OTHER's makes TOKEN stale.
SYSTEM = f"maintenance-{os.urandom(4).hex()}"
TOKEN = f"{SYSTEM}/r-1/1/0123456789abcdef"
OTHER = f"{SYSTEM}/r-2/2/0123456789abcdef"
ADMIN = "geheim-admin-token-77"
BYPASS = "geheim-bypass-4711"


class Site:
    """A proxy that obeys a flag file, before an application with a switch of its own."""

    def __init__(self, flag: Path) -> None:
        self.flag = flag
        self.app_is_on = False
        self.version = "1.0.0"
        self.log: list[str] = []
        self.server = HttpServer(
            {
                "/": self.user,
                "POST /admin/enable": self.switch(True),
                "POST /admin/disable": self.switch(False),
                "/admin/status": lambda request: self.admin(request, {"maintenance": {"active": self.app_is_on}}),
            }
        )

    @property
    def url(self) -> str:
        return self.server.url + "/"

    def user(self, request: Request) -> Answer:
        if self.flag.exists() and request.headers.get("X-Bypass") != BYPASS:
            return Answer(503, "Wartung", {"Retry-After": "120"})
        if self.app_is_on and request.headers.get("X-Bypass") != BYPASS:
            return Answer(503, "Wartung der Anwendung", {"Retry-After": "60"})
        return Answer(200, "ok", {"X-Version": self.version})

    def admin(self, request: Request, body: dict[str, t.Any]) -> Answer:
        return Answer(200, body) if request.headers.get("Authorization") == f"Bearer {ADMIN}" else Answer(401, "no")

    def switch(self, state: bool) -> t.Callable[[Request], Answer]:
        def change(request: Request) -> Answer:
            answer = self.admin(request, {})
            if answer.status == 200:
                self.log.append(f"app {state} while flag {self.flag.exists()}")
                self.app_is_on = state
            return answer

        return change

    def proxy_layer(self, **options: t.Any) -> dict[str, t.Any]:
        return {"name": "proxy", "backend": "file", "path": str(self.flag), "survives_stop": True, **options}

    def app_layer(self, **options: t.Any) -> dict[str, t.Any]:
        return {
            "name": "app",
            "backend": "http",
            "bearer": ADMIN,
            "enable": {"url": f"{self.server.url}/admin/enable", "body": {"reason": "x"}},
            "disable": {"url": f"{self.server.url}/admin/disable"},
            "read": {"url": f"{self.server.url}/admin/status", "path": "$.maintenance.active"},
            **options,
        }


@pytest.fixture(scope="module", autouse=True)
def token_forgotten() -> t.Iterator[None]:
    yield
    (Path(lock_directory()) / f"{SYSTEM}.lock").unlink(missing_ok=True)


@pytest.fixture
def site(tmp_path: Path) -> t.Iterator[Site]:
    made = Site(tmp_path / "maintenance.flag")
    with made.server:
        yield made


@pytest.fixture
def maintenance(site: Site, run_module_here: t.Any) -> t.Callable[..., dict[str, t.Any]]:
    def run(state: str, *, check: bool = False, verify: t.Any = None, **options: t.Any) -> dict[str, t.Any]:
        arguments: dict[str, t.Any] = {
            "state": state,
            "layers": [site.proxy_layer(), site.app_layer()],
            "verify": {"url": site.url, "timeout": 5, "interval": 0.02, **(verify or {})},
            **options,
        }
        answer = run_module_here("maintenance", arguments, check=check, diff=True, secrets=[ADMIN, BYPASS])
        return t.cast("dict[str, t.Any]", answer)

    return run


def test_maintenance_goes_on_from_the_outside_and_off_from_the_inside(site: Site, maintenance: t.Any) -> None:
    on = maintenance("enabled", release=TOKEN, reason="2.0.0")
    assert on["changed"], on
    assert [proof["what"] for proof in on["proofs"]] == ["maintenance by the outer layers", "maintenance by all layers"]
    assert on["since"] == on["proofs"][0]["since"]
    flag = json.loads(site.flag.read_text())
    assert (flag["release"], flag["reason"]) == ("r-1", "2.0.0")
    assert site.flag.stat().st_mode & 0o777 == 0o644
    assert not maintenance("enabled", release=TOKEN)["changed"]
    told = maintenance("status", release=TOKEN)
    assert (told["maintenance"], told["answering"], told["foreign"]) == ("enabled", "maintenance", {})
    off = maintenance("disabled", release=TOKEN, verify={"version_header": "X-Version", "version": "1.0.0"})
    assert off["changed"]
    assert off["until"] is not None
    assert site.log == ["app True while flag True", "app False while flag True"]
    assert not site.flag.exists()
    again = maintenance("disabled", release=TOKEN)
    assert not again["changed"]
    assert again["until"] is None
    told = maintenance("status")
    assert (told["maintenance"], told["answering"]) == ("disabled", "service")


def test_check_mode_switches_nothing_and_says_what_would(site: Site, maintenance: t.Any) -> None:
    planned = maintenance("enabled", check=True)
    assert planned["changed"]
    assert planned["diff"]["before"] == {"proxy": "disabled", "app": "disabled"}
    assert not site.flag.exists()
    assert not site.app_is_on
    maintenance("enabled")
    planned = maintenance("disabled", check=True)
    assert planned["changed"]
    assert site.flag.exists()
    assert site.app_is_on


def test_an_application_flag_alone_is_refused(site: Site, maintenance: t.Any) -> None:
    refused = maintenance("enabled", layers=[site.app_layer()])
    assert refused["failed"]
    assert "No layer survives the stop of the application" in refused["msg"]
    assert not site.app_is_on
    assert maintenance("enabled", layers=[site.app_layer(survives_stop=False), site.proxy_layer()])["changed"]
    assert site.log[0] == "app True while flag True", "the outer layer comes first, however they are listed"


def test_an_outer_layer_that_users_do_not_meet_is_found_before_the_inner_one_answers_for_it(
    site: Site, maintenance: t.Any, tmp_path: Path
) -> None:
    wrong = site.proxy_layer(path=str(tmp_path / "wrong.flag"))
    failed = maintenance("enabled", layers=[wrong, site.app_layer()], verify={"timeout": 0.3})
    assert failed["failed"]
    assert "Status is 200, expected 503" in failed["msg"]
    assert "Left behind: proxy enabled, app disabled" in failed["msg"]
    assert failed["changed"]
    assert not site.app_is_on


def test_a_503_without_retry_after_does_not_count(site: Site, maintenance: t.Any) -> None:
    site.server.route("/", Answer(503, "down"))
    failed = maintenance("enabled", verify={"timeout": 0.3})
    assert "Retry-After is absent" in failed["msg"]


def test_one_good_answer_among_them_starts_the_count_again(site: Site, maintenance: t.Any) -> None:
    shut = Answer(503, "x", {"Retry-After": "9"})
    site.server.route("/", [shut, shut, Answer(200, "ok"), shut, shut, shut, shut])
    on = maintenance("enabled", layers=[site.proxy_layer()])
    assert on["proofs"][0]["attempts"] == 6


def test_the_bypass_is_proven_with_its_secret_header(site: Site, maintenance: t.Any) -> None:
    header = {"name": "X-Bypass", "value": BYPASS}
    on = maintenance("enabled", bypass_header=header, verify_bypass=True)
    assert on["proofs"][-1]["what"] == "service behind the bypass"
    failed = maintenance(
        "enabled", bypass_header={**header, "value": "wrong"}, verify_bypass=True, verify={"timeout": 0.3}
    )
    assert "Status behind the bypass is 503" in failed["msg"]


@pytest.mark.parametrize("written", ["", "by hand", "[" * 4096, "[1]"])
def test_a_flag_that_cannot_be_read_is_on_and_has_no_owner(site: Site, maintenance: t.Any, written: str) -> None:
    site.flag.write_text(written)
    refused = maintenance("disabled", release=TOKEN)
    assert refused["foreign"] == {"proxy": {}}, refused
    assert site.flag.read_text() == written
    removed = maintenance("disabled", release=TOKEN, force=True)
    assert not removed.get("failed"), removed
    assert not site.flag.exists()


def test_a_flag_of_somebody_else_is_kept_and_not_removed(site: Site, maintenance: t.Any) -> None:
    maintenance("enabled", release=TOKEN, reason="night shift")
    kept = maintenance("enabled")
    assert not kept["changed"]
    assert kept["foreign"]["proxy"]["release"] == "r-1"
    assert "enabled by release r-1" in json.dumps(kept["warnings"])
    assert "it is kept, and not removed without force" in json.dumps(kept["warnings"])
    refused = maintenance("disabled", release=OTHER)
    assert refused["failed"], "the token is newer, and the flag is still not its own"
    assert "was enabled by release r-1" in refused["msg"]
    assert site.flag.exists()
    assert site.app_is_on, "nothing was switched"
    assert maintenance("enabled", release=OTHER, force=True)["changed"]
    assert json.loads(site.flag.read_text())["release"] == "r-2"
    assert maintenance("disabled", release=OTHER)["changed"]


def test_a_release_does_not_begin_behind_maintenance_that_it_may_not_end(site: Site, maintenance: t.Any) -> None:
    """At its end, and at the end of its way back, users would stay shut out."""
    site.flag.write_text("")
    for check in (True, False):
        refused = maintenance("enabled", release=OTHER, check=check)
        assert (refused["error"], refused["changed"]) == ("Refused", False)
        assert (
            f"enabled by somebody outside this release ({site.flag}), so this release could not end it"
            in refused["msg"]
        )
        assert "golive_take_over_maintenance=true" in refused["msg"]
    assert (site.flag.read_text(), site.app_is_on, site.log) == ("", False, []), "nothing was switched"
    taken = maintenance("enabled", release=OTHER, force=True)
    assert taken["changed"]
    assert json.loads(site.flag.read_text())["release"] == "r-2"
    # a second run of the release: its own flag is not foreign
    assert not maintenance("enabled", release=OTHER)["changed"]
    assert maintenance("disabled", release=OTHER)["changed"]


def test_the_way_back_of_a_refused_release_leaves_maintenance_as_it_was_found(site: Site, maintenance: t.Any) -> None:
    site.flag.write_text("")
    assert maintenance("disabled", release=OTHER)["error"] == "Refused"
    kept = maintenance("disabled", release=OTHER, keep_foreign=True)
    assert (kept["changed"], kept["until"], kept["proofs"]) == (False, None, [])
    assert "stays on as it was found" in json.dumps(kept["warnings"])
    assert site.flag.exists()


def test_what_a_release_has_switched_itself_it_does_not_leave_to_others(
    site: Site, maintenance: t.Any, tmp_path: Path
) -> None:
    other = tmp_path / "other.flag"
    layers = [site.proxy_layer(), site.proxy_layer(name="second", path=str(other))]
    maintenance("enabled", release=OTHER, layers=layers)
    other.write_text("by hand")
    refused = maintenance("disabled", release=OTHER, layers=layers, keep_foreign=True)
    assert "Maintenance at second was enabled by somebody outside this release" in refused["msg"]
    assert site.flag.exists()


def test_status_says_what_would_stop_a_release(site: Site, maintenance: t.Any) -> None:
    assert maintenance("status")["obstacles"] == []
    (alone,) = maintenance("status", layers=[site.app_layer()])["obstacles"]
    assert "No layer survives the stop" in alone
    site.server.route("/admin/status", Answer(500, "x"))
    (blind,) = maintenance("status")["obstacles"]
    assert "Layer app: its state was answered with status 500" in blind
    only = [site.proxy_layer()]
    site.app_is_on = True
    (other,) = maintenance("status", layers=only)["obstacles"]
    assert "answered with maintenance already" in other
    site.app_is_on = False
    maintenance("enabled", layers=only)  # of nobody's release: any release that comes is somebody else
    (flagged,) = maintenance("status", layers=only)["obstacles"]
    assert f"({site.flag}), so a release could not end it." in flagged
    assert maintenance("status", layers=only, force=True)["obstacles"] == []
    maintenance("disabled", layers=only)
    maintenance("enabled", layers=only, release=OTHER)
    assert maintenance("status", layers=only, release=OTHER)["obstacles"] == []
    assert len(maintenance("status", layers=only)["obstacles"]) == 1


@pytest.mark.parametrize("content", ["", "[1]", "{not json"])
def test_a_flag_that_a_person_touched_is_foreign(site: Site, maintenance: t.Any, content: str) -> None:
    site.flag.write_text(content)
    refused = maintenance("disabled")
    assert "somebody outside this release" in refused["msg"]
    assert maintenance("disabled", force=True)["changed"]
    assert not site.flag.exists()


def test_the_old_version_behind_the_flag_is_not_the_one_wanted(site: Site, maintenance: t.Any) -> None:
    maintenance("enabled")
    failed = maintenance("disabled", verify={"version_header": "X-Version", "version": "2.0.0", "timeout": 0.3})
    assert failed["failed"]
    assert "Version is 1.0.0, expected 2.0.0" in failed["msg"]
    assert "Left behind: proxy disabled, app disabled" in failed["msg"]


def test_a_wrong_token_is_named_and_the_outer_layer_stays_on(site: Site, maintenance: t.Any) -> None:
    wrong = site.app_layer(bearer="geheim-wrong-1234")
    failed = maintenance("enabled", layers=[site.proxy_layer(), wrong])
    assert "its state was answered with status 401" in failed["msg"]
    assert not site.flag.exists()
    blind = site.app_layer(bearer="geheim-wrong-1234")
    del blind["read"]
    failed = maintenance("enabled", layers=[site.proxy_layer(), blind])
    assert "Layer app answered status 401" in failed["msg"]
    assert "geheim-wrong-1234" not in json.dumps(failed)
    assert failed["layers"] == [
        {"name": "proxy", "state": "enabled", "survives_stop": True},
        {"name": "app", "state": "unknown", "survives_stop": False},
    ]


def test_a_layer_that_accepts_and_does_nothing_is_found(site: Site, maintenance: t.Any) -> None:
    site.server.route("POST /admin/enable", Answer(200, {}))
    assert "accepted the request, and is not enabled" in maintenance("enabled")["msg"]


def test_a_layer_whose_state_cannot_be_told_is_an_error(site: Site, maintenance: t.Any) -> None:
    site.server.route("/admin/status", Answer(200, {"maintenance": {"active": "perhaps"}}))
    assert "has neither state" in maintenance("enabled")["msg"]
    told = maintenance("status")
    assert told["maintenance"] == "mixed"
    assert "has neither state" in told["problems"]["app"]


def test_a_layer_without_a_read_is_always_switched(site: Site, maintenance: t.Any) -> None:
    blind = site.app_layer()
    del blind["read"]
    blind["enable"]["body"] = "plain"
    on = maintenance("enabled", layers=[site.proxy_layer(), blind])
    assert on["changed"]
    assert "could not be proven" in json.dumps(on["warnings"])
    assert site.server.requests[-4].body == b"plain" or any(
        request.body == b"plain" for request in site.server.requests
    )


def test_words_for_the_states_may_be_the_users_own(site: Site, maintenance: t.Any) -> None:
    site.server.route(
        "/admin/status", lambda request: Answer(200, {"modus": "wartung" if site.app_is_on else "betrieb"})
    )
    read = {"url": f"{site.server.url}/admin/status", "path": "$.modus", "enabled": "wartung", "disabled": "betrieb"}
    layers = [site.proxy_layer(), site.app_layer(read=read)]
    assert maintenance("enabled", layers=layers)["changed"]
    assert not maintenance("enabled", layers=layers)["changed"]


def test_no_server_and_a_hanging_server_end_within_the_limit(
    maintenance: t.Any, refused_port: int, hanging_server: HangingServer
) -> None:
    for port, says in ((refused_port, "refused"), (hanging_server.port, "did not answer")):
        slow = {"url": f"http://127.0.0.1:{port}/", "timeout": 1.0, "request_timeout": 0.5}
        assert says in maintenance("enabled", verify=slow, force=True)["msg"]
        assert maintenance("status", verify=slow)["answering"] == "nothing"


def test_a_user_path_over_tls_is_verified(site: Site, maintenance: t.Any, demo_ca: DemoCa, tmp_path: Path) -> None:
    paths = demo_ca.issue().write(tmp_path / "tls")
    with HttpServer({"/": site.user}, tls=demo_ca.issue()) as secure:
        verify = {"url": f"https://localhost:{secure.port}/", "connect_to": f"127.0.0.1:{secure.port}"}
        untrusted = maintenance("enabled", verify={**verify, "timeout": 0.3})
        assert "certificate" in untrusted["msg"].lower()
        assert not maintenance("enabled", verify={**verify, "ca_file": str(paths.ca)}).get("failed")


def test_something_else_on_the_user_path_is_said(site: Site, maintenance: t.Any) -> None:
    site.server.route("/", Answer(404, "nothing here"))
    assert maintenance("status")["answering"] == "other"
    assert maintenance("status", verify=None, layers=[site.proxy_layer()])["maintenance"] == "disabled"


def test_status_needs_no_user_path(site: Site, run_module_here: t.Any) -> None:
    told = run_module_here("maintenance", {"state": "status", "layers": [site.proxy_layer()]})
    assert told["answering"] == "not asked"


def test_bad_options_are_refused_before_anything_is_switched(site: Site, maintenance: t.Any, tmp_path: Path) -> None:
    proxy = site.proxy_layer()
    for options, says in (
        ({"layers": []}, "layers is empty"),
        ({"layers": [proxy, proxy]}, "same name"),
        ({"layers": [site.proxy_layer(path="relative/flag")]}, "is not absolute"),
        ({"layers": [site.proxy_layer(path=str(tmp_path / "none" / "flag"))]}, "does not exist"),
        ({"layers": [{"name": "x", "backend": "file"}]}, "path"),
        ({"layers": [proxy, site.app_layer(enable={"url": site.url, "status": []})]}, "enable.status is empty"),
        (
            {"layers": [site.app_layer(read={"url": site.url, "path": "$.a", "enabled": 1, "disabled": 1})]},
            "are the same",
        ),
        ({"verify": {"consecutive": 0}}, "consecutive is 0"),
        ({"verify": {"status": []}}, "verify.status is empty"),
        ({"verify": {"url": "http://user:geheim-x@localhost/"}}, "user name or password"),
    ):
        answer = maintenance("enabled", **options)
        assert answer["failed"], options
        assert says in answer["msg"], (options, answer["msg"])
    assert not site.flag.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="an unwritable folder needs another user's: run as root")
def test_a_flag_that_cannot_be_written_is_named(site: Site, maintenance: t.Any, tmp_path: Path) -> None:
    site.flag.mkdir()
    failed = maintenance("enabled", layers=[site.proxy_layer()])
    assert "cannot be read" in failed["msg"]
    failed = maintenance("enabled", layers=[site.proxy_layer(path="/proc/self/flag")])
    assert "cannot be changed" in failed["msg"]
