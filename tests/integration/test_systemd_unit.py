# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether systemd itself reads unit files and environment files as we say it does."""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.opsready.golive.plugins.module_utils._clients import systemd_unit
from tests.parts import need_part
from tests.servers import UNPRIVILEGED_UID, runs_as_root

SYSTEMD = Path("/usr/lib/systemd/systemd")
GENERATOR = Path("/usr/lib/systemd/user-environment-generators/30-systemd-environment-d-generator")
LINES = [
    "Environment=A=1 B=2",
    "Environment = A=1",
    'Environment="A=a b" \'B=c "d"\'',
    'Environment=A="x y"z',
    r"Environment=A=\x41\101\sz\u00e4\U0001f600",
    "Environment=A=$B ${C} D=#1",
    "Environment=A=50%% B=5%",
    "Environment=A=1\nEnvironment=A=2",
    "Environment=A=1\nEnvironment=\nEnvironment=B=2",
    "Environment=A=1 \\\n# between\n  ; them\n B=2",
    "Environment=A=",
    "Environment=1A=x A-B=y export C=1",
    "Environment=A=1 'B=2",
    r"Environment=A=1 B=\q C=3",
    "Environment=A=1 B=2\\",
    "Environment=A=1\n[Install]\nEnvironment=A=2",
    "[Unit]\nEnvironment=A=2\n[Service]\nEnvironment=B=1",
    "EnvironmentFile=a.env\nEnvironment=A=1",
]


def test_it_takes_the_same_from_a_units_lines_and_its_drop_ins() -> None:
    need_part("systemd", SYSTEMD.exists())
    need_part("root", runs_as_root(), "systemd takes no test of a unit from root, so another user asks")
    with tempfile.TemporaryDirectory() as root:
        folder = Path(root)
        os.chown(folder, UNPRIVILEGED_UID, UNPRIVILEGED_UID)
        units = [folder / f"x{number}-y.service" for number in range(len(LINES))]
        for unit, lines in zip(units, LINES):
            unit.write_text(f"[Service]\nExecStart=/bin/true\n{lines}\n")
        drop_ins = {"x0-y.service.d/20.conf": "B=3 C=3", "x0-.service.d/20.conf": "D=4", "service.d/30.conf": "B=5 E=5"}
        for place, assigned in drop_ins.items():
            (folder / place).parent.mkdir()
            (folder / place).write_text(f"[Service]\nEnvironment={assigned}\n")
        (folder / "default.target").write_text(f"[Unit]\nWants={' '.join(unit.name for unit in units)}\n")
        told = subprocess.run(
            [str(SYSTEMD), "--user", "--test", "--no-pager"],
            env={"SYSTEMD_UNIT_PATH": root, "XDG_RUNTIME_DIR": root, "LC_ALL": "C.UTF-8"},
            capture_output=True,
            text=True,
            cwd=root,
            user=UNPRIVILEGED_UID,
            group=UNPRIVILEGED_UID,
            extra_groups=[],
            check=False,
        )
        for unit in units:
            dumped = told.stdout.split(f"-> Unit {unit.name}:\n")[1].split("-> Unit ")[0]
            lines = [
                line.partition(": ")[2].rstrip("\n")
                for line in dumped.split("\n\t\t")
                if line.startswith("Environment: ")
            ]
            assert systemd_unit.read(str(unit)).values == dict(line.split("=", 1) for line in lines), unit.read_text()


PIECES = [
    "a",
    " ",
    '"',
    "'",
    "\\",
    '\\"',
    "=",
    "A=",
    "\nB=",
    "\nC= ",
    "#",
    "\n#n\n",
    ";",
    "ä",
    "\\\n",
    "\r\n",
    "`",
    "export D=",
]


def test_it_takes_the_same_from_an_environment_file(tmp_path: Path) -> None:
    """By the generator of environment.d(5), which has the same reader, save that it leaves empty values out."""
    need_part("systemd", GENERATOR.exists())
    folder = tmp_path / "environment.d"
    folder.mkdir()

    @settings(max_examples=100, deadline=None)
    @given(st.lists(st.sampled_from(PIECES), min_size=2, max_size=12))
    def agrees(pieces: list[str]) -> None:
        text = f"{''.join(pieces)}\n"
        read = [(name, value) for _line, name, value in systemd_unit.assignments(text)]
        # A comment that ends in a backslash is read otherwise since 254.
        if re.search(r"(?m)^[ \t]*[#;].*\\\r?$", text) or not all(value for _name, value in read):
            return
        (folder / "a.conf").write_bytes(text.encode())
        told = subprocess.run(
            [str(GENERATOR)], env={"XDG_CONFIG_HOME": str(tmp_path)}, capture_output=True, check=True
        ).stdout.decode()
        names = set(re.findall(r"^([A-D])=", told, re.MULTILINE))
        shown = subprocess.run(
            ["bash", "-c", f'{told}\nfor name in {" ".join(names)}; do printf "%s=%s\\0" "$name" "${{!name}}"; done'],
            capture_output=True,
            check=True,
        ).stdout.decode()
        theirs = dict(entry.split("=", 1) for entry in shown.split("\0") if entry)
        escaped = {name: value.replace("\n", "\\n").replace("\r", "\\r") for name, value in read if name in "ABCD"}
        assert theirs == escaped, text

    agrees()
