#!/usr/bin/python
# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Do names resolve to what they should, and are ports open or closed, as seen from this host?"""

from __future__ import annotations

DOCUMENTATION = r"""
module: check_net
short_description: Judge DNS answers, and open and closed ports
version_added: 1.0.0
author:
  - The opsready.golive authors (@opsready)
description:
  - Sees the network from the host that it runs on. An item with C(hosts) V(controller) looks from outside; the same item on the host itself, from
    inside.
  - Without a name server, addresses are what the programs of the host get for the name, its hosts file included.
  - Only a refusal proves that a port is closed. A time-out, or a router's word that nobody can be reached, is C(filtered).
  - A port that must be open is tried at every address of its host, over IPv4 and IPv6. One dead address is an outage for some.
  - A name server that does not answer, or answers that it cannot, makes the finding V(unknown).
extends_documentation_fragment:
  - opsready.golive.check
  - opsready.golive.attributes
requirements:
  - dnspython >= 2.6 (Python library, on the host that runs the module) for name servers, for O(dns[].max_ttl), and for types other than A and AAAA
options:
  dns:
    description: Names, and what they must resolve to.
    type: list
    elements: dict
    suboptions:
      name:
        description: The whole name. No search list is applied to it where a name server is asked.
        type: str
        required: true
      type:
        description: Type of the record. For V(A) and V(AAAA) aliases are followed.
        type: str
        choices: [A, AAAA, CNAME, MX, NS, TXT]
        default: A
      servers:
        description:
          - Name servers to ask, each as V(10.0.0.53), V(10.0.0.53:5353), V([2001:db8::53]:5353), or a name. Each must answer what is expected.
          - Without it, the host's own resolver is asked.
        type: list
        elements: str
      expect:
        description:
          - Values that are expected. Without it, any record will do. Names are compared without case and last dot, addresses by value.
          - Of V(MX), V(mail.example.org) leaves the preference open, and V(10 mail.example.org) does not.
        type: list
        elements: str
      match:
        description: Whether the values must be exactly those of O(dns[].expect), hold all of them, or hold any of them.
        type: str
        choices: [exact, all, any]
        default: exact
      exists:
        description: Whether there must be a record. With V(false) there must be none.
        type: bool
        default: true
      max_ttl:
        description: Longest lifetime of the record in seconds, as it is now. A cache counts it down; ask the zone's own server for the whole.
        type: int
      level:
        description: How bad it is when this does not hold.
        type: str
        choices: [fail, warn]
        default: fail
  ports:
    description: TCP ports that must be open or closed.
    type: list
    elements: dict
    suboptions:
      host:
        description: Name or address to connect to.
        type: str
        required: true
      ports:
        description: Numbers of the ports.
        type: list
        elements: int
        required: true
        aliases: [port]
      expect:
        description: What each of them must be.
        type: str
        choices: [open, closed]
        default: open
      family:
        description: Which addresses of the host are tried. V(both) demands that there are some of each family.
        type: str
        choices: [any, ipv4, ipv6, both]
        default: any
      addresses:
        description: Whether an open port must be open at all addresses or at any. A closed one must be closed at all.
        type: str
        choices: [all, any]
        default: all
      filtered_is_closed:
        description: Whether a port that answers nothing counts as closed, which is then the firewall's word.
        type: bool
        default: false
      level:
        description: How bad it is when this does not hold.
        type: str
        choices: [fail, warn]
        default: fail
  connect_timeout:
    description: Time for one connection in seconds, after which a port is C(filtered).
    type: float
    default: 3.0
"""

EXAMPLES = r"""
- name: The name leads to the new servers, and the way back is quick
  opsready.golive.check_net:
    dns:
      - {name: archive.example.org, expect: [192.0.2.10, 192.0.2.11], max_ttl: 300, servers: [ns1.example.org, ns2.example.org]}
      - {name: archive.example.org, type: AAAA, servers: [ns1.example.org]}
      - {name: example.org, type: MX, expect: [mail.example.org], servers: [ns1.example.org]}
      - {name: example.org, type: TXT, expect: ["v=spf1 mx -all"], match: all, servers: [ns1.example.org]}
      - {name: old.example.org, exists: false, servers: [ns1.example.org]}

- name: From outside, the proxy is open and nothing else is
  opsready.golive.check_net:
    ports:
      - {host: archive.example.org, ports: [80, 443]}
      - {host: archive.example.org, ports: [8000, 5432, 6379], expect: closed, filtered_is_closed: true}
  delegate_to: localhost
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
      sample: "Port archive.example.org:5432 is open, expected closed."
    expected:
      description: What was expected, by criterion.
      type: dict
    measured:
      description: What was measured, by criterion.
      type: dict
    evidence:
      description: Every answer with its lifetime, and what each port was at each address.
      type: dict
    remedy:
      description: What to do.
      type: str
"""

from ansible_collections.opsready.golive.plugins.module_utils._checks import check_net
from ansible_collections.opsready.golive.plugins.module_utils._checks.judging import main_of


def main() -> None:
    main_of(check_net)


if __name__ == "__main__":
    main()
