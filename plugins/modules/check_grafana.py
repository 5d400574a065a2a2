#!/usr/bin/python
# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Do Grafana's dashboards have data and good colours, are its data sources healthy, does no alert rule fire?"""

from __future__ import annotations

DOCUMENTATION = r"""
module: check_grafana
short_description: Judge what Grafana's dashboards show, its data sources and its alert rules
version_added: 1.0.0
author:
  - The opsready.golive authors (@opsready)
description:
  - Reads dashboards over Grafana's HTTP API, sends the queries of their panels to the data sources through Grafana, as a browser would, and
    judges whether they have data and whether the values are green. It changes nothing; the queries only read.
  - Nothing is never good. A dashboard without a panel that asks something, no data, and no alert rule fail. A query that fails, and a panel
    that cannot be asked as a browser would ask it, are V(unknown), by name.
  - Grafana fills in variables and paints colours in the browser. What is done here as it does it are variables of the types query, custom,
    datasource, interval, constant and textbox with their saved values, repeated panels and rows, rows that are collapsed, library panels, panels
    that show another panel's query, mixed data sources, expressions, thresholds and value mappings of stat, gauge and bar gauge. Ad hoc filters,
    transformations, overrides of thresholds and the data source C(-- Grafana --) are not; neither are dashboards in schema v2.
  - A login needs the role Viewer, with the permissions C(dashboards:read), C(datasources:query), C(library.panels:read) and
    C(alert.rules:read).
  - It is written for Grafana 10 to 12, from their public documentation, and tested against a server that answers as they do, since Grafana itself
    cannot be installed where the tests run. Panel queries are answered there by a real Prometheus.
extends_documentation_fragment:
  - opsready.golive.check
  - opsready.golive.attributes
options:
  url:
    description: Address of Grafana, such as V(https://grafana.example.org), with its path where it is served from one. Redirects are not followed.
    type: str
    required: true
  token:
    description: Token of a service account, in place of O(username) and O(password). It is never printed.
    type: str
  username:
    description: User name for basic authentication.
    type: str
  password:
    description: Password for basic authentication. It is never printed.
    type: str
  ca_file:
    description: Certificate authorities, in PEM, that the server's certificate must chain to. Without it, those of the host.
    type: path
  dashboards:
    description: Dashboards that must be there and have data.
    type: list
    elements: dict
    suboptions:
      uid:
        description: Its uid, as in its address C(/d/<uid>).
        type: str
        required: true
      panels:
        description: Panels that are judged, by title or id, and must be there. Without it, all that ask something.
        type: list
        elements: str
      max_age:
        description: How old the newest data of each query of a panel may be, at most a year. Queries are asked over that time.
        type: str
        default: 15m
      max_without_data:
        description: How many panels may be without data. Where none has any it fails.
        type: int
        default: 0
      variables:
        description:
          - Values of the dashboard's variables by their name, each a text or a list. Without it, those that it was saved with.
          - A variable that stands on All needs them where neither its values nor a pattern for all are saved.
        type: dict
        default: {}
      green:
        description:
          - Whether the values of stat, gauge and bar gauge panels must be in the colour of the lowest step of their thresholds, or in one of
            O(dashboards[].good_colors).
          - The value is computed over O(dashboards[].max_age). Panels without a threshold do not count; where there is no other it is V(unknown).
        type: bool
      good_colors:
        description: Colours that are good, as the panels name them, such as V(green) or V(#73BF69), in place of that of the lowest step.
        type: list
        elements: str
  datasources:
    description: Data sources, by uid or name, that must be healthy by their own health check.
    type: list
    elements: str
  alert_rules:
    description: The rules that Grafana itself evaluates. For those of Prometheus see M(opsready.golive.check_prometheus).
    type: dict
    suboptions:
      expected:
        description: Titles of rules that must be there, and not be paused.
        type: list
        elements: str
      none_firing:
        description: Whether none may fire. All must be evaluated as O(alert_rules.none_in_error) says, since one that is not never fires.
        type: bool
      none_in_error:
        description: Whether all must be evaluated without an error and with data, the last time at most three of their intervals ago.
        type: bool
      ignored:
        description: Titles of rules that do not matter. Paused ones do not either.
        type: list
        elements: str
        default: []
"""

EXAMPLES = r"""
- name: The overview is green, and the dashboard of the pipeline has data
  opsready.golive.check_grafana:
    url: https://grafana.example.org
    token: "{{ vault_grafana_token }}"
    dashboards:
      - uid: system-overview
        green: true
      - uid: ocr-pipeline
        max_age: 15m
        max_without_data: 1
        variables:
          instance: [app1, app2]

- name: Two panels matter, and their green is not the lowest step
  opsready.golive.check_grafana:
    url: https://grafana.example.org
    token: "{{ vault_grafana_token }}"
    dashboards:
      - uid: system-overview
        panels: [Instances up, "4"]
        green: true
        good_colors: [green]

- name: Its data sources answer, and none of its alert rules fires
  opsready.golive.check_grafana:
    url: https://grafana.example.org
    token: "{{ vault_grafana_token }}"
    datasources: [Prometheus]
    alert_rules:
      expected: [Queue grows]
      none_firing: true
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
      sample: "Dashboard ocr-pipeline: 3 of 4 panels have data of the last 15m, expected all: Queue length (no data)."
    expected:
      description: What was expected, by criterion.
      type: dict
    measured:
      description: What was measured, by criterion.
      type: dict
    evidence:
      description: Grafana's version, each dashboard's panels with whether they have data and what they show, data sources and rules by state.
      type: dict
    remedy:
      description: What to do.
      type: str
    check:
      description: Name of the check.
      type: str
      sample: check_grafana
    started:
      description: When the check began, in UTC.
      type: str
    seconds:
      description: How long it took.
      type: float
"""

from ansible_collections.opsready.golive.plugins.module_utils._checks import check_grafana
from ansible_collections.opsready.golive.plugins.module_utils._checks.judging import main_of


def main() -> None:
    main_of(check_grafana)


if __name__ == "__main__":
    main()
