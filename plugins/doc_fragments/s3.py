# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Connection options of every module that speaks to an S3 object store."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
requirements:
  - boto3 >= 1.34 (Python library, on the host that runs the module)
options:
  endpoint_url:
    description:
      - Where the object store is, such as V(https://minio.example.org:9000). Without it, Amazon's endpoint of O(region).
    type: str
  region:
    description: Region that requests are signed for.
    type: str
    default: us-east-1
  access_key:
    description: Id of the access key. Without it, the keys that boto3 finds on the host.
    type: str
  secret_key:
    description: Secret of the access key. It is never printed.
    type: str
  ca_file:
    description: Certificate authorities, in PEM, that the endpoint's certificate must chain to. Without it, those of the host.
    type: path
  addressing_style:
    description: Whether the bucket stands in the path, in the host name, or is left to boto3.
    type: str
    choices: [auto, path, virtual]
    default: path
"""
