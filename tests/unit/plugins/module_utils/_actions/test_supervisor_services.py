# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a process ended, from supervisord's log; and which addresses are taken for a local supervisord."""

from __future__ import annotations

import pytest

from ansible_collections.opsready.golive.plugins.module_utils._actions.service_managers import ServiceStatus
from ansible_collections.opsready.golive.plugins.module_utils._actions.services import bad_exit
from ansible_collections.opsready.golive.plugins.module_utils._actions.supervisor_services import (
    Address,
    SupervisorServices,
    signal_in_log,
)
from ansible_collections.opsready.golive.plugins.module_utils._core.clock import Deadline
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import BadInput

LOG = """
2026-11-22 01:00:00,000 INFO spawned: 'worker' with pid 10
2026-11-22 01:00:01,000 INFO stopped: worker (terminated by SIGTERM)
2026-11-22 01:00:02,000 INFO spawned: 'worker' with pid 11
2026-11-22 01:00:12,000 WARN killing 'worker' (11) with SIGKILL
2026-11-22 01:00:12,001 WARN stopped: worker (terminated by SIGKILL)
2026-11-22 01:00:13,000 INFO stopped: work (exit status 0)
"""


def test_the_last_end_of_a_process_is_read() -> None:
    assert signal_in_log(LOG, "worker") == "SIGKILL"
    assert signal_in_log(LOG, "work") == "exit status 0"
    assert signal_in_log(LOG, "backend") is None


def test_an_end_before_the_last_start_says_nothing() -> None:
    assert signal_in_log(LOG + "2026 INFO spawned: 'worker' with pid 12\n", "worker") is None


def test_a_crash_is_read_too() -> None:
    assert (
        signal_in_log("x WARN exited: worker (terminated by SIGSEGV (core dumped); not expected)", "worker")
        == "SIGSEGV"
    )


@pytest.mark.parametrize(
    ("status", "says"),
    [
        (ServiceStatus("w", "stopped", exit_code=0), ""),
        (ServiceStatus("w", "stopped", exit_signal="SIGTERM"), ""),
        (ServiceStatus("w", "stopped", exit_code=143), ""),
        (ServiceStatus("w", "stopped", exit_signal="SIGKILL"), "was killed (SIGKILL)"),
        (ServiceStatus("w", "stopped", exit_code=137), "was killed (137)"),
        (ServiceStatus("w", "stopped"), "how it ended cannot be told"),
        (ServiceStatus("w", "stopped", exit_code=1), "ended with 1, expected 0 or 143 or SIGTERM"),
    ],
)
def test_only_an_end_that_is_known_and_good_passes(status: ServiceStatus, says: str) -> None:
    sentence = bad_exit(status, ["0", "143", "SIGTERM"])
    assert (says in sentence) if says else sentence == ""


def test_being_killed_is_a_failure_even_where_it_is_allowed() -> None:
    assert "was killed" in bad_exit(ServiceStatus("w", "stopped", exit_code=137), ["137"])


@pytest.mark.parametrize(
    "server", ["unix:///run/s.sock", "http://127.0.0.1:9001", "http://localhost:9001", "http://[::1]:1"]
)
def test_local_addresses_are_taken(server: str) -> None:
    assert Address.parse(server).text == server


@pytest.mark.parametrize(
    "server",
    [
        "unix://",
        "unix://relative",
        "http://10.0.0.1:9001",
        "https://127.0.0.1:9001",
        "http://127.0.0.1",
        "http://127.0.0.1:notaport",
        "http://user:geheim@127.0.0.1:9001",
        "/run/s.sock",
    ],
)
def test_other_addresses_are_refused_without_their_password(server: str) -> None:
    with pytest.raises(BadInput) as refused:
        Address.parse(server)
    assert "geheim" not in str(refused.value)


def test_without_an_artefact_there_is_no_version_to_pull_or_restore() -> None:
    manager = SupervisorServices({"server": "unix:///run/s.sock"}, None)
    assert manager.deployed().version is None
    assert manager.selected_at() is None
    assert manager.snapshot() == {}
    manager.restore({})
    with pytest.raises(BadInput, match="give artefact"):
        manager.pull(check_mode=True, deadline=Deadline(1))
