#!/usr/bin/python
# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How long was the system down, for a user?"""

from __future__ import annotations

DOCUMENTATION = r"""
module: downtime_probe
short_description: Measure downtime from outside, through a release and beyond its controller's death
version_added: 1.0.0
author:
  - The opsready.golive authors (@opsready)
description:
  - Starts a small process that asks one URL on a fixed schedule and appends each answer to a file. The schedule waits for no answer, so
    a server that hangs is seen as down for as long as it hangs.
  - The process is detached. It goes on when the play, the controller or the connection dies, since the downtime does, and ends by
    itself after O(max_seconds) or when its file is removed.
  - V(read) and V(stopped) tell the sum of intervals without a good answer of a right version, how exact that is, and how much is
    unknown because samples are missing. They judge it against O(max_downtime), and judge whether maintenance held in each of
    O(maintenance)'s windows, where every answer must be 503 with Retry-After.
  - The task fails when a budget or a window does not hold, or cannot be judged, unless O(enforce=false).
notes:
  - Run it on a host that stays during the release. Inside an execution environment the probe ends with the container.
  - Beside O(path) it keeps C(.lock), C(.py) and, to end it, C(.stop). V(stopped) removes them.
options:
  state:
    description:
      - V(started) makes sure that a probe with these settings writes to O(path).
      - V(read) judges what was recorded so far.
      - V(stopped) ends the probe and judges what was recorded.
    type: str
    choices: [started, read, stopped]
    required: true
  path:
    description: File that the samples are appended to, one JSON object a line. Its folder must exist.
    type: path
    required: true
  url:
    description: What a user asks for. Required with O(state=started).
    type: str
  interval_ms:
    description: Milliseconds from one request to the next, at least 10.
    type: int
    default: 100
  timeout:
    description: Seconds after which a request counts as not answered.
    type: float
    default: 5.0
  max_seconds:
    description: Seconds after which the probe ends by itself.
    type: float
    default: 14400.0
  ca_file:
    description: Certificate authorities, in PEM, to trust instead of the host's own.
    type: path
  connect_to:
    description: Connect to this C(host:port). The name in O(url) is still used for TLS and the C(Host) header.
    type: str
  headers:
    description: Headers of every request. They are no place for a secret, since the probe is to see what a user sees.
    type: dict
    default: {}
  good:
    description: What a good answer is.
    type: dict
    default: {}
    suboptions:
      status:
        description: Good status codes.
        type: list
        elements: int
        default: [200]
      version_header:
        description: Header in which the system names its version. Recorded from O(state=started) on.
        type: str
      versions:
        description: Right versions, where the probe was started with O(good.version_header). An answer of another version, or of none, is not
          a good one. Without a list every version is right.
        type: list
        elements: str
        default: []
  since:
    description: Begin of the window to judge, such as V(2026-11-22T01:02:03Z). By default the recording's begin.
    type: str
  until:
    description: End of the window to judge. By default the recording's end, or now while the probe runs.
    type: str
  from_last_start:
    description:
      - Judge only from where the probe was last started on, or from the start before it where maintenance was on meanwhile.
      - A release that is taken back days later is measured once more into the same recording. This tells the second window alone.
    type: bool
    default: false
  maintenance:
    description: Windows in which maintenance was on and proven. In them every answer must be 503 with Retry-After.
    type: list
    elements: dict
    default: []
    suboptions:
      since:
        description: When maintenance was proven.
        type: str
        required: true
      until:
        description: When it was asked to end. By default the end of the judged window.
        type: str
  clock_tolerance:
    description: Seconds cut off both ends of each window of O(maintenance), where its times come from another host's clock.
    type: float
    default: 0.0
  gap_after:
    description:
      - Samples further apart than this many seconds leave a gap, in which nothing is known.
      - By default five intervals, but at least three seconds. A shorter pause makes the resolution coarser, and the bounds of the downtime wider.
    type: float
  max_downtime:
    description: The budget in seconds. The longest downtime that the samples allow is compared with it.
    type: float
  enforce:
    description: Fail the task when the budget or maintenance did not hold, or cannot be judged.
    type: bool
    default: true
extends_documentation_fragment:
  - opsready.golive.attributes
  - opsready.golive.release
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
  idempotent:
    support: full
  action:
    support: full
seealso:
  - module: opsready.golive.maintenance
"""

EXAMPLES = r"""
- name: Measure from now on what a user sees
  opsready.golive.downtime_probe:
    state: started
    path: /var/lib/opsready/archive/probe.jsonl
    url: https://archive.example.org/api/v1/health
    good:
      version_header: X-Archive-Version

- name: End it, and judge
  opsready.golive.downtime_probe:
    state: stopped
    path: /var/lib/opsready/archive/probe.jsonl
    good:
      versions: ["1.9.0", "2.0.0"]
    maintenance:
      - since: "2026-11-22T01:02:03.120Z"
        until: "2026-11-22T01:02:41.480Z"
    max_downtime: 60
"""

RETURN = r"""
running:
  description: Whether the probe runs when the module ends.
  returned: always
  type: bool
pid:
  description: The probe's process.
  returned: while it runs
  type: int
recording:
  description: The file that holds the samples.
  returned: always
  type: str
first_answer:
  description: What the first request came back with.
  returned: when a probe was started
  type: str
  sample: "200"
ended_by:
  description: Why the probe ended, V(stop file), V(signal), V(deadline), V(output removed) or V(killed). Empty while it runs.
  returned: with O(state=read) and O(state=stopped)
  type: str
worst_skew_ms:
  description: How far behind its schedule the probe was at worst, in milliseconds.
  returned: with O(state=read) and O(state=stopped)
  type: float
unreadable_lines:
  description: Lines of the recording that are torn.
  returned: with O(state=read) and O(state=stopped)
  type: int
downtime:
  description:
    - C(seconds) is the sum of the C(intervals), each with what was answered in it. C(at_least_seconds) and C(at_most_seconds) are its bounds,
      since the true ends lie between two samples. C(resolution_seconds) is the largest step between two samples that are no gap.
    - C(unknown_seconds) is the sum of the C(gaps). C(maintenance) holds the violations in the windows of O(maintenance).
    - C(p50_ms), C(p95_ms) and C(max_ms) are of answered requests. C(versions) counts samples by version.
  returned: with O(state=read) and O(state=stopped)
  type: dict
  sample:
    seconds: 3.9
    at_least_seconds: 3.8
    at_most_seconds: 4.0
    unknown_seconds: 0.0
    resolution_seconds: 0.104
finding:
  description: Status (V(pass), V(warn), V(unknown) or V(fail)), summary, expected, measured and remedy.
  returned: with O(state=read) and O(state=stopped)
  type: dict
"""

from ansible_collections.opsready.golive.plugins.module_utils._actions.downtime_probe import (
    ARGUMENT_SPEC,
    CONSTRAINTS,
    body,
)
from ansible_collections.opsready.golive.plugins.module_utils._core.guard import run_module


def main():
    run_module(ARGUMENT_SPEC, body, **CONSTRAINTS)


if __name__ == "__main__":
    main()
