#!/usr/bin/python
# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Does the service answer as it should: status, states inside its JSON, headers, cookies, redirects, CORS, limits and latency?"""

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
  - Items of one checklist that ask the same server over TLS share a handshake with those of M(opsready.golive.check_tls), where they overlap or
    the request came first. A certificate check that has ended before hands no connection on, since some servers answer an idle one with 408.
  - JSON longer than what is read of a body is V(unknown).
  - No answer is V(unknown). A certificate that clients refuse fails. A status of 401 or 403 to a request that carried
    O(bearer) or O(secret_headers) is V(unknown), since it was our credentials that were refused. Limits, samples and fresh values
    are not judged then.
extends_documentation_fragment:
  - opsready.golive.check
  - opsready.golive.attributes
attributes:
  check_mode:
    support: partial
    details: >-
      A request whose method may change something is not sent in check mode, and is V(unknown) then. So are O(rate_limit) and
      O(body_limit), whatever the method.
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
  cookies: &cookies
    description:
      - Cookies that the answer must set, and their attributes. Each C(Set-Cookie) is read by itself, as browsers read it; values are not
        kept. A cookie that the answer takes away, by an end in the past, is none.
    type: list
    elements: dict
    suboptions:
      name:
        description: Name of the cookie. V(any) stands for every cookie of the answer, of which there must be one then, else it is V(unknown).
        type: str
        required: true
      secure:
        description: Whether it must be sent over https alone.
        type: bool
      http_only:
        description: Whether it must be kept from scripts.
        type: bool
      same_site:
        description: The values of C(SameSite) that will do. A cookie that says none of them leaves it to the browser, which does not do.
        type: list
        elements: str
        choices: [strict, lax, none]
      level:
        description: How bad it is when this does not hold.
        type: str
        choices: [fail, warn]
        default: fail
  compression: &compression
    description:
      - With V(required) the answer is asked for in gzip, and must come so. It is unpacked, up to 1 MiB, for the other expectations.
        Whether it is given in C(br) or C(zstd) too is told, and not judged. O(max_bytes) is of the body as it was sent.
    type: str
    choices: [required, optional]
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
  max_p50_ms: &max_p50_ms
    description: Longest time that half of the answers may take, in milliseconds. See O(max_p95_ms).
    type: float
  max_p95_ms: &max_p95_ms
    description:
      - Longest time that 95 of 100 answers may take, in milliseconds. It passes where the samples say so with 95 % confidence, fails
        where they say the opposite with that confidence, and is V(unknown) else. No fewer than 59 samples can make it pass.
    type: float
  max_p99_ms: &max_p99_ms
    description: Longest time that 99 of 100 answers may take, in milliseconds. See O(max_p95_ms). No fewer than 299 samples can make it pass.
    type: float
  samples: &samples
    description:
      - Number of further requests whose time is measured, over a kept connection. Default is what the highest percentile needs to pass
        although one sample is slow, which is 8 for O(max_p50_ms), 93 for O(max_p95_ms) and 473 for O(max_p99_ms).
    type: int
  warmup: &warmup
    description: Number of requests before the samples, whose time is not measured. Default is V(0).
    type: int
  interval_ms: &interval_ms
    description:
      - Milliseconds from one sample to the next. They are sent on that schedule, whether or not those before were answered (32 at once
        at most), and each is counted from when it was to be sent, so a stall is as many slow samples as it would have met.
      - The whole span, samples times interval, should be long against one pause of the hosts, else a single pause makes enough slow
        samples to decide. 93 samples each 20 ms are 1.9 s, of which half a second is a quarter; each 100 ms, they are 9 s. O(timeout)
        must be longer than the span.
      - Without it they are sent one after the other. A stall is one slow sample then, however long, since nothing else is sent meanwhile.
    type: float
  rate_limit: &rate_limit
    description:
      - Sends the request again and again, one after the other, until the service refuses it as one too many. It fails where none was
        refused, and where the service answers with a status of 500 or more instead.
      - It may shut out the host that asks for a while, so it comes after all else that is asked of this request. Others had better not
        ask the same service at that time.
    type: dict
    suboptions:
      requests:
        description: The most requests that are sent, 500 at most.
        type: int
        required: true
      within:
        description: The time in which they must be answered, such as V(10s), else it is V(unknown).
        type: str
        required: true
      expect_status:
        description: Statuses that say that it was one too many.
        type: list
        elements: int
        default: [429]
      header:
        description: A header that this answer must have, such as C(Retry-After).
        type: str
  body_limit: &body_limit
    description:
      - The largest body that the service takes, such as V(1MB) or V(1MiB), 100 MB at most. A body of one byte more must be answered with
        413, and one of one byte less must not.
      - They are sent by O(method), and by V(POST) where that changes nothing. The service may keep the smaller one.
    type: str
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
      cookies: *cookies
      compression: *compression
      contains: *contains
      contains_not: *contains_not
      redirects_to: *redirects_to
      redirects_with: *redirects_with
      cors: *cors
      max_bytes: *max_bytes
      max_ms: *max_ms
      max_p50_ms: *max_p50_ms
      max_p95_ms: *max_p95_ms
      max_p99_ms: *max_p99_ms
      samples: *samples
      warmup: *warmup
      interval_ms: *interval_ms
      rate_limit: *rate_limit
      body_limit: *body_limit
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
        samples: 200
        warmup: 10
        interval_ms: 20
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

- name: What a login sets cannot be read by scripts, nor sent by other pages
  opsready.golive.check_http:
    url: https://archive.example.org/login
    cookies:
      - {name: session, secure: true, http_only: true, same_site: [lax, strict]}
      - {name: any, secure: true}

- name: Long answers come compressed, and are what they should be
  opsready.golive.check_http:
    url: https://archive.example.org/api/v1/documents
    compression: required
    json:
      - {path: "$.documents", count_at_least: 1}

- name: The service keeps its limits
  opsready.golive.check_http:
    requests:
      - url: https://archive.example.org/api/v1/search
        rate_limit: {requests: 100, within: 20s, header: Retry-After}
      - url: https://archive.example.org/api/v1/upload
        method: POST
        status: [422]
        body_limit: 1MB
    timeout: 60
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
      description: >-
        By request the status, milliseconds, size, redirects, cookies without their values, compression, CORS answers, latency with its
        bounds and limits, and the host they were measured from. No bodies.
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
