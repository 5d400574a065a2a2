#!/usr/bin/python
# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Are the GPUs of this host all there, alive and fit for the work?"""

from __future__ import annotations

DOCUMENTATION = r"""
module: check_gpu
short_description: Judge the NVIDIA GPUs of a host
version_added: 1.0.0
author:
  - The opsready.golive authors (@opsready)
description:
  - Asks NVML, which comes with NVIDIA's driver, in a child process that is killed at the time limit, since NVML never returns from a GPU
    that fell off its bus. What was answered before that is judged, the rest is V(unknown).
  - At least one GPU must be there and alive. A GPU that NVML calls lost fails, and so does one that is on the PCI bus and that NVML does not
    show, unless O(count) or O(devices) says which are meant. Where the bus cannot be read, only NVML is asked. Further criteria are judged
    where they are asked for; the rest of what NVML tells is evidence.
  - Where a GPU tells it, two more are judged unasked. At the temperature at which it slows itself down it fails, and from 5 K below a warning
    begins. A PCIe link of fewer lanes than the GPU and its slot have together is a warning. The link's generation is not judged, since it
    goes down when nothing is to do.
  - Where both tell their version, a driver in the kernel that is of another version than the library fails. An update leaves them so until the
    driver is loaded anew, and no new program can use a GPU meanwhile.
  - A host without NVML, or whose driver is not loaded, is V(unknown). So is each criterion that is asked for and that the driver is too old
    for, or that the model does not measure, as most consumer cards have no ECC. What is not asked for and not told stands in the evidence.
  - It sees what the host sees. Whether a container is handed its GPUs is another question, to be asked inside the container.
extends_documentation_fragment:
  - opsready.golive.check
  - opsready.golive.attributes
requirements:
  - nvidia-ml-py >= 12.535.108, on the host that runs the module
options:
  count:
    description:
      - How many GPUs there must be, exactly. Others on the PCI bus that NVML does not show are not judged then, such as those that a container is not
        handed.
    type: int
  min_count:
    description:
      - How many GPUs there must be at least, beside all that are on the PCI bus and not handed to a guest by C(vfio-pci). It cannot be less
        than 1. It means nothing beside O(count).
    type: int
    default: 1
  devices:
    description: GPUs to judge, by index or UUID. Without it, all. They must be there.
    type: list
    elements: str
  name:
    description: Regular expression that the name of each must match, such as V(RTX 4080).
    type: str
  min_driver:
    description: Oldest driver, such as V(535.104).
    type: str
  min_cuda:
    description: Oldest CUDA version that the driver must be able to run, in quotes, such as V("12.2"). It is not that of an installed toolkit.
    type: str
  persistence:
    description:
      - With V(required), persistence mode that is off is a warning, since the driver then lets go of a GPU that nobody uses.
    type: str
    choices: [required, any]
    default: any
  mig:
    description:
      - Whether each must be partitioned (Multi-Instance GPU, MIG), or must not be. A mode that ends with the next reset is a warning.
    type: str
    choices: [enabled, disabled, any]
    default: any
  mig_instances:
    description:
      - The profiles of the MIG devices that each must have, such as V(1g.10gb), each as often as it is wanted, and no others.
      - The mode outlives a reboot, the devices do not.
    type: list
    elements: str
  min_nvlinks:
    description:
      - How many NVLink links of each must be active at least, such as V(4) for a bridge. V(nvlink) of O(no_errors) demands all that it has.
    type: int
  min_memory_total:
    description:
      - Smallest memory of each, such as V(16GB) (10^9 bytes each) or V(15GiB) (2^30 each).
      - A card that is sold as 16 GB has a little less than V(16GiB).
    type: str
  min_memory_free:
    description: Least free memory of each, such as V(13.6GB).
    type: str
  max_memory_used_percent:
    description: Largest share of its memory that may be in use, in per cent.
    type: float
  memory_limit:
    description: How much memory the application is told to use, such as V(13.6GB). It is compared with each GPU's total.
    type: str
  max_memory_limit_percent:
    description: Largest share of the memory that O(memory_limit) may be, in per cent.
    type: float
    default: 100.0
  max_temperature:
    description: Highest temperature in °C.
    type: float
  max_utilization_percent:
    description: Highest utilisation in per cent, such as V(5) before a deploy.
    type: float
  max_power_watts:
    description: Highest power draw in watts.
    type: float
  min_power_limit_watts:
    description: Lowest power limit in watts; somebody may have lowered it.
    type: float
  no_errors:
    description:
      - Which errors fail.
      - V(ecc) is any uncorrected ECC error since the driver was loaded, V(retired_pages) pages that wait for a reboot to be retired,
        V(row_remap) a row that waits to be remapped or could not be, V(recovery) an action that the driver asks for, V(throttle) clocks
        that are held down by heat or power supply, V(nvlink) an NVLink link that is not active, V(fabric) a GPU that has not joined the fabric of
        its NVSwitches or has with a fault, and V(xid) an error that the driver wrote into the kernel's log.
      - V(xid) needs the right to read C(/dev/kmsg). Each is told with the immediate action of NVIDIA's list of Xid errors for Ampere and newer
        GPUs, and with V(unknown Xid) where that has none. One for which there is nothing to do is a warning.
    type: list
    elements: str
    choices: [ecc, retired_pages, row_remap, recovery, throttle, nvlink, fabric, xid]
  xid_within:
    description:
      - How far back an Xid error matters, such as V(24h). Without it, since the host was started.
      - The kernel's log is a ring. Where it reaches back less far and holds none, that is V(unknown).
    type: str
  ignored_xids:
    description: Numbers of Xid errors that do not matter, such as V(13) and V(31), which applications cause.
    type: list
    elements: int
    default: []
  allowed_processes:
    description:
      - Regular expressions of programs that may use a GPU, matched with C(/proc/PID/comm). Any other fails. A process whose name is not
        seen from here, since it is of another container, is V(unknown).
    type: list
    elements: str
  required_processes:
    description: Regular expressions of programs, each of which must be using each GPU.
    type: list
    elements: str
  watch:
    description:
      - For how long to look, such as V(60s); twice a second. Memory, temperature, utilisation, power, slowdown and processes are then
        judged by the worst of that time. It must be less than O(timeout).
    type: str
"""

EXAMPLES = r"""
- name: The GPU is there and without errors
  opsready.golive.check_gpu:
    count: 1
    name: RTX 4080
    min_driver: "535"
    min_cuda: "12.2"
    min_memory_total: 16GB
    max_temperature: 80
    no_errors: [throttle, xid]
    xid_within: 24h

- name: The memory limit of the application leaves room
  opsready.golive.check_gpu:
    memory_limit: 13.6GB
    max_memory_limit_percent: 85

- name: The GPUs of an NVSwitch host are joined, and none is partitioned
  opsready.golive.check_gpu:
    mig: disabled
    no_errors: [nvlink, fabric, recovery]

- name: A job keeps to its memory
  opsready.golive.check_gpu:
    watch: 2s
    max_memory_used_percent: 85
    required_processes: [celery]
    timeout: 20
"""

RETURN = r"""
msg:
  description: The summary of the finding.
  returned: always
  type: str
finding:
  description: What was found. RV(finding.status) is V(pass), V(warn), V(unknown) or V(fail).
  returned: always
  type: dict
  contains:
    status:
      description: The worst status of all criteria; V(unknown) when nothing could be judged.
      type: str
      sample: fail
    summary:
      description: One sentence that names every criterion that did not pass.
      type: str
      sample: "Number of GPUs is 1, expected 2; GPU 0 row remapping is pending, expected none pending."
    expected:
      description: What was expected, by criterion.
      type: dict
    measured:
      description: What was measured, by criterion.
      type: dict
    evidence:
      description:
        - The driver, NVML's own and the loaded one; of each GPU all that NVML tells, and as C(not_known) why it does not tell the rest.
        - The Xid errors, each with what it asks for; the GPUs on the PCI bus.
      type: dict
    remedy:
      description: What to do.
      type: str
    check:
      description: Name of the check.
      type: str
      sample: check_gpu
    started:
      description: When the check began, in UTC.
      type: str
    seconds:
      description: How long it took.
      type: float
"""

from ansible_collections.opsready.golive.plugins.module_utils._checks import check_gpu
from ansible_collections.opsready.golive.plugins.module_utils._checks.judging import main_of


def main() -> None:
    main_of(check_gpu)


if __name__ == "__main__":
    main()
