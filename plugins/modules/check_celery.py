#!/usr/bin/python
# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Do the Celery workers answer, do they consume every queue, and is what waits being worked off?"""

from __future__ import annotations

DOCUMENTATION = r"""
module: check_celery
short_description: Judge Celery workers and queues on Redis
version_added: 1.0.0
author:
  - The opsready.golive authors (@opsready)
description:
  - Speaks Celery's remote control over Redis by itself. Neither the application nor Celery is needed on the host.
  - Redis tells how many workers received a question, so a worker that hangs is seen. One that does not answer makes the finding
    V(unknown), and so does a broker on which no worker listens.
  - A message that waits for a task which a worker of its queue does not know is V(fail), since that worker would throw it away.
  - A question leaves a key for its answers in the broker, which is deleted when they came.
  - Items of one checklist that ask the same broker as the same user share one connection, those of
    M(opsready.golive.check_redis) included.
  - Celery 5.3 to 5.7 with the C(redis) transport. Redis Cluster and Sentinel are not supported by this module.
extends_documentation_fragment:
  - opsready.golive.redis
  - opsready.golive.check
  - opsready.golive.attributes
options:
  workers:
    description: Names of workers that must answer, such as V(ocr@app1.example.org) or, with wildcards, V(ocr@*).
    type: list
    elements: str
  min_workers:
    description: Lowest number of workers that listen.
    type: int
    default: 1
  expected_workers:
    description: Exact number of workers that listen, in place of O(min_workers). V(0) says that none is meant to run.
    type: int
  queues:
    description: Queues that must be consumed. Those that workers consume besides are measured too.
    type: list
    elements: dict
    suboptions:
      name:
        description: Name of the queue. Sub-queues for priorities are counted in.
        type: str
        required: true
      min_consumers:
        description: Lowest number of workers that consume it.
        type: int
        default: 1
      max_length:
        description: Highest number of waiting messages. Default is O(max_length).
        type: int
      max_age:
        description: Highest age of the oldest waiting message. Default is O(max_age).
        type: str
      stalled_after:
        description:
          - Watch the message that is consumed next for this long, such as V(2s); it must be taken in the meantime, unless nothing waits.
          - It needs nothing of the application, but a queue whose tasks run longer than that looks stalled.
        type: str
  max_length:
    description: Highest number of waiting messages in each queue.
    type: int
  max_age:
    description:
      - Highest age of the oldest waiting message in each queue, such as V(90s), V(15m) or V(1h).
      - It is V(unknown) where a producer's clock is ahead of this host's, by more than this age or 300 seconds, as that hides as much of the age.
      - Celery writes no time into a message. The age is read from O(sent_header); without it a message that is overdue by its ETA is at
        least that old, and any other is V(unknown).
    type: str
  sent_header:
    description:
      - Header of a message, added by the application in C(before_task_publish), that holds the time of sending, in seconds since the
        epoch or as RFC 3339.
    type: str
    default: sent_at
  tasks:
    description: Names of tasks, each of which must be registered in at least one worker.
    type: list
    elements: str
  sample:
    description: How many messages of each queue are looked at, those consumed next first. No more than 16 MiB are read of a queue.
    type: int
    default: 200
  max_unacked:
    description: Highest number of messages that workers hold unacknowledged, over all queues of the database.
    type: int
  max_unacked_age:
    description: Longest time since a worker took a message that it has not acknowledged, such as V(30m).
    type: str
  max_scheduled:
    description: Highest number of tasks that workers keep for a later time, over all workers.
    type: int
  max_running_age:
    description: Longest time that a running task may have run, such as V(20m).
    type: str
  reply_timeout:
    description: Limit for the answers to one question in seconds. Answers take milliseconds from a worker that is well.
    type: float
    default: 3.0
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
"""

EXAMPLES = r"""
- name: The workers answer, and consume what is sent to them
  opsready.golive.check_celery:
    url: redis://broker.example.org:6379/0
    password: "{{ vault_redis_password }}"
    workers: ["ocr@*", "mail@*"]
    queues:
      - {name: ocr, max_length: 50}
      - {name: mail, max_length: 500, min_consumers: 2}
    tasks: [archive.ocr, archive.mail]
    max_unacked_age: 30m

- name: No message has waited for longer than ten minutes
  opsready.golive.check_celery:
    url: redis://broker.example.org:6379/0
    password: "{{ vault_redis_password }}"
    max_length: 1000
    max_age: 10m
"""

RETURN = r"""
finding:
  description: What was found. RV(finding.status) is V(pass), V(warn), V(unknown) or V(fail).
  returned: always
  type: dict
  contains:
    status:
      description: The worst status of all criteria.
      type: str
      sample: fail
    summary:
      description: One sentence that names every criterion that did not pass.
      type: str
      sample: "Consumers of queue ocr is 0, expected at least 1."
    expected:
      description: What was expected, by criterion.
      type: dict
    measured:
      description: What was measured, by criterion.
      type: dict
    evidence:
      description: Workers with their queues and tasks under way; queues with length, age and waiting tasks by name; unacknowledged messages.
      type: dict
    remedy:
      description: What to do.
      type: str
"""

from ansible_collections.opsready.golive.plugins.module_utils._checks import check_celery
from ansible_collections.opsready.golive.plugins.module_utils._checks.judging import main_of


def main() -> None:
    main_of(check_celery)


if __name__ == "__main__":
    main()
