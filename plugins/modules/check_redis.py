#!/usr/bin/python
# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Does this Redis keep what it is given, and is it fit to carry jobs?"""

from __future__ import annotations

DOCUMENTATION = r"""
module: check_redis
short_description: Judge a Redis or Valkey server as broker, cache or store
version_added: 1.0.0
author:
  - The opsready.golive authors (@opsready)
description:
  - Reads C(INFO) and judges whether the server keeps what it is given, whether it has room, and whether it is the right
    node.
  - A broker is also asked C(SCAN), and C(TYPE) and C(PTTL) of 2000 keys at most, see O(max_other_keys). A user who may not
    gets a warning. With O(watch), C(INFO) is read twice more.
  - The defaults follow from O(use). A broker or a store must not evict, and a broker must write an append-only file.
  - Items of one checklist that ask the same server as the same user share one connection, those of
    M(opsready.golive.check_celery) included.
  - A server that does not answer, or that refuses the password, is V(unknown), never a pass.
extends_documentation_fragment:
  - opsready.golive.redis
  - opsready.golive.check
  - opsready.golive.attributes
attributes:
  check_mode:
    support: partial
    details: The canary writes a key, so it is not run in check mode, and is V(unknown) then.
options:
  use:
    description:
      - What the server is for. It decides the defaults of O(eviction_policies), O(persistence) and O(max_evicted_keys).
      - In a broker, many keys that no queue has are a warning, see O(max_other_keys).
    type: str
    choices: [broker, cache, store]
    default: broker
  eviction_policies:
    description:
      - Values of C(maxmemory-policy) that are accepted. The default is V(noeviction) for a broker and for a store.
      - For a cache with a memory limit, V(noeviction) is a warning.
    type: list
    elements: str
  persistence:
    description:
      - What must be written to disk. The default is V(aof) for a broker, V(either) for a store, V(optional) for a cache.
    type: str
    choices: [aof, rdb, either, optional]
  max_save_age:
    description:
      - Highest age of the last snapshot in seconds. It is V(unknown) where the server's clock is ahead of this host's, by more than this age or
        300 seconds.
    type: float
  max_unsaved_changes:
    description: Highest number of changes since the last snapshot.
    type: int
  max_delayed_fsyncs:
    description:
      - Highest number of times that the append-only file was synchronised late, since the start or within O(watch).
      - It is counted where an append-only file is written.
    type: int
  min_version:
    description: Lowest version, such as V(7.2). For Valkey its own version counts.
    type: str
  role:
    description: What the node must be.
    type: str
    choices: [master, replica, any]
    default: master
  min_replicas:
    description: Lowest number of replicas that are online.
    type: int
  max_replica_lag_bytes:
    description: Highest distance of the slowest online replica in bytes of the replication stream.
    type: int
  max_replica_lag_seconds:
    description:
      - On a master the highest time in seconds since the slowest online replica acknowledged what it got; on a replica the
        highest time since its master was heard. Each tells the other once a second.
    type: float
  cluster:
    description: Whether the server must be part of a Redis Cluster, which then must serve all 16384 slots.
    type: str
    choices: [required, refused, any]
    default: any
  min_cluster_nodes:
    description: Lowest number of nodes that the cluster knows.
    type: int
  tls:
    description: Whether the connection must be encrypted.
    type: str
    choices: [required, optional]
    default: optional
  authentication:
    description: With V(required) a second connection without a password is tried, and must be refused.
    type: str
    choices: [required, optional]
    default: optional
  max_memory_share:
    description: Highest share of C(maxmemory) in use, between 0 and 1. It is judged where C(maxmemory) is set.
    type: float
    default: 0.9
  require_maxmemory:
    description: Whether a memory limit must be set.
    type: bool
    default: false
  max_clients_share:
    description: Highest share of C(maxclients) in use, between 0 and 1.
    type: float
  max_blocked_share:
    description:
      - Highest share of C(maxclients), between 0 and 1, that waits in a blocking command, as each Celery worker does that has
        nothing to do.
    type: float
  max_rejected_connections:
    description: Highest number of clients turned away since the start, or within O(watch). Without it, any is a warning.
    type: int
  max_evicted_keys:
    description:
      - Highest number of keys evicted since the start, or within O(watch). The default is 0 for a broker and for a store.
    type: int
  watch:
    description:
      - Count evicted keys, rejected connections and delayed synchronisations for so many seconds, such as V(5), and not since
        the server was started. It must be less than O(timeout).
      - What happened before is nothing then; a counter that began anew meanwhile is V(unknown).
    type: float
  min_hit_ratio:
    description: Lowest share of reads that found their key, between 0 and 1.
    type: float
  queues:
    description: Celery queues and how long they may be. Sub-queues for priorities are counted in.
    type: list
    elements: dict
    suboptions:
      name:
        description: Name of the queue.
        type: str
        required: true
      max_length:
        description: Highest number of waiting messages.
        type: int
        required: true
  max_other_keys:
    description:
      - Highest number of keys of a broker's database that no queue has, found by a bounded C(SCAN) of 2000 keys. Without it,
        more than 100 are a warning, reckoned from those 2000 where there are more keys.
      - With it, so many among those 2000 fail, and fewer are V(unknown) where there are more keys.
      - A key that the user may not read counts as one that may be another. Its name is not told.
      - A list without a time to live is a queue. What kombu, Celery's result backend and this collection keep is not counted.
      - A cache in the broker's database asks for an eviction policy by which the broker loses jobs.
    type: int
  global_keyprefix:
    description: Celery's transport option of the same name, which stands before the name of every queue.
    type: str
    default: ""
  key_prefixes:
    description: Keys that must exist, found by a bounded C(SCAN).
    type: list
    elements: dict
    suboptions:
      prefix:
        description: What the keys begin with.
        type: str
        required: true
      min_keys:
        description: Lowest number of such keys.
        type: int
        default: 1
      min_ttl_share:
        description: Lowest share of the sampled keys that expire, between 0 and 1.
        type: float
      max_ttl:
        description: Longest time to live among the sampled keys in seconds.
        type: float
      sample:
        description: How many keys are looked at.
        type: int
        default: 1000
  canary:
    description:
      - Write, read and delete one key that expires after 30 seconds. In check mode it is not run, and V(unknown).
    type: bool
    default: false
  canary_persistence:
    description:
      - With V(fsync) the canary's key must be in the append-only file on disk within 5 seconds, told by C(WAITAOF). Redis 7.2
        and later, and Valkey; V(unknown) where the server cannot tell.
    type: str
    choices: [fsync, any]
    default: any
  min_canary_replicas:
    description: Lowest number of replicas that must have the canary's key within 5 seconds, told by C(WAIT).
    type: int
"""

EXAMPLES = r"""
- name: The broker keeps its jobs
  opsready.golive.check_redis:
    url: redis://broker.example.org:6379/0
    password: "{{ vault_redis_password }}"
    use: broker
    authentication: required
    queues:
      - {name: celery, max_length: 100}

- name: The cache evicts and its sessions expire
  opsready.golive.check_redis:
    url: rediss://cache.example.org:6380/1
    password: "{{ vault_redis_password }}"
    ca_file: /etc/ssl/certs/internal-ca.pem
    use: cache
    tls: required
    require_maxmemory: true
    key_prefixes:
      - {prefix: "session:", min_ttl_share: 1.0, max_ttl: 86400}

- name: What the broker is given reaches its disk and a replica, and it is no cache as well
  opsready.golive.check_redis:
    url: redis://broker.example.org:6379/0
    password: "{{ vault_redis_password }}"
    use: broker
    max_other_keys: 0
    canary: true
    canary_persistence: fsync
    min_canary_replicas: 1
    max_replica_lag_seconds: 10
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
      sample: "Eviction policy is allkeys-lru, expected noeviction."
    expected:
      description: What was expected, by criterion.
      type: dict
    measured:
      description: What was measured, by criterion.
      type: dict
    evidence:
      description: Version, role, memory, persistence, replication, queue lengths and counters.
      type: dict
    remedy:
      description: What to do.
      type: str
"""

from ansible_collections.opsready.golive.plugins.module_utils._checks import check_redis
from ansible_collections.opsready.golive.plugins.module_utils._checks.judging import main_of


def main() -> None:
    main_of(check_redis)


if __name__ == "__main__":
    main()
