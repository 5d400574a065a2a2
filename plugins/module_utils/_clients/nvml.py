# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What NVIDIA's driver and the kernel tell of the GPUs of this host."""

from __future__ import annotations

import contextlib
import dataclasses
import inspect
import json
import os
import re
import sys
import typing as t

from ansible_collections.opsready.golive.plugins.module_utils._clients import nvml_reading
from ansible_collections.opsready.golive.plugins.module_utils._core.bounded_command import run_bounded
from ansible_collections.opsready.golive.plugins.module_utils._core.clock import Deadline
from ansible_collections.opsready.golive.plugins.module_utils._core.command import failure_of
from ansible_collections.opsready.golive.plugins.module_utils._core.deps import require
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import (
    Denied,
    GoliveError,
    MissingLibrary,
    TimedOut,
    UnexpectedAnswer,
    Unreachable,
)

KERNEL_LOG = "/dev/kmsg"
PCI_DEVICES = "/sys/bus/pci/devices"
KERNEL_DRIVER = "/proc/driver/nvidia/version"
_MOST_BYTES = 4 * 1024 * 1024
_RECORD = re.compile(r"\d+,(\d+),(\d+),[^;]*;(.*)")
_XID = re.compile(r"NVRM: Xid \((?:PCI:)?([0-9A-Fa-f:.]+)\): (\d+)(?:, *(.*))?")
_MOST_TOLD = 200
#: ``NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  570.86.15  Release Build …``
_LOADED_VERSION = re.compile(r"^NVRM version:.*?\s(\d+(?:\.\d+)+)(?:\s|$)", re.MULTILINE)


@dataclasses.dataclass(frozen=True)
class Gpu:
    """One GPU: facts by name, and why others are not known. With a watch, the worst that was seen over its time."""

    index: int
    facts: t.Mapping[str, t.Any]
    #: By fact, NVML's reason: ``NotSupported``, ``FunctionNotFound``, ``GpuIsLost``, …
    problems: t.Mapping[str, str]
    #: How often it was looked at while it was watched.
    looks: int = 0

    @property
    def is_lost(self) -> bool:
        return "GpuIsLost" in self.problems.values()


@dataclasses.dataclass(frozen=True)
class Reading:
    """What NVML told; ``is_whole`` is false where it stopped answering before the end."""

    driver: str | None
    cuda: int | None
    count: int | None
    gpus: tuple[Gpu, ...]
    is_whole: bool
    #: The driver that the library is of, which is not always the one that is loaded.
    nvml_version: str | None = None


@dataclasses.dataclass(frozen=True)
class Xid:
    """An error that the driver wrote into the kernel's log."""

    number: int
    pci: str
    seconds_ago: float
    #: What the driver said beside the number.
    told: str = ""


@dataclasses.dataclass(frozen=True)
class KernelLog:
    """The driver's errors in the kernel's log, which is a ring: ``reaches_back_seconds`` is None where it is whole."""

    xids: tuple[Xid, ...]
    reaches_back_seconds: float | None


def read(*, watch_seconds: float, deadline: Deadline) -> Reading:
    """Ask NVML in a child that is killed at the deadline.

    Raises MissingLibrary, Unreachable (no driver), UnexpectedAnswer, and TimedOut. What was told by then, where that was anything,
    is ``reading`` of their ``known``.
    """
    folder = os.path.dirname(os.path.abspath(str(require("pynvml").__file__)))
    program = inspect.getsource(nvml_reading)
    argv = [sys.executable, "-I", "-S", "-c", program, folder, str(watch_seconds)]
    try:
        ran = run_bounded(argv, deadline=deadline, max_bytes=_MOST_BYTES)
    except TimedOut as problem:
        reading = _reading(problem.known["stdout"])
        raise TimedOut(
            f"NVML did not answer within {deadline.seconds:g} s.",
            remedy="A GPU that fell off its bus hangs like this: look for Xid in dmesg. Without persistence mode, the first "
            "question to a GPU may take some seconds.",
            known={"reading": reading} if reading.count is not None else {},
        ) from None
    if ran.returncode:
        raise UnexpectedAnswer(f"NVML could not be asked: {failure_of('Its process', ran.returncode, ran.stderr.text)}")
    return _reading(ran.stdout.text)


def _reading(text: str) -> Reading:
    host: dict[str, t.Any] = {}
    gpus: dict[int, Gpu] = {}
    is_whole = False
    for line in text.splitlines():
        with contextlib.suppress(ValueError):  # the last line of a killed child may be half of one
            told = json.loads(line)
            if "refused" in told:
                raise _refusal(told["refused"], told.get("library"))
            if "host" in told:
                host = told["host"]
            elif "gpu" in told:
                gpus[told["gpu"]] = Gpu(told["gpu"], told["facts"], told["problems"])
            elif "watched" in told:
                gpu = gpus[told["watched"]]
                watched = {**gpu.facts, **told["facts"]}
                gpus[gpu.index] = Gpu(gpu.index, watched, {**gpu.problems, **told["problems"]}, told["looks"])
            is_whole = is_whole or "end" in told
    return Reading(
        host.get("driver"), host.get("cuda"), host.get("count"), tuple(gpus.values()), is_whole, host.get("library")
    )


def _refusal(reason: str, library: str | None) -> GoliveError:
    host = os.uname().nodename
    if reason == "LibraryNotFound":
        return MissingLibrary(
            f"NVML (libnvidia-ml.so.1) is not on {host}, so nothing is known of its GPUs.",
            remedy="Install NVIDIA's driver; in a container, start it with its GPUs.",
        )
    if reason == "DriverNotLoaded":
        return Unreachable(
            f"NVIDIA's driver is not loaded on {host}.",
            remedy="See modprobe nvidia and dmesg; a new kernel needs it anew.",
        )
    if reason == "LibRmVersionMismatch":
        return Unreachable(
            f"NVML and the loaded driver of {host} are of different versions.",
            remedy="The driver was updated and not loaded: reboot.",
            known={"reading": Reading(None, None, None, (), False, library)},
        )
    return UnexpectedAnswer(f"NVML does not start on {host}: {reason}.")


def pci_gpus(devices: str | None = None) -> int | None:
    """NVIDIA's display controllers on the PCI bus, in a container those of its host; None where it cannot be read.

    One that vfio-pci holds is a guest's, and none of this host's.
    """
    folder = devices or PCI_DEVICES
    try:
        names = os.listdir(folder)
    except OSError:
        return None
    found = 0
    for name in names:
        with contextlib.suppress(OSError):
            with open(f"{folder}/{name}/vendor", encoding="ascii") as stream:
                vendor = stream.read().strip()
            with open(f"{folder}/{name}/class", encoding="ascii") as stream:
                is_gpu = vendor == "0x10de" and stream.read().startswith("0x03")
            found += is_gpu and os.path.basename(os.path.realpath(f"{folder}/{name}/driver")) != "vfio-pci"
    return found


def kernel_driver(path: str | None = None) -> str | None:
    """The version of the driver that the kernel has loaded; None where that cannot be read."""
    try:
        with open(path or KERNEL_DRIVER, encoding="utf-8", errors="replace") as stream:
            found = _LOADED_VERSION.search(stream.read(4096))
    except OSError:
        return None
    return found[1] if found else None


def kernel_log(path: str | None = None, *, now: float) -> KernelLog:
    """The driver's errors since the host started, as far back as the kernel's log goes. Raises Denied, Unreachable.

    ``now`` is the monotonic clock's, whose zero is the kernel's.
    """
    source = path or KERNEL_LOG
    try:
        descriptor = os.open(source, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except PermissionError:
        raise Denied(f"{source} may not be read by user id {os.geteuid()}.", remedy="Run this item with become: true.")
    except OSError as problem:
        raise Unreachable(f"{source} cannot be read: {problem.strerror}.")
    pieces: list[bytes] = []
    try:
        while True:
            try:
                piece = os.read(descriptor, 16384)
            except BrokenPipeError:  # the ring overwrote what would have come next
                continue
            except BlockingIOError:
                break
            if not piece:
                break
            pieces.append(piece)
    except OSError as problem:
        raise Unreachable(f"{source} cannot be read: {problem.strerror}.")
    finally:
        os.close(descriptor)
    records = [
        match for line in b"".join(pieces).decode("utf-8", "replace").splitlines() if (match := _RECORD.match(line))
    ]
    xids = tuple(
        Xid(int(found[2]), found[1], max(0.0, now - int(record[2]) / 1e6), (found[3] or "")[:_MOST_TOLD])
        for record in records
        if (found := _XID.search(record[3]))
    )
    if not records:
        raise Unreachable(f"{source} holds no record.")
    is_from_start = int(records[0][1]) == 0
    return KernelLog(xids, None if is_from_start else max(0.0, now - int(records[0][2]) / 1e6))
