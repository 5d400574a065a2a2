#!/usr/bin/python
# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Is maintenance on for users, and does it stay so while the application is stopped?"""

from __future__ import annotations

DOCUMENTATION = r"""
module: maintenance
short_description: Switch maintenance, from the outside in, and prove it on a user path
version_added: 1.0.0
author:
  - The opsready.golive authors (@opsready)
description:
  - Switches one or several layers, and then asks what a user asks until it is answered by 503 with C(Retry-After), or by the service again, several
    times in a row.
  - A flag inside the application ends when the application is stopped. So at least one layer must survive the stop, and it is proven before any inner
    layer could answer in its place.
  - A flag that another release or a person has set is reported, kept, and not removed without O(force). With O(release), O(state=enabled) refuses it
    before anything is switched, since the release could not end it.
  - When it fails, layers are left as they are, and the message says how.
options:
  state:
    description: V(enabled), V(disabled), or V(status), which changes nothing.
    type: str
    choices: [enabled, disabled, status]
    required: true
  layers:
    description: Where maintenance is switched, the outermost layer first. They are enabled in this order and disabled in reverse.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: What the layer is called in results.
        type: str
        required: true
      backend:
        description: V(file) is a file whose presence makes a proxy answer 503. V(http) is an interface that switches by requests.
        type: str
        choices: [file, http]
        required: true
      survives_stop:
        description: Whether the layer goes on answering when the application is stopped.
        type: bool
        default: false
      path:
        description: The file, for O(layers[].backend=file). Its folder must exist. It holds release, time and reason as JSON, readable by everybody.
        type: path
      enable:
        description: The request that enables, for O(layers[].backend=http).
        type: dict
        suboptions: &switch
          method:
            description: Its method.
            type: str
            default: POST
          url:
            description: Its URL.
            type: str
            required: true
          body:
            description: Its body. A mapping or list is sent as JSON.
            type: raw
          status:
            description: Status codes that mean success.
            type: list
            elements: int
            default: [200, 201, 202, 204]
      disable:
        description: The request that disables, for O(layers[].backend=http).
        type: dict
        suboptions: *switch
      read:
        description: How the state is read, for O(layers[].backend=http). Without it the layer is switched every time.
        type: dict
        suboptions:
          url:
            description: What is asked for.
            type: str
            required: true
          path:
            description: Where the answer's JSON has the state, such as V($.maintenance.active).
            type: str
            required: true
          enabled:
            description: The value that means enabled.
            type: raw
            default: true
          disabled:
            description: The value that means disabled.
            type: raw
            default: false
      ca_file:
        description: Certificate authorities, in PEM, to trust instead of the host's own.
        type: path
      connect_to:
        description: Connect to this C(host:port). The name in the URL is still used for TLS and the C(Host) header.
        type: str
      headers:
        description: Headers of the request.
        type: dict
        default: {}
      secret_headers:
        description: Headers whose values are never printed.
        type: dict
        default: {}
      bearer:
        description: Token of the C(Authorization) header. It is never printed.
        type: str
      request_timeout:
        description: Seconds for one request.
        type: float
        default: 10.0
  verify:
    description: The user path on which the state is proven. Needed for V(enabled) and V(disabled).
    type: dict
    suboptions:
      url:
        description: What a user asks for.
        type: str
        required: true
      ca_file:
        description: Certificate authorities, in PEM, to trust instead of the host's own.
        type: path
      connect_to:
        description: Connect to this C(host:port). The name in the URL is still used for TLS and the C(Host) header.
        type: str
      headers:
        description: Headers of the request.
        type: dict
        default: {}
      secret_headers:
        description: Headers whose values are never printed.
        type: dict
        default: {}
      bearer:
        description: Token of the C(Authorization) header. It is never printed.
        type: str
      consecutive:
        description: Answers in a row that prove it.
        type: int
        default: 3
      interval:
        description: Seconds between two requests.
        type: float
        default: 0.1
      timeout:
        description: Seconds after which it is not proven and the task fails, naming the last answer.
        type: float
        default: 60.0
      request_timeout:
        description: Seconds for one request.
        type: float
        default: 5.0
      status:
        description: Status codes of the service without maintenance.
        type: list
        elements: int
        default: [200]
      version_header:
        description: Header in which the service names its version.
        type: str
      version:
        description: The version that must answer once maintenance is off.
        type: str
  bypass_header:
    description: Header that lets a request through maintenance.
    type: dict
    suboptions:
      name:
        description: Its name.
        type: str
        required: true
      value:
        description: Its value. It is never printed.
        type: str
        required: true
  verify_bypass:
    description: Prove, too, that a request with O(bypass_header) is let through.
    type: bool
    default: false
  reason:
    description: Why, written into the flag.
    type: str
    default: release
  force:
    description: Take over, or remove, a flag that somebody else has set.
    type: bool
    default: false
  keep_foreign:
    description:
      - Leave a flag that somebody else has set where it is, and call that done for O(state=disabled), where no flag of O(release) is there. It is for the
        way back of a release that O(state=enabled) had refused.
    type: bool
    default: false
extends_documentation_fragment:
  - opsready.golive.attributes
  - opsready.golive.release
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
  idempotent:
    support: full
  action:
    support: full
seealso:
  - module: opsready.golive.downtime_probe
"""

EXAMPLES = r"""
- name: Nobody but the smoke test gets in
  opsready.golive.maintenance:
    state: enabled
    layers:
      - name: proxy
        backend: file
        path: /srv/proxy/maintenance.flag
        survives_stop: true
      - name: application
        backend: http
        enable: {url: "http://127.0.0.1:8000/api/v1/admin/maintenance/enable"}
        disable: {url: "http://127.0.0.1:8000/api/v1/admin/maintenance/disable"}
        read: {url: "http://127.0.0.1:8000/api/v1/admin/maintenance/status", path: $.active}
        bearer: "{{ archive_admin_token }}"
    verify:
      url: https://archive.example.org/
    bypass_header:
      name: X-Golive-Bypass
      value: "{{ archive_bypass }}"
    verify_bypass: true
    reason: release 2.0.0
    release: "{{ golive_release.token }}"

- name: Let users in, and see that the new version serves them
  opsready.golive.maintenance:
    state: disabled
    layers:
      - name: proxy
        backend: file
        path: /srv/proxy/maintenance.flag
        survives_stop: true
    verify:
      url: https://archive.example.org/
      version_header: X-Archive-Version
      version: 2.0.0
    release: "{{ golive_release.token }}"
"""

RETURN = r"""
layers:
  description: Each layer from the outside in, with name, state and whether it survives the stop of the application.
  returned: always, on failure too
  type: list
  elements: dict
flags:
  description: Flags that were there when the module began, by layer, with release, time and reason as far as they are in it.
  returned: always, on failure too
  type: dict
foreign:
  description: Those that neither O(release) nor, without it, a task without a release has set.
  returned: always, on failure too
  type: dict
proofs:
  description: What was proven, with the last answer, the number of requests, seconds, and the time of the first of the answers in a row.
  returned: always, on failure too
  type: list
  elements: dict
since:
  description: When maintenance was first seen by a user, and held from then on as far as it was asked.
  returned: with O(state=enabled)
  type: str
until:
  description: The moment right before the outermost layer was switched. Empty when nothing was switched.
  returned: with O(state=disabled)
  type: str
maintenance:
  description: V(enabled), V(disabled), V(unknown), or V(mixed) where the layers differ.
  returned: with O(state=status)
  type: str
answering:
  description: What a user is answered, V(maintenance), V(service), V(other) or V(nothing); V(not asked) without O(verify).
  returned: with O(state=status)
  type: str
obstacles:
  description: What would keep a release from switching maintenance on and off again, each in a sentence, such as a flag that somebody else has set.
  returned: with O(state=status)
  type: list
  elements: str
  sample: ["Maintenance at proxy was enabled by somebody outside this release (/run/archive/maintenance), so a release could not end it."]
problems:
  description: Why a layer could not be read, by layer.
  returned: with O(state=status)
  type: dict
"""

from ansible_collections.opsready.golive.plugins.module_utils._actions.maintenance import (
    ARGUMENT_SPEC,
    CONSTRAINTS,
    body,
)
from ansible_collections.opsready.golive.plugins.module_utils._core.guard import run_module


def main():
    run_module(ARGUMENT_SPEC, body, **CONSTRAINTS)


if __name__ == "__main__":
    main()
