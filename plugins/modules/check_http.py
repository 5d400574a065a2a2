#!/usr/bin/python
# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Does the service answer as it should: status, states inside its JSON, headers, redirects, CORS and latency?"""

from __future__ import annotations

DOCUMENTATION = r"""
module: check_http
short_description: Judge what an HTTP service answers
version_added: 1.0.0
author:
  - The opsready.golive authors (@opsready)
description:
  - Sends one request, or several at the same time, and judges each answer.
  - A status of 200 only says that a process lives. O(states) and O(json) judge what the body says.
  - The limit holds for the whole answer, so a server that sends byte after byte does not hold the check. At most 1 MiB of a body is
    read. Proxies named in the environment are not used.
  - No answer is V(unknown). A certificate that clients refuse fails. A status of 401 or 403 to a request that carried
    O(bearer) or O(secret_headers) is V(unknown), since it was our credentials that were refused.
extends_documentation_fragment:
  - opsready.golive.check
  - opsready.golive.attributes
attributes:
  check_mode:
    support: partial
    details: A request whose method may change something is not sent in check mode, and is V(unknown) then.
options:
  url: &url
    description:
      - What to ask, http or https. User name and password do not belong in it; they are secret headers.
    type: str
  method: &method
    description: The method. Default is V(GET). What may change something (other than V(GET), V(HEAD), V(OPTIONS)) is not sent in check mode.
    type: str
  headers: &headers
    description: Headers to send.
    type: dict
  secret_headers: &secret_headers
    description: Headers to send whose values are secret. They are never printed, and do not follow a redirect to another origin.
    type: dict
  bearer: &bearer
    description: Token for the header C(Authorization). It is treated as O(secret_headers) are.
    type: str
  body: &body
    description: What to send. A dictionary or list is sent as JSON.
    type: raw
  ca_file: &ca_file
    description: Certificate authorities, in PEM, that the server's certificate must chain to. Without it, those of the host.
    type: path
  connect_to: &connect_to
    description: The C(host:port) to connect to in place of the URL's, whose name still stands in the request and in the TLS handshake.
    type: str
  follow: &follow
    description: Whether to follow redirects, five at most. Default is V(false).
    type: bool
  status: &status
    description: Statuses that are expected. Default is V([200]), and any redirect with O(redirects_to).
    type: list
    elements: int
  json: &json
    description:
      - Values inside a JSON answer. A path is such as V($.status), V($.list[0].name), V($["any key"]) or V($.list[*].state); all
        values that it finds are judged, and none is a failure.
    type: list
    elements: dict
    suboptions:
      path:
        description: Where the value is.
        type: str
        required: true
      equals:
        description: The value that it must be.
        type: raw
      one_of:
        description: The values that it may be.
        type: list
        elements: raw
      matches:
        description: Regular expression that is searched in it.
        type: str
      at_least:
        description: Lowest number.
        type: float
      at_most:
        description: Highest number.
        type: float
      exists:
        description: Whether there must be a value.
        type: bool
      count_at_least:
        description: Lowest number of values that the path finds, or of entries in the one list that it finds.
        type: int
      max_age:
        description:
          - Longest age of a moment that stands there, such as V(5s), V(15m) or V(24h), as of a health answer that is made once and kept.
            The moment is in ISO 8601, taken as UTC where it names no zone, or in seconds or milliseconds since 1970.
          - Judged by the clock of the host that asks. A moment more than two seconds ahead of it is V(unknown), since one of the
            clocks is wrong then. What is no moment is a failure.
        type: str
      level:
        description: How bad it is when this does not hold.
        type: str
        choices: [fail, warn]
        default: fail
  states: &states
    description:
      - The words in which a health answer says how it is, for services that answer 200 whatever their state. A word that is in no list
        is V(unknown).
    type: dict
    suboptions:
      paths:
        description: Where the words are, as in O(json[].path).
        type: list
        elements: str
        required: true
        aliases: [path]
      pass:
        description: Words that pass.
        type: list
        elements: str
        required: true
      warn:
        description: Words that are a warning.
        type: list
        elements: str
        default: []
      fail:
        description: Words that are a failure.
        type: list
        elements: str
        default: []
  response_headers: &response_headers
    description: Headers of the answer.
    type: list
    elements: dict
    suboptions:
      name:
        description: Name of the header.
        type: str
        required: true
      equals:
        description: The value that it must have.
        type: str
      matches:
        description: Regular expression that is searched in its value.
        type: str
      exists:
        description: Whether there must be such a header.
        type: bool
      level:
        description: How bad it is when this does not hold.
        type: str
        choices: [fail, warn]
        default: fail
  contains: &contains
    description: Texts that must be in the first mebibyte of the body.
    type: list
    elements: str
  contains_not: &contains_not
    description: Texts that must not be in the body, such as a stack trace.
    type: list
    elements: str
  redirects_to: &redirects_to
    description:
      - Where the answer must redirect to, same scheme, host and port, and a path that begins so. With O(follow=true) it is where
        the last redirect led.
    type: str
  redirects_with: &redirects_with
    description:
      - Parameters that the redirect's query must have, each once and not empty, as a login through OAuth begins with C(client_id),
        C(redirect_uri) and C(state). Needs O(redirects_to).
    type: list
    elements: dict
    suboptions:
      name:
        description: The parameter.
        type: str
        required: true
      equals:
        description: Its value. Where it is not given the value may be any, and is not told.
        type: str
      fresh:
        description: Whether each answer must have another value, as a C(state) has to. Needs O(consecutive) of 2 or more.
        type: bool
        default: false
  cors: &cors
    description: Whether browser pages of other origins may read the answers. Each origin is tried with a preflight, and with the request itself.
    type: dict
    suboptions:
      origin_allowed:
        description: Origins that must be allowed.
        type: list
        elements: str
        default: []
      origin_refused:
        description: Origins that must be refused; one that is nobody's will do.
        type: list
        elements: str
        default: []
  max_bytes: &max_bytes
    description: Largest body in bytes.
    type: int
  max_ms: &max_ms
    description: Longest time to the end of the answer in milliseconds, connecting included.
    type: float
  max_p95_ms: &max_p95_ms
    description: Longest time that 95 of 100 samples may take, in milliseconds. Without O(samples), 20 are taken.
    type: float
  samples: &samples
    description: Number of further requests whose time is measured, one after the other over one connection.
    type: int
  warmup: &warmup
    description: Number of requests before the samples, whose time is not measured. Default is V(0).
    type: int
  consecutive: &consecutive
    description: Number of answers in a row that must all be right, each over a connection of its own. Default is V(1).
    type: int
  proves: &proves
    description:
      - What a good answer proves, for the reader of the report. V(liveness) says that a process answers and nothing of what it needs,
        as where the endpoint's answer is constant.
    type: str
    choices: [liveness, readiness]
  requests:
    description: Several requests, sent at the same time. Each has the options above, and those above are the defaults of each.
    type: list
    elements: dict
    suboptions:
      url: *url
      method: *method
      headers: *headers
      secret_headers: *secret_headers
      bearer: *bearer
      body: *body
      ca_file: *ca_file
      connect_to: *connect_to
      follow: *follow
      status: *status
      json: *json
      states: *states
      response_headers: *response_headers
      contains: *contains
      contains_not: *contains_not
      redirects_to: *redirects_to
      redirects_with: *redirects_with
      cors: *cors
      max_bytes: *max_bytes
      max_ms: *max_ms
      max_p95_ms: *max_p95_ms
      samples: *samples
      warmup: *warmup
      consecutive: *consecutive
      proves: *proves
"""

EXAMPLES = r"""
- name: The archive is healthy, and says so in its body
  opsready.golive.check_http:
    url: https://archive.example.org/api/v1/health/detailed
    states:
      paths: [$.status, "$.components[*].status"]
      pass: [gesund]
      warn: [beeintraechtigt]
      fail: [kritisch]

- name: A health answer that is kept for 5 s is no older than that
  opsready.golive.check_http:
    url: https://archive.example.org/api/v1/health/detailed
    json:
      - {path: $.status, equals: gesund}
      - {path: $.checked_at, max_age: 5s}

- name: Latency, CORS and the redirect to https
  opsready.golive.check_http:
    requests:
      - url: https://archive.example.org/api/v1/health
        max_p95_ms: 50
        samples: 100
        warmup: 10
      - url: https://archive.example.org/api/v1/documents
        status: [401]
        cors:
          origin_allowed: ["https://archive.example.org"]
          origin_refused: ["https://evil.example"]
      - url: http://archive.example.org/
        redirects_to: https://archive.example.org/
    timeout: 30

- name: A login is handed to GitHub as ours, and each with a state of its own
  opsready.golive.check_http:
    url: https://runner.example.org/auth/login
    redirects_to: https://github.com/login/oauth/authorize
    redirects_with:
      - {name: client_id, equals: Iv1.0123456789abcdef}
      - {name: redirect_uri, equals: "https://runner.example.org/auth/callback"}
      - {name: state, fresh: true}
    consecutive: 2
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
      sample: "https://archive.example.org/api/v1/health/detailed $.status is kritisch, expected gesund."
    expected:
      description: What was expected, by criterion.
      type: dict
    measured:
      description: What was measured, by criterion.
      type: dict
    evidence:
      description: By request the status, milliseconds, size, redirects, latency and CORS answers, and the host they were measured from. No bodies.
      type: dict
    remedy:
      description: What to do.
      type: str
    check:
      description: Name of the check.
      type: str
      sample: check_http
    started:
      description: When the check began, in UTC.
      type: str
    seconds:
      description: How long it took.
      type: float
"""

from ansible_collections.opsready.golive.plugins.module_utils._checks import check_http
from ansible_collections.opsready.golive.plugins.module_utils._checks.judging import main_of


def main() -> None:
    main_of(check_http)


if __name__ == "__main__":
    main()
