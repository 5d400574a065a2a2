#!/usr/bin/python
# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Are the buckets there, do they take and keep what they are given, and is the newest object new?"""

from __future__ import annotations

DOCUMENTATION = r"""
module: check_s3
short_description: Judge buckets of an S3 object store
version_added: 1.0.0
author:
  - The opsready.golive authors (@opsready)
description:
  - Lists each bucket with the keys given, and judges what the options ask for.
  - A missing bucket, or one that refuses the canary, is V(fail). A store that does not answer, or that refuses the keys,
    is V(unknown), and so is a setting that the store cannot tell.
extends_documentation_fragment:
  - opsready.golive.s3
  - opsready.golive.check
  - opsready.golive.attributes
attributes:
  check_mode:
    support: partial
    details: The canary writes an object, so it is not run in check mode, and is V(unknown) then.
options:
  buckets:
    description: Names of the buckets. Each is judged by all options but O(newest).
    type: list
    elements: str
    required: true
  expected_region:
    description: Region that the buckets must lie in, such as V(eu-central-1), by what the store says of each.
    type: str
  versioning:
    description: Whether old versions of objects must be kept.
    type: str
    choices: [enabled, disabled, any]
    default: any
  encryption:
    description: Whether the bucket must encrypt what it stores by default.
    type: str
    choices: [required, any]
    default: any
  lifecycle:
    description: Whether there must be an active lifecycle rule.
    type: str
    choices: [required, any]
    default: any
  min_retention_days:
    description:
      - No active rule may remove objects earlier, in days, also where it is only for a prefix, a tag or a size.
      - A rule with a date in place of days fails, since from then on it removes objects of whatever age.
    type: int
  max_retention_days:
    description:
      - An active rule for the whole bucket must expire objects, and none of these later, in days.
      - A rule that is only for a prefix, a tag or a size, or that begins at a date to come, leaves the rest without limit.
      - In a bucket that has or had versioning an object that expires becomes an old version, so a rule must remove those too, and its days add up
        with the first ones.
    type: int
  object_lock:
    description: Whether object lock must be enabled.
    type: str
    choices: [required, any]
    default: any
  min_lock_days:
    description: Lowest default retention of object lock in days.
    type: int
  public_access:
    description:
      - With V(refused) the bucket is listed without a signature, which must be refused. So must be reading the canary, with O(canary). Its policy
        must let nobody in whom it does not name, unless a public access block keeps the policy from counting.
      - A policy that may not be read, or that lets in under a condition or by C(NotPrincipal), is V(unknown) unless the canary or such a block
        tells. So is one that lets everybody in while the public access block may not be read.
    type: str
    choices: [refused, any]
    default: any
  newest:
    description: Prefixes under which something new must lie, such as backups.
    type: list
    elements: dict
    suboptions:
      bucket:
        description: One of O(buckets).
        type: str
        required: true
      prefix:
        description: What the keys begin with.
        type: str
        default: ""
      max_age:
        description:
          - Highest age of the newest object in seconds.
          - Where the store says that it was written more than 300 seconds after what this host's clock shows, its age is V(unknown).
        type: float
        required: true
      min_size:
        description: Lowest size of the newest object in bytes.
        type: int
        default: 1
      max_listed:
        description: How many objects are listed at most. With more the item is V(unknown).
        type: int
        default: 100000
  max_clock_skew:
    description: Highest difference between this host's clock and the store's, in seconds.
    type: float
    default: 300.0
  canary:
    description:
      - Write one object to each bucket, read it, compare its SHA-256, and delete it, by its version where there are versions.
      - It is not written where a default retention would keep it. In check mode it is not run, and V(unknown).
    type: bool
    default: false
  canary_prefix:
    description: What the canary's key begins with.
    type: str
    default: opsready-canary/
  canary_bytes:
    description: Size of the canary in bytes, at most 8 MiB.
    type: int
    default: 1024
"""

EXAMPLES = r"""
- name: The documents' bucket takes what it is given
  opsready.golive.check_s3:
    endpoint_url: https://minio.example.org:9000
    access_key: archive
    secret_key: "{{ vault_s3_secret_key }}"
    buckets: [documents]
    canary: true
    public_access: refused

- name: Backups are fresh, versioned and kept for 30 days
  opsready.golive.check_s3:
    endpoint_url: https://minio.example.org:9000
    access_key: backup
    secret_key: "{{ vault_s3_secret_key }}"
    buckets: [backups]
    expected_region: eu-central-1
    versioning: enabled
    min_retention_days: 30
    newest:
      - {bucket: backups, prefix: archive/, max_age: 90000, min_size: 1000000}
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
      sample: "Bucket documents is missing, expected there."
    expected:
      description: What was expected, by criterion.
      type: dict
    measured:
      description: What was measured, by criterion.
      type: dict
    evidence:
      description: What was read of each bucket, the newest objects, and the canary's outcome with its seconds.
      type: dict
    remedy:
      description: What to do.
      type: str
"""

from ansible_collections.opsready.golive.plugins.module_utils._checks import check_s3
from ansible_collections.opsready.golive.plugins.module_utils._checks.judging import main_of


def main() -> None:
    main_of(check_s3)


if __name__ == "__main__":
    main()
