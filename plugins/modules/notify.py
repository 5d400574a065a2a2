#!/usr/bin/python
# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Does the team know how it ended?"""

from __future__ import annotations

DOCUMENTATION = r"""
module: notify
short_description: Tell a team how a release ended, by webhook and by mail
version_added: 1.0.0
author:
  - The opsready.golive authors (@opsready)
description:
  - Sends one message over all O(channels) at once. One that fails or hangs keeps no other from being told.
  - Whom it could not tell is a finding, and the task goes on. That is V(fail) where nobody could be told, V(warn) where somebody was, and V(unknown)
    where a server has the message and did not say what became of it.
  - An attempt is repeated, with growing pauses, as long as nobody can have got the message by it. That is after a refused connection, a server that
    hangs before it has the message, HTTP 429 and 5xx, and SMTP 4xx. It is not repeated once a server took the message, or may have. After HTTP 504, or
    no answer at all, it may have.
  - Secrets among the options are masked in what is sent, too.
  - In check mode nothing is connected to, and the status is V(unknown).
options:
  subject:
    description: What happened, in a line. Line breaks in it become spaces.
    type: str
    required: true
  text:
    description: More about it.
    type: str
    default: ""
  link:
    description: Where the report is.
    type: str
  channels:
    description: How the team is told.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: What the channel is called in results.
        type: str
        required: true
      webhook:
        description: An HTTP request with JSON. Redirects are not followed.
        type: dict
        suboptions:
          url:
            description: Where to. It is a secret, since who knows it may write there. Results show its host and port.
            type: str
            required: true
          method:
            description: Its method.
            type: str
            choices: [POST, PUT]
            default: POST
          headers:
            description: Headers.
            type: dict
            default: {}
          secret_headers:
            description: Headers whose values are never printed.
            type: dict
            default: {}
          json:
            description:
              - What is sent.
              - By default one key, C(text), with subject, text and link, each in a line of its own, as Slack, Mattermost and Rocket.Chat read it.
            type: dict
          secret_json:
            description: More keys of the same, with values that are never printed, such as the routing key of an alerting service.
            type: dict
            default: {}
          status:
            description: Good status codes.
            type: list
            elements: int
            default: [200, 201, 202, 204]
          ca_file:
            description: Certificate authorities, in PEM, to trust instead of the host's own.
            type: path
      mail:
        description: A mail, handed to a mail server.
        type: dict
        suboptions:
          host:
            description: The mail server.
            type: str
            required: true
          port:
            description: Its port. By default 587 with V(starttls), 465 with V(implicit) and 25 with V(none).
            type: int
          tls:
            description:
              - Whether TLS begins after a word in the clear, V(starttls), or with the connection, V(implicit). Certificates are verified, and a server
                that does not offer STARTTLS gets nothing.
              - With V(none) everything is sent in the clear, and a password only to this host itself.
            type: str
            choices: [starttls, implicit, none]
            default: starttls
          username:
            description: Log in by this name.
            type: str
          password:
            description: With this password, by AUTH PLAIN or LOGIN.
            type: str
          from:
            description: Whom the mail is from, as V(golive@example.org) or V(Go-live <golive@example.org>).
            type: str
            required: true
          to:
            description: Whom it is for.
            type: list
            elements: str
            required: true
          ca_file:
            description: Certificate authorities, in PEM, to trust instead of the host's own.
            type: path
  timeout:
    description: Seconds for all channels and attempts together.
    type: float
    default: 30.0
  request_timeout:
    description: Seconds for one attempt.
    type: float
    default: 10.0
  interval:
    description: Seconds until the second attempt. Each further pause is twice as long. A server that names a longer one gets it, when it ends in time.
    type: float
    default: 1.0
  enforce:
    description: Fail the task when nobody could be told, or nobody surely was. It is off by default, since telling people must not end a release.
    type: bool
    default: false
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
    details: Each run tells again.
  action:
    support: full
seealso:
  - module: opsready.golive.report
  - module: opsready.golive.check_doc
"""

EXAMPLES = r"""
- name: Tell the team
  opsready.golive.notify:
    subject: archive 2.0.0 is live
    text: |
      Downtime 29 s of 60 s allowed.
      Nothing has to be done.
    link: https://reports.example.org/archive/2.0.0/index.html
    channels:
      - name: chat
        webhook:
          url: "{{ vault_chat_webhook }}"
      - name: team
        mail:
          host: mail.example.org
          username: golive
          password: "{{ vault_mail_password }}"
          from: Go-live <golive@example.org>
          to: [operations@example.org, backend@example.org]
    release: "{{ golive_release.token }}"

- name: Tell an alerting service, in its own words, and fail when it was not told
  opsready.golive.notify:
    subject: archive 2.0.0 was taken back
    channels:
      - name: alerting
        webhook:
          url: https://events.example.org/v2/enqueue
          json:
            event_action: trigger
            payload: {summary: archive 2.0.0 was taken back, source: golive, severity: warning}
          secret_json:
            routing_key: "{{ vault_routing_key }}"
          status: [202]
    enforce: true
"""

RETURN = r"""
status:
  description: V(pass) where all channels were told, V(warn) where some were, V(fail) where none was, V(unknown) where none surely was.
  returned: always
  type: str
channels:
  description: Each channel, in the order of O(channels).
  returned: always, on failure too
  type: list
  elements: dict
  contains:
    name:
      description: Its name.
      type: str
    kind:
      description: V(webhook) or V(mail).
      type: str
    to:
      description: Host and port.
      type: str
    attempts:
      description: How often it was tried.
      type: int
    is_sent:
      description: Whether a server took the message, for one recipient at least.
      type: bool
    is_unconfirmed:
      description: Whether a server may have taken it, and did not say so.
      type: bool
    sent_at:
      description: When it was taken, in UTC.
      type: str
    http_status:
      description: The last status, of a webhook.
      type: int
    message_id:
      description: The mail's Message-ID, the same in all attempts.
      type: str
    answer:
      description: What the mail server said when it took the mail, often with its own number for it.
      type: str
    recipients:
      description: Whom the mail is for.
      type: list
      elements: str
    accepted:
      description: For whom the mail server took it.
      type: list
      elements: str
    refused:
      description: For whom it did not, and its words.
      type: dict
    seconds:
      description: How long it took, all attempts together.
      type: float
    problem:
      description: Why not everybody was told. Empty where everybody was.
      type: str
  sample:
    - name: chat
      kind: webhook
      to: chat.example.org:443 (https)
      attempts: 1
      is_sent: true
      is_unconfirmed: false
      sent_at: "2026-11-22T14:17:03.112Z"
      http_status: 200
      seconds: 0.2
      problem: ""
    - name: team
      kind: mail
      to: mail.example.org:587
      recipients: [operations@example.org, backend@example.org]
      attempts: 2
      is_sent: true
      is_unconfirmed: false
      sent_at: "2026-11-22T14:17:04.519Z"
      message_id: <176382342312.4711.1234567890.golive@example.org>
      answer: "250 2.0.0 Ok: queued as 4F2A11B"
      accepted: [operations@example.org]
      refused: {backend@example.org: 550 5.1.1 No such user}
      seconds: 1.6
      problem: "mail.example.org:587 refused backend@example.org: 550 5.1.1 No such user"
message:
  description: What was sent, or in check mode would be, without secrets, as C(subject), C(text) and C(link).
  returned: always, on failure too
  type: dict
finding:
  description: Status, summary, expected, measured, remedy, evidence, start and seconds.
  returned: always, on failure too
  type: dict
text:
  description: Who was told, and who was not and why. It is printed.
  returned: success
  type: str
"""

from ansible_collections.opsready.golive.plugins.module_utils._actions.notify import ARGUMENT_SPEC, body
from ansible_collections.opsready.golive.plugins.module_utils._core.guard import run_module


def main():
    run_module(ARGUMENT_SPEC, body)


if __name__ == "__main__":
    main()
