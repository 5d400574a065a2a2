# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each check alone, in a task of its own, against the same question asked with stock modules and ``assert``: one row for each.

Only for checks whose question, or the simplest part of it, stock modules can ask. The peer has the environment that
``backup_peer_stock`` makes. Reported, without a bar: a checklist pays for its task once, whatever it holds.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import tempfile
import typing as t
from pathlib import Path

from tests.benchmarks.backup_peer_stock import environment
from tests.benchmarks.backup_site import rounds
from tests.benchmarks.playbook_timing import Playbooks, Task, play, quick_http
from tests.servers import DemoCa, Postgres, Redis, TlsServer

MANIFEST = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: api}
spec:
  replicas: 2
  template:
    spec:
      containers:
        - {name: api, image: "api:1", livenessProbe: {httpGet: {path: /health, port: 8000}}}
"""


class Question:
    """What a check is asked, and the stock tasks that ask the same."""

    def __init__(self, options: dict[str, t.Any], *stock: Task) -> None:
        self.options, self.stock = options, list(stock)


def told(module: str, options: t.Any, *that: str) -> tuple[Task, ...]:
    """A stock task and what has to hold of its answer."""
    asked: Task = {"name": module, module: options, "register": "answer"}
    if module.endswith(".command"):
        asked["changed_when"] = False
    return (asked, {"name": "It holds", "ansible.builtin.assert": {"that": list(that)}}) if that else (asked,)


def questions(directory: Path, stack: contextlib.ExitStack) -> dict[str, Question]:
    """By check."""
    web = stack.enter_context(quick_http())
    postgres = stack.enter_context(Postgres())
    redis = stack.enter_context(Redis())
    authority = DemoCa()
    tls = stack.enter_context(TlsServer(authority.issue(days=90)))
    for name, text in (("app.env", "ENVIRONMENT=production\n"), ("NOTES.md", "# Notes\n\n## 2.0.0\n\nNew.\n"), ("pod.yml", MANIFEST),
                       ("app.log", "2126-01-01T00:00:00Z INFO all is well\n" * 100), ("ca.pem", authority.pem)):  # fmt: skip
        (directory / name).write_text(text, encoding="utf-8")
        (directory / name).chmod(0o600)
    subprocess.run(["git", "init", "--quiet", str(directory / "tree")], check=True)
    identity = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
    subprocess.run(
        ["git", "-C", str(directory / "tree"), *identity, "commit", "-q", "--allow-empty", "-m", "a"], check=True
    )
    port = {"host": "127.0.0.1", "port": web.port}
    return {
        "check_command": Question(
            {"argv": ["/bin/true"]}, *told("ansible.builtin.command", {"argv": ["/bin/true"]})
        ),
        "check_doc": Question(
            {"path": str(directory / "NOTES.md"), "version": "2.0.0"},
            *told("ansible.builtin.slurp", {"src": str(directory / "NOTES.md")}, "'## 2.0.0' in answer.content | b64decode"),
        ),
        "check_env": Question(
            {"file": str(directory / "app.env"), "rules": [{"name": "ENVIRONMENT", "kind": "literal", "value": "production"}]},
            *told(
                "ansible.builtin.slurp",
                {"src": str(directory / "app.env")},
                "'ENVIRONMENT=production' in (answer.content | b64decode).splitlines()",
            ),
        ),
        "check_host": Question(
            {"disk": [{"path": "/", "min_free": "1MB"}]},
            *told(
                "ansible.builtin.setup",
                {"gather_subset": ["!all", "!min", "mounts"]},
                "(answer.ansible_facts.ansible_mounts | selectattr('mount', 'equalto', '/') | first).size_available > 1000000",
            ),
        ),
        "check_http": Question({"url": web.url}, *told("ansible.builtin.uri", {"url": web.url})),
        "check_k8s": Question(
            {"path": str(directory / "pod.yml"), "workloads": ["Deployment/api"], "min_replicas": 2},
            *told(
                "ansible.builtin.slurp",
                {"src": str(directory / "pod.yml")},
                "(answer.content | b64decode | from_yaml).spec.replicas >= 2",
            ),
        ),
        "check_logs": Question(
            {"sources": [{"path": str(directory / "app.log")}], "forbidden": [{"pattern": "Traceback"}]},
            *told("ansible.builtin.command", {"argv": ["grep", "-c", "INFO", str(directory / "app.log")]}, "answer.stdout | int > 0"),
        ),
        "check_net": Question(
            {"ports": [{"host": "127.0.0.1", "ports": [web.port]}]}, *told("ansible.builtin.wait_for", {**port, "timeout": 5})
        ),
        "check_postgres": Question(
            {"dsn": postgres.dsn("postgres", password=None), "password": postgres.password, "recovery": "primary"},
            *told(
                "community.postgresql.postgresql_query",
                {"login_host": postgres.host, "login_port": postgres.port, "login_user": postgres.user,
                 "login_password": postgres.password, "login_db": "postgres", "query": "select pg_is_in_recovery() as standby"},
                "not answer.query_result[0].standby",
            ),
        ),
        "check_redis": Question(
            {"url": f"redis://127.0.0.1:{redis.port}/0", "use": "cache"},
            *told(
                "community.general.redis_info", {"login_host": "127.0.0.1", "login_port": redis.port}, "answer.info.role == 'master'"
            ),
        ),
        "check_tls": Question(
            {"endpoints": [{"host": "127.0.0.1", "port": tls.port}], "ca_file": str(directory / "ca.pem")},
            *told(
                "community.crypto.get_certificate",
                {"host": "127.0.0.1", "port": tls.port, "ca_cert": str(directory / "ca.pem")},
                "not answer.expired",
            ),
        ),
        "check_vcs": Question(
            {"path": str(directory / "tree")},
            *told("ansible.builtin.command", {"argv": ["git", "-C", str(directory / "tree"), "status", "--porcelain"]}, "not answer.stdout"),
        ),
    }  # fmt: skip


def run() -> list[dict[str, t.Any]]:
    made = environment()
    with tempfile.TemporaryDirectory(prefix="golive-bench-") as folder, contextlib.ExitStack() as stack:
        ours, peer = Playbooks(Path(folder)), Playbooks(Path(folder))
        peer.environment["PATH"] = os.pathsep.join([str(made / "bin"), os.environ.get("PATH", os.defpath)])
        return [_row(ours, peer, name, asked) for name, asked in questions(Path(folder), stack).items()]


def _row(playbooks: Playbooks, stock: Playbooks, name: str, asked: Question) -> dict[str, t.Any]:
    task = {"name": name, f"opsready.golive.{name}": asked.options, "register": "answer"}
    passed = {"name": "It passed", "ansible.builtin.assert": {"that": ["answer.finding.status == 'pass'"]}}
    playbooks.seconds([play([task, passed])])
    ours = peer = float("inf")
    for unused_round in range(rounds(3)):  # in turns, so that a busy machine is busy for both
        ours = min(ours, playbooks.seconds([play([task])]))
        peer = min(peer, stock.seconds([play(asked.stock)]))
    return {
        "name": f"check_overhead: {name}",
        "ours": round(ours, 3),
        "peer": round(peer, 3),
        "ratio": round(peer / ours, 2),
        "bar": None,
        "holds": None,
        "unit": f"s for a playbook with {name} alone; peer: {', '.join(step['name'] for step in asked.stock)}; ratio: peer / ours",
    }
