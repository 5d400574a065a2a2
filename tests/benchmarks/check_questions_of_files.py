# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Questions of ``check_overhead`` about the host: its files, its programs, its repositories."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import sys
import typing as t
from pathlib import Path

from tests.benchmarks.check_question import Asker, PartMissing, Question, told, written
from tests.git_repository import Repository

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


def of_a_command(unused_directory: Path, unused_stack: contextlib.ExitStack) -> Question:
    return Question({"argv": ["/bin/true"]}, *told("ansible.builtin.command", {"argv": ["/bin/true"]}))


def of_notes(directory: Path, unused_stack: contextlib.ExitStack) -> Question:
    path = written(directory / "NOTES.md", "# Notes\n\n## 2.0.0\n\nNew.\n")
    return Question(
        {"path": path, "version": "2.0.0"},
        *told("ansible.builtin.slurp", {"src": path}, "'## 2.0.0' in answer.content | b64decode"),
    )


def of_settings(directory: Path, unused_stack: contextlib.ExitStack) -> Question:
    path = written(directory / "app.env", "ENVIRONMENT=production\n")
    holds = "'ENVIRONMENT=production' in (answer.content | b64decode).splitlines()"
    return Question(
        {"file": path, "rules": [{"name": "ENVIRONMENT", "kind": "literal", "value": "production"}]},
        *told("ansible.builtin.slurp", {"src": path}, holds),
    )


def of_a_gpu(unused_directory: Path, unused_stack: contextlib.ExitStack) -> Question:
    if shutil.which("nvidia-smi") is None:
        raise PartMissing("there is no nvidia-smi, which comes with NVIDIA's driver alone")
    argv = ["nvidia-smi", "--query-gpu=temperature.gpu", "--format=csv,noheader,nounits"]
    holds = ("answer.stdout_lines | length > 0", "answer.stdout_lines | map('int') | max <= 110")
    return Question({"max_temperature": 110}, *told("ansible.builtin.command", {"argv": argv}, *holds))


def of_the_disk(unused_directory: Path, unused_stack: contextlib.ExitStack) -> Question:
    mounts = "answer.ansible_facts.ansible_mounts"
    return Question(
        {"disk": [{"path": "/", "min_free": "1MB"}]},
        *told(
            "ansible.builtin.setup",
            {"gather_subset": ["!all", "!min", "mounts"]},
            f"({mounts} | selectattr('mount', 'equalto', '/') | first).size_available > 1000000",
        ),
    )


def of_a_workload(directory: Path, unused_stack: contextlib.ExitStack) -> Question:
    path = written(directory / "pod.yml", MANIFEST)
    return Question(
        {"path": path, "workloads": ["Deployment/api"], "min_replicas": 2},
        *told("ansible.builtin.slurp", {"src": path}, "(answer.content | b64decode | from_yaml).spec.replicas >= 2"),
    )


def of_a_log(directory: Path, unused_stack: contextlib.ExitStack) -> Question:
    path = written(directory / "app.log", "2126-01-01T00:00:00Z INFO all is well\n" * 100)
    return Question(
        {"sources": [{"path": path}], "forbidden": [{"pattern": "Traceback"}]},
        *told(
            "ansible.builtin.command",
            {"argv": ["grep", "-c", "Traceback", path]},
            "answer.stdout == '0'",
            failed_when="answer.rc > 1",
        ),
    )


def of_tests(directory: Path, unused_stack: contextlib.ExitStack) -> Question:
    """Of the report that pytest itself wrote."""
    path = directory / "junit.xml"
    tests = written(directory / "test_one.py", "def test_one() -> None:\n    assert 1 + 1 == 2\n")
    run = [sys.executable, "-m", "pytest", "-q", "-c", "/dev/null", "-p", "no:cacheprovider", f"--junit-xml={path}"]
    subprocess.run([*run, tests], check=True, cwd=directory, stdout=subprocess.DEVNULL)
    holds = ("'tests=\"1\"' in report", "'failures=\"0\"' in report", "'errors=\"0\"' in report")
    report = {"report": "{{ answer.content | b64decode }}"}
    read, judged = told("ansible.builtin.slurp", {"src": str(path)}, *holds)
    return Question(
        {"path": str(path), "format": "junit", "unbound": "it was written just now"}, read, {**judged, "vars": report}
    )


def of_secrets(directory: Path, unused_stack: contextlib.ExitStack) -> Question:
    """Asked of the same scanner."""
    tree = Repository(directory / "tree")
    tree.commit("settings.py", 'import os\n\nPASSWORD = os.environ["PASSWORD"]\n')
    argv = [sys.executable, "-m", "detect_secrets", "scan"]
    holds = "not (answer.stdout | from_json).results"
    return Question(
        {"path": str(tree.path)},
        *told("ansible.builtin.command", {"argv": argv, "chdir": str(tree.path)}, holds),
    )


def of_a_tree(directory: Path, unused_stack: contextlib.ExitStack) -> Question:
    tree = Repository(directory / "tree")
    tree.commit("NOTES.md", "# Notes\n")
    argv = ["git", "-C", str(tree.path), "status", "--porcelain"]
    return Question({"path": str(tree.path)}, *told("ansible.builtin.command", {"argv": argv}, "not answer.stdout"))


QUESTIONS: t.Mapping[str, Asker] = {
    "check_command": of_a_command,
    "check_doc": of_notes,
    "check_env": of_settings,
    "check_gpu": of_a_gpu,
    "check_host": of_the_disk,
    "check_k8s": of_a_workload,
    "check_logs": of_a_log,
    "check_report": of_tests,
    "check_secrets": of_secrets,
    "check_vcs": of_a_tree,
}
