#!/usr/bin/python
# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Does the system do its work?"""

from __future__ import annotations

DOCUMENTATION = r"""
module: smoke_http
short_description: Walk through a system as a user does, and tidy up
version_added: 1.0.0
author:
  - The opsready.golive authors (@opsready)
description:
  - Sends requests one after the other, keeps values of their answers, uses them in later requests, waits for jobs, and judges each answer.
  - The first step that does not pass ends the walk. An answer other than expected is V(fail), no answer is V(unknown).
  - O(cleanup) always runs, in reverse, for what was made. What could not be removed is named, as a warning.
  - V(${name}) in any string is replaced by a variable, a secret or a captured value; V($${) is a literal C(${). V(${run}) is the number of
    the run, and V(${run_id}) a random word of its own.
  - In check mode nothing is sent, and the status is V(unknown).
options:
  steps:
    description: What is done, in order.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: What the step is called in results.
        type: str
        required: true
      request:
        description: What is sent.
        type: dict
        required: true
        suboptions:
          method:
            description: Its method. By default V(GET), or V(POST) with a body.
            type: str
          url:
            description: A path below O(base_url), or a whole URL. Captured values in it are quoted.
            type: str
            required: true
          headers:
            description: Headers of this request.
            type: dict
            default: {}
          secret_headers:
            description: Headers whose values are never printed.
            type: dict
            default: {}
          bearer:
            description: Token of the C(Authorization) header, such as V(${token}). It is never printed.
            type: str
          json:
            description: Body, sent as JSON.
            type: raw
          form:
            description: Body, sent as a form.
            type: dict
          body:
            description: Body, sent as text.
            type: str
          multipart:
            description: Body, sent as a form with files.
            type: list
            elements: dict
            suboptions:
              field:
                description: Name of the field.
                type: str
                required: true
              filename:
                description: Name of the file. Without one the part is a plain field.
                type: str
              content_type:
                description: Type of the content.
                type: str
              content:
                description: The content as text.
                type: str
              src:
                description: A file on this host.
                type: path
              pdf_text:
                description: Make a PDF of one page with this text.
                type: str
      expect:
        description: What must be answered. Without O(ignore:status) in it, 200, 201, 202 and 204 are good.
        type: dict
        default: {}
        suboptions:
          status:
            description: Good status codes.
            type: list
            elements: int
          json:
            description: What must hold in the answer's JSON.
            type: list
            elements: dict
            suboptions:
              path:
                description: Where to look, such as V($.status) or V($.items[0].name).
                type: str
                required: true
              equals:
                description: The value must be this one.
                type: raw
              one_of:
                description: The value must be one of these.
                type: list
                elements: raw
              matches:
                description: A regular expression that must be found in the value.
                type: str
              at_least:
                description: The smallest good number.
                type: float
              at_most:
                description: The largest good number.
                type: float
              exists:
                description: Whether there must be a value.
                type: bool
              count_at_least:
                description: How many values there must be at least.
                type: int
              max_age:
                description: Longest age of the moment that stands there, as in M(opsready.golive.check_http).
                type: str
              level:
                description: What it means when it does not hold.
                type: str
                choices: [fail, warn]
                default: fail
          states:
            description: Words in the answer's JSON that mean good, degraded and bad.
            type: dict
            suboptions:
              paths:
                description: Where the words are.
                type: list
                elements: str
                required: true
                aliases: [path]
              pass:
                description: Words that are good.
                type: list
                elements: str
                required: true
              warn:
                description: Words that are still accepted.
                type: list
                elements: str
                default: []
              fail:
                description: Words that are bad.
                type: list
                elements: str
                default: []
          response_headers:
            description: What must hold for the answer's headers.
            type: list
            elements: dict
            suboptions:
              name:
                description: The header.
                type: str
                required: true
              equals:
                description: The value must be this one.
                type: str
              matches:
                description: A regular expression that must be found in the value.
                type: str
              exists:
                description: Whether the header must be there.
                type: bool
              level:
                description: What it means when it does not hold.
                type: str
                choices: [fail, warn]
                default: fail
          contains:
            description: Texts that the body must contain.
            type: list
            elements: str
          contains_not:
            description: Texts that the body must not contain.
            type: list
            elements: str
          max_ms:
            description: The longest good answer in milliseconds.
            type: float
          body_sha256:
            description: Digest that the body must have, such as V(${upload}).
            type: str
      capture:
        description:
          - Values to keep, by name. A JSON path, V(header:Name), V(status), V(body:sha256), or V(sent:sha256) for the file that was sent.
        type: dict
        default: {}
      poll:
        description: Send the request again until its answer's JSON is as wanted.
        type: dict
        suboptions:
          until:
            description: What must hold to go on.
            type: list
            elements: dict
            required: true
            suboptions:
              path:
                description: Where to look, such as V($.status) or V($.items[0].name).
                type: str
                required: true
              equals:
                description: The value must be this one.
                type: raw
              one_of:
                description: The value must be one of these.
                type: list
                elements: raw
              matches:
                description: A regular expression that must be found in the value.
                type: str
              at_least:
                description: The smallest good number.
                type: float
              at_most:
                description: The largest good number.
                type: float
              exists:
                description: Whether there must be a value.
                type: bool
              count_at_least:
                description: How many values there must be at least.
                type: int
              max_age:
                description: Longest age of the moment that stands there, as in M(opsready.golive.check_http).
                type: str
              level:
                description: What it means when it does not hold.
                type: str
                choices: [fail, warn]
                default: fail
          give_up:
            description: What means that it never will hold.
            type: list
            elements: dict
            suboptions:
              path:
                description: Where to look, such as V($.status) or V($.items[0].name).
                type: str
                required: true
              equals:
                description: The value must be this one.
                type: raw
              one_of:
                description: The value must be one of these.
                type: list
                elements: raw
              matches:
                description: A regular expression that must be found in the value.
                type: str
              at_least:
                description: The smallest good number.
                type: float
              at_most:
                description: The largest good number.
                type: float
              exists:
                description: Whether there must be a value.
                type: bool
              count_at_least:
                description: How many values there must be at least.
                type: int
              max_age:
                description: Longest age of the moment that stands there, as in M(opsready.golive.check_http).
                type: str
              level:
                description: What it means when it does not hold.
                type: str
                choices: [fail, warn]
                default: fail
          timeout:
            description: Seconds to poll for.
            type: float
            default: 60.0
          interval:
            description: Seconds between two requests.
            type: float
            default: 0.5
      secret:
        description: The answer holds secrets. Nothing of it is shown, and what it holds is masked wherever it turns up.
        type: bool
        default: false
  cleanup:
    description: What is done in the end, in reverse order. A step that needs a captured value which is not there is left out.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: What the step is called in results.
        type: str
        required: true
      request:
        description: What is sent.
        type: dict
        required: true
        suboptions:
          method:
            description: Its method. By default V(GET), or V(POST) with a body.
            type: str
          url:
            description: A path below O(base_url), or a whole URL. Captured values in it are quoted.
            type: str
            required: true
          headers:
            description: Headers of this request.
            type: dict
            default: {}
          secret_headers:
            description: Headers whose values are never printed.
            type: dict
            default: {}
          bearer:
            description: Token of the C(Authorization) header, such as V(${token}). It is never printed.
            type: str
          json:
            description: Body, sent as JSON.
            type: raw
          form:
            description: Body, sent as a form.
            type: dict
          body:
            description: Body, sent as text.
            type: str
          multipart:
            description: Body, sent as a form with files.
            type: list
            elements: dict
            suboptions:
              field:
                description: Name of the field.
                type: str
                required: true
              filename:
                description: Name of the file. Without one the part is a plain field.
                type: str
              content_type:
                description: Type of the content.
                type: str
              content:
                description: The content as text.
                type: str
              src:
                description: A file on this host.
                type: path
              pdf_text:
                description: Make a PDF of one page with this text.
                type: str
      expect:
        description: What must be answered. Without O(ignore:status) in it, 200, 201, 202 and 204 are good.
        type: dict
        default: {}
        suboptions:
          status:
            description: Good status codes.
            type: list
            elements: int
          json:
            description: What must hold in the answer's JSON.
            type: list
            elements: dict
            suboptions:
              path:
                description: Where to look, such as V($.status) or V($.items[0].name).
                type: str
                required: true
              equals:
                description: The value must be this one.
                type: raw
              one_of:
                description: The value must be one of these.
                type: list
                elements: raw
              matches:
                description: A regular expression that must be found in the value.
                type: str
              at_least:
                description: The smallest good number.
                type: float
              at_most:
                description: The largest good number.
                type: float
              exists:
                description: Whether there must be a value.
                type: bool
              count_at_least:
                description: How many values there must be at least.
                type: int
              max_age:
                description: Longest age of the moment that stands there, as in M(opsready.golive.check_http).
                type: str
              level:
                description: What it means when it does not hold.
                type: str
                choices: [fail, warn]
                default: fail
          states:
            description: Words in the answer's JSON that mean good, degraded and bad.
            type: dict
            suboptions:
              paths:
                description: Where the words are.
                type: list
                elements: str
                required: true
                aliases: [path]
              pass:
                description: Words that are good.
                type: list
                elements: str
                required: true
              warn:
                description: Words that are still accepted.
                type: list
                elements: str
                default: []
              fail:
                description: Words that are bad.
                type: list
                elements: str
                default: []
          response_headers:
            description: What must hold for the answer's headers.
            type: list
            elements: dict
            suboptions:
              name:
                description: The header.
                type: str
                required: true
              equals:
                description: The value must be this one.
                type: str
              matches:
                description: A regular expression that must be found in the value.
                type: str
              exists:
                description: Whether the header must be there.
                type: bool
              level:
                description: What it means when it does not hold.
                type: str
                choices: [fail, warn]
                default: fail
          contains:
            description: Texts that the body must contain.
            type: list
            elements: str
          contains_not:
            description: Texts that the body must not contain.
            type: list
            elements: str
          max_ms:
            description: The longest good answer in milliseconds.
            type: float
          body_sha256:
            description: Digest that the body must have, such as V(${upload}).
            type: str
      capture:
        description:
          - Values to keep, by name. A JSON path, V(header:Name), V(status), V(body:sha256), or V(sent:sha256) for the file that was sent.
        type: dict
        default: {}
      poll:
        description: Send the request again until its answer's JSON is as wanted.
        type: dict
        suboptions:
          until:
            description: What must hold to go on.
            type: list
            elements: dict
            required: true
            suboptions:
              path:
                description: Where to look, such as V($.status) or V($.items[0].name).
                type: str
                required: true
              equals:
                description: The value must be this one.
                type: raw
              one_of:
                description: The value must be one of these.
                type: list
                elements: raw
              matches:
                description: A regular expression that must be found in the value.
                type: str
              at_least:
                description: The smallest good number.
                type: float
              at_most:
                description: The largest good number.
                type: float
              exists:
                description: Whether there must be a value.
                type: bool
              count_at_least:
                description: How many values there must be at least.
                type: int
              max_age:
                description: Longest age of the moment that stands there, as in M(opsready.golive.check_http).
                type: str
              level:
                description: What it means when it does not hold.
                type: str
                choices: [fail, warn]
                default: fail
          give_up:
            description: What means that it never will hold.
            type: list
            elements: dict
            suboptions:
              path:
                description: Where to look, such as V($.status) or V($.items[0].name).
                type: str
                required: true
              equals:
                description: The value must be this one.
                type: raw
              one_of:
                description: The value must be one of these.
                type: list
                elements: raw
              matches:
                description: A regular expression that must be found in the value.
                type: str
              at_least:
                description: The smallest good number.
                type: float
              at_most:
                description: The largest good number.
                type: float
              exists:
                description: Whether there must be a value.
                type: bool
              count_at_least:
                description: How many values there must be at least.
                type: int
              max_age:
                description: Longest age of the moment that stands there, as in M(opsready.golive.check_http).
                type: str
              level:
                description: What it means when it does not hold.
                type: str
                choices: [fail, warn]
                default: fail
          timeout:
            description: Seconds to poll for.
            type: float
            default: 60.0
          interval:
            description: Seconds between two requests.
            type: float
            default: 0.5
      secret:
        description: The answer holds secrets. Nothing of it is shown, and what it holds is masked wherever it turns up.
        type: bool
        default: false
  base_url:
    description: What the paths of steps are below.
    type: str
  ca_file:
    description: Certificate authorities, in PEM, to trust instead of the host's own.
    type: path
  connect_to:
    description: Connect to this C(host:port). The name in the URL is still used for TLS and the C(Host) header.
    type: str
  headers:
    description: Headers of every request.
    type: dict
    default: {}
  secret_headers:
    description: Headers of every request whose values are never printed, such as the one that lets a request through maintenance.
    type: dict
    default: {}
  variables:
    description: Values by name.
    type: dict
    default: {}
  secrets:
    description: Values by name that are never printed.
    type: dict
    default: {}
  runs:
    description: How often the whole walk is done.
    type: int
    default: 1
  timeout:
    description: Seconds for all steps together.
    type: float
    default: 120.0
  request_timeout:
    description: Seconds for one request.
    type: float
    default: 30.0
  cleanup_timeout:
    description: Seconds for the cleanup of one run.
    type: float
    default: 60.0
  enforce:
    description: Fail the task when a step fails or is unknown.
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
    support: none
  action:
    support: full
seealso:
  - module: opsready.golive.check_http
"""

EXAMPLES = r"""
- name: A document goes in, is read, and comes out as it was
  opsready.golive.smoke_http:
    base_url: https://archive.example.org/api/v1
    secret_headers:
      X-Golive-Bypass: "{{ archive_bypass }}"
    variables:
      phrase: Rechnung 4711
    secrets:
      password: "{{ archive_smoke_password }}"
    steps:
      - name: log in
        request:
          url: auth/login
          json: {username: smoke, password: "${password}"}
        capture: {token: $.access_token}
        secret: true
      - name: upload
        request:
          url: documents/
          bearer: "${token}"
          multipart:
            - {field: file, filename: "smoke-${run_id}.pdf", pdf_text: "${phrase}"}
        capture: {document: $.id, upload: "sent:sha256"}
      - name: start the text recognition
        request:
          url: ocr/process
          bearer: "${token}"
          json: {document_id: "${document}", backend: auto}
        capture: {job: $.job_id}
      - name: wait for the text
        request:
          url: ocr/jobs/${job}
          bearer: "${token}"
        poll:
          until: [{path: $.state, equals: fertig}]
          give_up: [{path: $.state, equals: fehlgeschlagen}]
          timeout: 60
        expect:
          json: [{path: $.text, matches: "${phrase}"}]
      - name: download
        request:
          url: documents/${document}/download
          bearer: "${token}"
        expect:
          body_sha256: "${upload}"
    cleanup:
      - name: delete the document
        request:
          method: DELETE
          url: documents/${document}
          bearer: "${token}"
    release: "{{ golive_release.token }}"
"""

RETURN = r"""
status:
  description: The worst of all steps, V(pass), V(warn), V(unknown) or V(fail).
  returned: always
  type: str
steps:
  description: The steps that were done, with status, summary, request, HTTP status, seconds, attempts, and the beginning of the answer without secrets.
  returned: always, on failure too
  type: list
  elements: dict
cleanup:
  description: The same for cleanup.
  returned: always, on failure too
  type: list
  elements: dict
left_behind:
  description: What could not be removed, or may have been made by a request that was not answered.
  returned: always, on failure too
  type: list
  elements: str
captured:
  description: Values that the last run kept, secret ones left out.
  returned: always, on failure too
  type: dict
finding:
  description: Status, summary, expected, measured, remedy, evidence, start and seconds.
  returned: always, on failure too
  type: dict
text:
  description: How many steps passed and in how many seconds. It is printed.
  returned: when every step passed
  type: str
"""

from ansible_collections.opsready.golive.plugins.module_utils._actions.smoke_http import ARGUMENT_SPEC, body
from ansible_collections.opsready.golive.plugins.module_utils._core.guard import run_module


def main():
    run_module(ARGUMENT_SPEC, body)


if __name__ == "__main__":
    main()
