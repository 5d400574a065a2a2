# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keys as the stock tools make them, and the stock ``age``, which is what a person has who restores by hand."""

from __future__ import annotations

import dataclasses
import shutil
import subprocess
from pathlib import Path

from tests.parts import need_part


@dataclasses.dataclass(frozen=True)
class AgeKey:
    """An identity's file, its text, and the recipient that belongs to it."""

    path: Path
    identity: str
    recipient: str

    @property
    def secrets(self) -> list[str]:
        """What may not be seen anywhere: each line of the identity that is no comment."""
        return [line for line in self.identity.splitlines() if len(line) > 40 and not line.startswith(("#", "-----"))]

    def decrypted(self, body: bytes) -> bytes:
        return subprocess.run(
            ["age", "-d", "-i", str(self.path)], input=body, capture_output=True, check=True, timeout=60
        ).stdout


def age_key(folder: Path, name: str) -> AgeKey:
    need_part("age", shutil.which("age"), "apt-get install age")
    path = folder / name
    subprocess.run(["age-keygen", "-o", str(path)], capture_output=True, check=True, timeout=60)
    asked = subprocess.run(["age-keygen", "-y", str(path)], capture_output=True, check=True, timeout=60)
    return AgeKey(path, path.read_text(), asked.stdout.decode().strip())


def ssh_key(folder: Path, name: str, *, passphrase: str = "") -> AgeKey:
    need_part("ssh-keygen", shutil.which("ssh-keygen"), "apt-get install openssh-client")
    path = folder / name
    made = ["ssh-keygen", "-q", "-t", "ed25519", "-N", passphrase, "-C", "restore@example.org", "-f", str(path)]
    subprocess.run(made, capture_output=True, check=True, timeout=60)
    return AgeKey(path, path.read_text(), path.with_name(f"{name}.pub").read_text().strip())
