#!/usr/bin/python
# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Does Prometheus scrape, evaluate, alert on and keep what it should?"""

from __future__ import annotations

DOCUMENTATION = r"""
module: check_prometheus
short_description: Judge what Prometheus scrapes, evaluates and alerts on
version_added: 1.0.0
author:
  - The opsready.golive authors (@opsready)
description:
  - Asks the HTTP API of Prometheus for its targets, rules, alerts, configuration and for the values of queries, and judges what is asked
    for. It changes nothing.
  - Nothing is never good. No target, no rule and a job without a target fail; a query without data, or whose value is not a number, is V(unknown).
  - A server that is not ready, hangs, refuses the login, or answers with anything but its API (a login page) is V(unknown).
  - Ages are by the server's own clock.
extends_documentation_fragment:
  - opsready.golive.check
  - opsready.golive.attributes
options:
  url:
    description: Address of Prometheus, such as V(https://prometheus.example.org), with its path where it stands behind a proxy. Redirects are not followed.
    type: str
    required: true
  username:
    description: User name for basic authentication.
    type: str
  password:
    description: Password for basic authentication. It is never printed.
    type: str
  bearer:
    description: Token for the header C(Authorization). It is never printed.
    type: str
  secret_headers:
    description: Headers to send whose values are secret. They are never printed.
    type: dict
  ca_file:
    description: Certificate authorities, in PEM, that the server's certificate must chain to. Without it, those of the host.
    type: path
  all_up:
    description: Whether every active target must be up. A target that is not configured is not among them; name its job in O(jobs).
    type: bool
  jobs:
    description: Jobs that must be scraped. All their targets must be up.
    type: list
    elements: dict
    suboptions:
      name:
        description: The job's name.
        type: str
        required: true
      instances:
        description: Instances that must be among its targets, as their label C(instance) says.
        type: list
        elements: str
      min_up:
        description: How many of its targets must be up at least. It cannot be less than 1.
        type: int
        default: 1
  max_scrape_age:
    description: How long ago a target's last scrape may be, such as V(2m). Without it, three of its scrape intervals.
    type: str
  rules_healthy:
    description:
      - Whether all rules must be evaluated without an error, the last time at most three of their intervals ago.
      - Groups that take longer than their interval, and so leave evaluations out, are a warning.
    type: bool
  rules_alive:
    description:
      - Whether of all rules the series that they ask for must be there. A rule over a metric that does not exist is evaluated without an error,
        and never fires.
      - What C(absent) asks for may be missing, and of both sides of C(or) one. Where there are series of the metric, and none with the labels that
        the rule names, and where C(or vector(0)) or C(or 0 * up) stands in for a metric that does not exist, it is a warning.
    type: bool
  rule_groups:
    description: Groups of rules that must be loaded, and evaluated as O(rules_healthy) says.
    type: list
    elements: str
  rules:
    description: Alerts and recording rules, by name, that must be loaded, and evaluated as O(rules_healthy) says.
    type: list
    elements: str
  alerts:
    description:
      - No alert may be active, save those that are ignored or are of the baseline.
      - Alerting rules must be loaded, and evaluated without an error, since those that are not never fire.
    type: dict
    suboptions:
      states:
        description: Which states of an alert fail.
        type: list
        elements: str
        choices: [firing, pending]
        default: [firing]
      ignored:
        description: Names of alerts that do not matter, such as V(Watchdog), which always fires.
        type: list
        elements: str
        default: []
      ignored_severities:
        description: Values of the label C(severity) that do not matter, such as V(info). An alert without that label matters.
        type: list
        elements: str
        default: []
      baseline_at:
        description:
          - A time before the deploy, such as V(2026-11-22T05:00:00Z). Alerts of the same labels that fired then are none of the deploy's, and pass.
          - Prometheus is asked what fired then. Where it does not know any more, all alerts count.
        type: str
  alertmanager:
    description:
      - The Alertmanager that knows which alerts are silenced. A silenced alert counts, and is told as silenced.
      - The login of Prometheus is not sent there.
    type: dict
    suboptions:
      url:
        description:
          - Address of Alertmanager, such as V(http://alertmanager.example.org:9093), with its path where it stands behind a proxy.
          - Redirects are not followed.
        type: str
        required: true
      username:
        description: User name for basic authentication.
        type: str
      password:
        description: Password for basic authentication. It is never printed.
        type: str
      bearer:
        description: Token for the header C(Authorization). It is never printed.
        type: str
      secret_headers:
        description: Headers to send whose values are secret. They are never printed.
        type: dict
      ca_file:
        description: Certificate authorities, in PEM, that the server's certificate must chain to. Without it, those of the host.
        type: path
  min_alertmanagers:
    description: To how many Alertmanagers Prometheus must be sending, at least.
    type: int
  min_retention:
    description:
      - How long samples must be kept, such as V(15d), by what Prometheus runs with, whichever file or flag that came from.
      - Where the size is limited as well they may go earlier; the evidence tells both.
    type: str
  config_loaded:
    description: Whether the last reload of the configuration must have succeeded. One that failed leaves new rules and targets out without a word.
    type: bool
  config_loaded_since:
    description: A time, such as V(2026-11-22T05:00:00Z), since which the configuration must have been loaded.
    type: str
  queries:
    description: Queries whose value must be within bounds, for each series of the answer.
    type: list
    elements: dict
    suboptions:
      name:
        description: What it is called in the finding.
        type: str
        required: true
      query:
        description:
          - PromQL that gives an instant vector or a scalar.
          - C(or vector(0)) is refused in each of its forms, since it makes a number of no data. So is C(vector(0) or), and any other number
            that needs no series on one side of an C(or).
          - C(or 0 * up) is refused as well, as any number on one side of an C(or) that no data can change. So is a query that is such a number
            as a whole, as C(sum(up) * 0), C(0 * up), C(vector(0) and on() up) and C(vector(1)) are.
        type: str
        required: true
      at_least:
        description: Smallest value.
        type: float
      at_most:
        description: Largest value.
        type: float
      min_series:
        description: How many series the answer must have. It cannot be less than 1.
        type: int
        default: 1
  fresh:
    description: Series that must have a new sample, also where an ordinary query would still show the last one.
    type: list
    elements: dict
    suboptions:
      series:
        description:
          - Name of the series, with or without labels, such as V(ocr_pages_total{job="worker"}).
          - The newest sample of all that match counts.
        type: str
        required: true
      max_age:
        description: How old its newest sample may be.
        type: str
        default: 2m
"""

EXAMPLES = r"""
- name: All targets are there and up
  opsready.golive.check_prometheus:
    url: https://prometheus.example.org
    all_up: true
    jobs:
      - name: backend
        instances: [app1]
      - name: worker
        min_up: 2

- name: Its rules are loaded, and no alert is new since the deploy began
  opsready.golive.check_prometheus:
    url: https://prometheus.example.org
    bearer: "{{ vault_prometheus_token }}"
    rules_healthy: true
    rules_alive: true
    rule_groups: [archive]
    alerts:
      ignored: [Watchdog]
      ignored_severities: [info]
      baseline_at: "2026-11-22T05:00:00Z"
    config_loaded: true
    min_retention: 15d

- name: The error rate is low, and there is traffic
  opsready.golive.check_prometheus:
    url: https://prometheus.example.org
    queries:
      - name: requests in 5 minutes
        query: sum(http_requests_total{job="backend"})
        at_least: 100
      - name: share of errors
        query: sum(http_errors_total{job="backend"}) / sum(http_requests_total{job="backend"})
        at_most: 0.01
    fresh:
      - series: http_requests_total{job="backend"}
        max_age: 1m
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
      sample: "Targets: 11 of 12 up: 10.0.0.7:9100 of node is down: connection refused; rule group ocr: there are none."
    expected:
      description: What was expected, by criterion.
      type: dict
    measured:
      description: What was measured, by criterion.
      type: dict
    evidence:
      description: Targets by job, rules by group, alerts with their labels, the loaded configuration, and what the queries gave.
      type: dict
    remedy:
      description: What to do.
      type: str
    check:
      description: Name of the check.
      type: str
      sample: check_prometheus
    started:
      description: When the check began, in UTC.
      type: str
    seconds:
      description: How long it took.
      type: float
"""

from ansible_collections.opsready.golive.plugins.module_utils._checks import check_prometheus
from ansible_collections.opsready.golive.plugins.module_utils._checks.judging import main_of


def main() -> None:
    main_of(check_prometheus)


if __name__ == "__main__":
    main()
