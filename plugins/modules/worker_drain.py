#!/usr/bin/python
# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Can these Celery workers be stopped without losing a task, and was none lost?"""

from __future__ import annotations

DOCUMENTATION = r"""
module: worker_drain
short_description: Quiet, drain and resume Celery workers on Redis, with a ledger that must balance
version_added: 1.0.0
author:
  - The opsready.golive authors (@opsready)
description:
  - Speaks Celery's remote control over Redis by itself. Neither the application nor Celery is needed on the host.
  - Redis tells how many workers received a question, so an answer that does not come is seen. A worker that does not
    answer is never taken for an idle one, and the module fails.
  - The ledger is a list of message ids in the broker itself, so that it outlives the controller. It names every message
    that waited, ran, or was scheduled when the workers were drained. The broker forgets it 30 days after workers consume
    again and after V(settled), and never while a message is parked, a loss is not accepted, or a worker is quiet.
  - Stopping and starting workers is left to the process manager, whose exit code belongs to the proof.
  - Celery 5.3 to 5.7 with the C(redis) transport. Redis Cluster and Sentinel are not supported by this module.
extends_documentation_fragment:
  - opsready.golive.redis
  - opsready.golive.release
  - opsready.golive.attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
  idempotent:
    support: full
options:
  state:
    description:
      - V(status) reads workers, queues, what waits and what could go wrong at a stop.
      - V(quieted) cancels every consumer of every worker, and proves that no worker takes a message.
      - V(drained) is V(quieted), waits until nothing is running or reserved, and writes the ledger. Scheduled tasks are
        kept and never waited for.
      - V(parked), after the workers were stopped, moves every waiting message aside in one step per queue, in order, and
        takes back what workers held unacknowledged. A worker that starts now finds nothing.
      - V(resumed) waits for workers, puts what was parked back in its order, and lets workers consume again. Messages
        whose task no worker knows stay parked, and are named.
      - V(settled) compares the ledger with the world, and fails when a message is lost. It needs a ledger whose last state
        came to its end.
      - V(forgotten) deletes the ledger, when nothing is parked or lost.
    type: str
    choices: [status, quieted, drained, parked, resumed, settled, forgotten]
    default: status
  queues:
    description: Queues of the application. Those that workers consume are added.
    type: list
    elements: str
    default: [celery]
  expected_workers:
    description:
      - How many workers must answer, no more and no fewer. V(0) says that none is meant to run.
      - Without it at least one must answer.
    type: int
  min_workers:
    description: How many workers must answer before O(state=resumed) puts messages back.
    type: int
    default: 1
  timeout:
    description: Limit for the whole state in seconds, the wait for running tasks included.
    type: float
    default: 300.0
  reply_timeout:
    description: Limit for the answers to one question in seconds. Answers take milliseconds from a worker that is well.
    type: float
    default: 5.0
  on_timeout:
    description:
      - What O(state=drained) does when tasks still run at the limit. V(resume_and_fail) lets the workers consume again, so
        that nothing is changed; V(fail) leaves them quiet.
    type: str
    choices: [resume_and_fail, fail]
    default: resume_and_fail
  on_stuck:
    description:
      - What O(state=parked) does about unacknowledged messages that name an exchange without a queue, so that no queue takes
        them back. They stay where they are either way, and RV(stuck) names them.
      - V(fail) fails once everything else lies aside; V(leave) warns, so that a way back comes to its end.
    type: str
    choices: [fail, leave]
    default: fail
  fail_on_unregistered:
    description: Fail O(state=resumed) when messages stay parked, instead of warning.
    type: bool
    default: false
  accept_lost:
    description: Go on although messages are lost. They stay named in the result and in the ledger.
    type: bool
    default: false
  system:
    description: Name of the system, part of the names of our keys. By default that of O(release), or V(default).
    type: str
  ledger_id:
    description: Name of the ledger. By default the id of O(release). It is required without O(release), except for O(state=status).
    type: str
  results_db:
    description:
      - Number of the database, on the same server, that holds Celery's results. With it O(state=settled) counts how the
        finished tasks ended.
    type: int
  global_keyprefix:
    description: The transport option of the same name.
    type: str
    default: ""
  fanout_prefix:
    description: The transport option of the same name. V({db}) stands for the database number; empty where it is V(false).
    type: str
    default: "/{db}."
  control_exchange:
    description: The Celery setting of the same name.
    type: str
    default: celery
  priority_steps:
    description: The transport option of the same name.
    type: list
    elements: int
    default: [0, 3, 6, 9]
"""

EXAMPLES = r"""
- name: See who works, and on what
  opsready.golive.worker_drain:
    url: redis://broker.example.org:6379/0
    password: "{{ vault_redis_password }}"
    state: status

- name: Take no new task, and wait for the running ones
  opsready.golive.worker_drain:
    url: redis://broker.example.org:6379/0
    password: "{{ vault_redis_password }}"
    state: drained
    queues: [celery, ocr]
    expected_workers: 2
    timeout: 600
    release: "{{ golive_release.token }}"

- name: Put what waits aside, once the workers are stopped
  opsready.golive.worker_drain:
    url: redis://broker.example.org:6379/0
    password: "{{ vault_redis_password }}"
    state: parked
    queues: [celery, ocr]
    release: "{{ golive_release.token }}"

- name: Let the new workers have it
  opsready.golive.worker_drain:
    url: redis://broker.example.org:6379/0
    password: "{{ vault_redis_password }}"
    state: resumed
    queues: [celery, ocr]
    min_workers: 2
    release: "{{ golive_release.token }}"
"""

RETURN = r"""
state:
  description: The state that was asked for.
  returned: success
  type: str
workers:
  description: Each worker with its name, its queues, and its active, reserved and scheduled tasks by id and name.
  returned: for O(state=status), O(state=quieted), O(state=drained) and O(state=resumed)
  type: list
  elements: dict
risks:
  description: What could lose or repeat a task at a stop, from the workers' own settings.
  returned: for O(state=status) and O(state=drained)
  type: list
  elements: dict
waiting_by_task:
  description: How many messages wait, by task name.
  returned: for O(state=status)
  type: dict
load:
  description: Length of each queue, unacknowledged messages, and the active, reserved and scheduled tasks of each worker, before and after.
  returned: for O(state=drained)
  type: dict
  sample:
    before: {queues: {celery: 19}, unacked: 2, workers: {w1@app: {active: 1, reserved: 0, scheduled: 1}}}
    after: {queues: {celery: 19}, unacked: 1, workers: {w1@app: {active: 0, reserved: 0, scheduled: 1}}}
ledger:
  description: How many messages the ledger names, in total and by place.
  returned: for O(state=drained) and O(state=settled)
  type: dict
  sample: {total: 21, waiting: 20, scheduled: 1}
finished_while_draining:
  description: How many tasks ended between quiet and drained.
  returned: for O(state=drained)
  type: int
moved:
  description: How many messages were moved aside.
  returned: for O(state=parked)
  type: int
stuck:
  description: Ids of unacknowledged messages that name an exchange without a queue, and stay where they are.
  returned: for O(state=parked)
  type: list
  elements: str
put_back:
  description: How many messages were put back into their queues.
  returned: for O(state=resumed)
  type: int
parked_unknown:
  description: Message ids that stay parked, by the name of the task that no worker knows.
  returned: for O(state=resumed)
  type: dict
lost:
  description: Ids of messages that vanished while no worker could take them, or whose workers ended while they were drained.
  returned: for O(state=drained), O(state=parked), O(state=resumed) and O(state=settled)
  type: list
  elements: str
due_before_stop:
  description: Ids of scheduled tasks whose time came between drain and stop; the worker's exit code says whether they ended.
  returned: for O(state=parked) and O(state=resumed)
  type: list
  elements: str
running:
  description: Tasks that still ran when the module gave up.
  returned: when O(state=drained) failed
  type: list
  elements: dict
left_quiet:
  description: Workers that consume nothing because they did not confirm to resume.
  returned: when O(state=quieted), O(state=drained) or O(state=resumed) failed
  type: list
  elements: str
is_closed:
  description: Whether nothing is lost and nothing parked, so that the ledger may be forgotten.
  returned: for O(state=settled)
  type: bool
ended_by_status:
  description: How the finished tasks ended, by Celery's status.
  returned: for O(state=settled) with O(results_db)
  type: dict
"""

from ansible_collections.opsready.golive.plugins.module_utils._actions.worker_drain import (
    ARGUMENT_SPEC,
    CONSTRAINTS,
    body,
)
from ansible_collections.opsready.golive.plugins.module_utils._core.guard import run_module


def main() -> None:
    run_module(ARGUMENT_SPEC, body, **CONSTRAINTS)


if __name__ == "__main__":
    main()
