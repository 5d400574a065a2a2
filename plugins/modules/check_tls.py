#!/usr/bin/python
# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Are the certificates trusted, named right, valid long enough, and the ones that lie on disk?"""

from __future__ import annotations

DOCUMENTATION = r"""
module: check_tls
short_description: Judge TLS certificates, as served and as stored
version_added: 1.0.0
author:
  - The opsready.golive authors (@opsready)
description:
  - Shakes hands with each endpoint as an ordinary client does, and judges by what such a client would say. When it refuses, a
    second handshake without verification explains why; nothing is sent over it.
  - Judges every certificate of the chain, the trust anchor included where this Python can tell it (3.10 and later).
  - Items of one checklist, those of M(opsready.golive.check_http) included, share a handshake with the same endpoint under the same name and
    authorities, where they overlap or the request came first. A certificate check that has ended before hands no connection on, since some
    servers answer an idle one with 408.
  - Judges certificate files, their order, and whether the key belongs to the certificate.
  - With O(match_file), the certificate that is served must be the one on disk. It is not when a renewal was not followed
    by a reload.
  - O(min_days) fails below a number of days, for every certificate of the chain. A certificate whose whole lifetime is shorter can
    never satisfy it; set it to V(0) there and rely on O(min_lifetime_share).
  - O(min_lifetime_share) warns when a leaf with a lifetime of at most 200 days, which a machine renews, has a smaller share of it
    left, and fails below half of that. ACME clients renew when a third is left, so below that a renewal was missed.
  - O(min_remaining) fails below a span of time, or below a sixth of the certificate's lifetime where that is less, whatever the other two
    allow.
extends_documentation_fragment:
  - opsready.golive.check
  - opsready.golive.attributes
requirements:
  - cryptography >= 42.0 (Python library, on the host that runs the module)
options:
  endpoints:
    description:
      - Where to shake hands, each as V(host:port), or as a dictionary with C(host), C(port) (443), C(sni) (the name to ask for, if it is not
        the host), C(connect_to) (the C(host:port) to connect to instead), C(starttls) (V(none), V(postgres), V(smtp),
        V(imap), V(pop3) or V(ftp)), C(addresses), C(match_file) and C(names).
      - An IPv6 address stands in brackets.
    type: list
    elements: raw
  addresses:
    description:
      - With V(all), every A and AAAA address that the name has is shaken hands with, judged, and told apart, as one of several servers
        may still serve the old certificate. An address that this host cannot reach is V(unknown). With V(first) it is the first one that answers.
      - Addresses of one name that do not all show the same certificate are a warning, even where each is good.
      - It is for all endpoints that have none of their own.
    type: str
    choices: [first, all]
    default: first
  files:
    description: Certificates on disk.
    type: list
    elements: dict
    suboptions:
      certificate:
        description: The certificate, in PEM, leaf first, or in DER.
        type: path
        required: true
      chain:
        description: The issuers' certificates, where they lie in a file of their own.
        type: path
      key:
        description: The private key that must belong to the certificate. Only its public half leaves the file.
        type: path
      key_passphrase:
        description: Passphrase of the key. It is never printed.
        type: str
      names:
        description: Names that the certificate must be valid for; a C(*) in the certificate stands for one label. Default is O(names).
        type: list
        elements: str
  match_file:
    description: Certificate file that every endpoint must serve, unless the endpoint has one of its own.
    type: path
  names:
    description:
      - Names that the certificate must be valid for; a C(*) in the certificate stands for one label.
      - It is for all endpoints and files that have none of their own.
    type: list
    elements: str
  ca_file:
    description:
      - Certificate authorities, in PEM, that chains must end at. Without it, those of the host.
      - With it, the chain of each of O(files) must end there too, as a server sends no more than they hold. Without it, that is not judged.
    type: path
  min_days:
    description: Lowest number of days that each certificate must still be valid.
    type: float
    default: 30
  min_lifetime_share:
    description: Lowest share of its lifetime that a leaf renewed by machine should have left. Below half of it, that is a failure.
    type: float
    default: 0.33
  min_remaining:
    description:
      - Shortest time that each certificate must still be valid, such as V(48h). No certificate needs more than a sixth of its own lifetime,
        as one of seven days may be renewed with little more than a day to go.
    type: str
    default: 48h
  min_version:
    description: Oldest version of TLS that may be agreed on.
    type: str
    choices: [TLSv1.2, TLSv1.3]
    default: TLSv1.2
  refuses_older:
    description:
      - Whether to offer each older version too, one more handshake each, and to fail when it is taken.
      - A version that this host's own OpenSSL does not speak, by its policy or as it was built, cannot be offered, and is V(unknown).
    type: bool
    default: false
  min_rsa_bits:
    description: Smallest RSA key.
    type: int
    default: 2048
"""

EXAMPLES = r"""
- name: The public certificate is valid for 30 more days, and the one on disk
  opsready.golive.check_tls:
    endpoints: [archive.example.org:443]
    match_file: /etc/ssl/certs/archive.crt
    files:
      - certificate: /etc/ssl/certs/archive.crt
        key: /etc/ssl/private/archive.key
    names: [archive.example.org]
    min_days: 30

- name: The database speaks TLS 1.3 and nothing older
  opsready.golive.check_tls:
    endpoints:
      - {host: db.example.org, port: 5432, starttls: postgres}
    ca_file: /etc/ssl/certs/internal-ca.pem
    min_version: TLSv1.3
    refuses_older: true

- name: Each server behind the name serves the renewed certificate, which lasts six days
  opsready.golive.check_tls:
    endpoints: [archive.example.org:443]
    addresses: all
    match_file: /etc/ssl/certs/archive.crt
    min_days: 0
    min_remaining: 36h
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
      sample: "Archive.example.org:443 days left is 12.4 days, expected at least 30 days."
    expected:
      description: What was expected, by criterion.
      type: dict
    measured:
      description: What was measured, by criterion.
      type: dict
    evidence:
      description: By endpoint and file the protocol, the trust, and each certificate's subject, issuer, dates, names and SHA-256.
      type: dict
    remedy:
      description: What to do.
      type: str
    check:
      description: Name of the check.
      type: str
      sample: check_tls
    started:
      description: When the check began, in UTC.
      type: str
    seconds:
      description: How long it took.
      type: float
"""

from ansible_collections.opsready.golive.plugins.module_utils._checks import check_tls
from ansible_collections.opsready.golive.plugins.module_utils._checks.judging import main_of


def main() -> None:
    main_of(check_tls)


if __name__ == "__main__":
    main()
