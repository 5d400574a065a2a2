#!/usr/bin/python
# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Back up a PostgreSQL database so that the backup is known to restore."""

from __future__ import annotations

DOCUMENTATION = r"""
module: pg_backup
short_description: Back up a PostgreSQL database, and prove the backup
version_added: 1.0.0
author:
  - The opsready.golive authors (@opsready)
description:
  - Streams C(pg_dump) in one snapshot to an object store or a directory, in bounded memory and without a temporary file, while rows and
    contents of the same snapshot are counted beside it. With O(format=directory) several jobs of C(pg_dump) share that snapshot.
  - The object is committed only after C(pg_dump) ended with 0 and its size and checksum were read back. By default it is then restored into
    a scratch database and compared table by table. The manifest is written last; a backup without one does not exist.
  - The roles that the database needs, which C(pg_dump) leaves out, lie beside the archive as SQL, without their passwords. C(psql -f) makes those that
    a server lacks. The tablespaces that the database lies in, and the security labels of the roles, are in that file too, as comments, since
    their directories are another server's own, and their providers may be.
  - With O(encryption) what is stored is what the stock C(age) tool reads, C(age -d -i key.txt archive | pg_restore), and the host that made it cannot read it
    again. The names end with C(.age).
  - After any failure, and after SIGTERM, no object, no open upload, no scratch database and no process is left. What SIGKILL or a power cut leaves is
    no backup; the next backup of the same release removes it, and so does M(opsready.golive.pg_restore) with V(swept).
  - The server may be a standby; then O(verify_dsn) names a server that can be written to. A standby has no rows of unlogged tables.
    With C(hot_standby_feedback=off) its primary may clear away what a long dump still reads, which a warning says.
options:
  database:
    description: Name of the database, where it is not the one of O(dsn). A fenced database is backed up under the name that it had before.
    type: str
  destination:
    description: Where backups lie, as V(s3://bucket/prefix) or V(file:///directory). The directory must be there.
    type: str
    required: true
  s3:
    description: How to reach the object store, where O(destination) or the backup is in one.
    type: dict
    suboptions:
      endpoint_url:
        description: Where the object store is, such as V(https://minio.example.org:9000). Without it, Amazon's endpoint of O(s3.region).
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
      checksums:
        description: Whether uploads carry a CRC32 of each part and of the whole. Choose V(none) for a store that refuses them.
        type: str
        choices: [full_object, none]
        default: full_object
  upload:
    description:
      - What an object store is asked for with the archive, its roles and its manifest. All of it travels as headers of the uploads themselves, and is
        read back from the store; what it took without is removed, and the module fails.
    type: dict
    suboptions:
      object_lock:
        description:
          - For how long nobody may remove the backup. The bucket must have been made with object lock, or the module refuses before the dump.
          - The lock begins with the upload. An archive whose proof fails is locked as well - it has no manifest, so nothing takes it for a backup, and
            the failure names it in C(left_behind).
        type: dict
        suboptions:
          mode:
            description: V(governance) can be lifted by those with that right, V(compliance) by nobody.
            type: str
            choices: [governance, compliance]
            required: true
          days:
            description: So many days from the beginning of the backup on, by the clock of the host that runs the module.
            type: int
            required: true
      tags:
        description: Tags of the objects, ten at most, for the store's own rules. Not for secrets, since whoever may list them reads them.
        type: dict
      server_side_encryption:
        description: How the store encrypts the objects. Without it, as the bucket does by default.
        type: str
        choices: [AES256, "aws:kms"]
      kms_key_id:
        description: Key that V(aws:kms) encrypts with. Without it, the account's own for the store.
        type: str
  format:
    description:
      - V(custom) is one file, streamed, which needs no room on the host. V(directory) is a file for each table, which O(jobs) of C(pg_dump) write and
        as many of C(pg_restore) read. Take it where several large tables make a backup or its proof too long; one table is one job's.
      - Each file of a directory is an object of its own below the archive's name, with size and digest in the manifest, and everything that holds for
        one file holds for each of them. C(backup.sha256) is then the digest of C(LC_ALL=C sha256sum * | sha256sum) among them.
      - The playbooks of a go-live take V(custom) alone, since C(ROLLBACK.md) restores one file.
    type: str
    choices: [custom, directory]
    default: custom
  jobs:
    description:
      - With O(format=directory) alone, so many jobs dump, and restore for the proof. They share the snapshot of the counts. Each is a session on the server,
        beside two of the module. As many files are stored and read back at once, each with up to three parts of 8 MiB in memory.
    type: int
    default: 1
  work_dir:
    description:
      - Directory on the host with room for the archive as files. It is needed with O(format=directory) where O(destination) is an object store, or with
        O(encryption), since C(pg_dump) cannot stream a directory; elsewhere it is not used.
      - It must have as many bytes free as the database has, and twice as many with O(compression=none), or the module refuses before the dump and
        tells both figures. That is an estimate; where the disk is full in spite of it, the backup fails and leaves nothing.
      - While the module works, the dump lies there as it is, not encrypted, in a directory of mode 0700. At its end it is gone; after SIGKILL
        M(opsready.golive.pg_restore) with V(swept) removes it.
    type: path
  compression:
    description:
      - How C(pg_dump) compresses. V(auto) takes the best that this very C(pg_dump) was built with. Where that is gzip, it is at level 3, in half the time
        of C(pg_dump)'s own level 6, which V(gzip) takes, for a few percent more room.
    type: str
    choices: [auto, zstd, gzip, lz4, none]
    default: auto
  compression_level:
    description:
      - Level of O(compression), such as V(9) of gzip, which has 1 to 9. Without it, C(pg_dump)'s own of the method. V(auto) and V(none) take none, and
        a level that this very C(pg_dump) does not know is refused before the dump.
    type: int
  encryption:
    description:
      - Encrypt the archive and the roles beside it in the age v1 format, as C(pg_dump) writes them and before they leave the host. Size and
        checksums of the manifest are those of what is stored.
      - Proof needs no key on the host. The module makes an identity for this one run, encrypts to it as well, and reads back with it what is
        stored, as O(verify) says. It is in the memory of the module alone, and gone with it; of a backup with O(verify=head), which decrypts nothing, there
        is none. So the header of an archive may name one recipient more than O(encryption.recipients).
      - On two cores a dump of 670 MB that C(pg_dump) did not compress took 1.3 to 1.5 times as long with it, and 10 MB more of memory. Where C(pg_dump)
        compressed, which takes far longer than either, no difference was to be seen.
      - The manifest stays readable for who looks for backups. It names tables, with their rows and a hash of their content, owner and grants
        of the database, the queries of O(verify_sql) with their answers, and the recipients. Settings and comment of the database, which may hold
        secrets, are encrypted in it.
    type: dict
    suboptions:
      recipients:
        description:
          - Public keys of those who may read the backup, each of them alone, such as V(age1qpx8j2w9yv6ffkptm0zfedg3w7l9ufl4yrt0qx8tdq5s6kys3suqv0k2pm).
            C(age-keygen) makes a pair of an identity and its public key.
          - SSH public keys (V(ssh-ed25519) and V(ssh-rsa)) are taken too.
          - That somebody still has the identity no backup can prove. M(opsready.golive.pg_restore) with O(opsready.golive.pg_restore#module:identity)
            and O(opsready.golive.pg_restore#module:state=verified) does.
        type: list
        elements: str
        required: true
      identity:
        description:
          - An identity that a restore will be given. When it reads nothing that is encrypted to O(encryption.recipients), the backup is refused before it is
            made, in check mode too. It is used for nothing else, is never printed, and never written to a file.
        type: str
  compare:
    description:
      - What is taken from the snapshot to be compared with. V(content) adds a hash over each table, which reads every row once more.
    type: str
    choices: [rows, content]
    default: content
  verify:
    description:
      - How the backup is proven. V(restore) restores it into a scratch database and compares. V(archive) decodes all of it and counts rows,
        without a server. V(head) proves only that what is stored is what was written.
      - V(restore) is right wherever there is the room and the time. V(archive) takes about half as long and needs neither room nor server, for databases
        too large for a scratch restore. V(head) costs next to nothing, and does not notice what C(pg_dump) wrote wrong.
      - A login that is no superuser leaves publications out of the scratch database, and so of the comparison. Event triggers cannot be left out; with some
        in the database, V(restore) needs a login that may make them, and is refused before the dump without one.
      - A warning says where a way back would need a superuser for a publication, or where that could not be tried, since the login has no CREATE on the
        maintenance database.
    type: str
    choices: [head, archive, restore]
    default: restore
  verify_dsn:
    description: Another server for the scratch database. Without it, the one of O(dsn), which needs the room.
    type: str
  verify_password:
    description: Password for O(verify_dsn). It is never printed.
    type: str
  amcheck:
    description:
      - Check the restored database with C(pg_amcheck) too - the pages of its tables, and each B-tree index against its table. An index whose
        operator class or collation contradicts itself is found so, and by nothing else here.
      - It needs PostgreSQL 14, its extension C(amcheck), and a superuser's login on the server of the scratch database. It needs O(verify=restore).
    type: bool
    default: false
  verify_sql:
    description:
      - Your own queries against the restored database, each in a read-only transaction. The first column of the first row is compared.
      - Their tables are named with their schemas, as V(public.orders), since no search path is set.
      - They need O(verify=restore). One that names what the database does not have is refused before the dump, in check mode too.
    type: list
    elements: dict
    default: []
    suboptions:
      query:
        description: The query.
        type: str
        required: true
      expect:
        description: What it must give, as text.
        type: str
        required: true
  after_lsn:
    description:
      - Position in the server's log that a standby must have replayed, such as C(position.lsn) of M(opsready.golive.pg_fence). One that has not is waited
        for as O(catch_up_timeout) says, in check mode too, and then refused, since what was written until then would be missing from the backup.
      - Without it, a standby must show the fence of the O(release) that the backup is for.
    type: str
  after_system_identifier:
    description:
      - Cluster that O(after_lsn) is of, as C(position.system_identifier) of M(opsready.golive.pg_fence). A server of another one is refused, whether it is a
        standby or not. Without it and O(after_timeline) the position alone is compared, which a warning says.
    type: str
  after_timeline:
    description:
      - Timeline that O(after_lsn) is of, as C(position.timeline) of M(opsready.golive.pg_fence). A server on a later one, as a standby is once it was
        promoted, is refused unless the history of its timelines tells that it had come so far before. To read that takes C(pg_read_server_files) and
        C(EXECUTE) on C(pg_read_file).
    type: int
  catch_up_timeout:
    description:
      - Seconds that a standby is waited for until it has replayed the fence, within O(timeout). A warning tells how far behind it is. V(0) refuses it
        at once.
    type: float
    default: 300.0
  standbys:
    description:
      - DSN of each standby whose sessions a way back would end, as O(opsready.golive.pg_restore#module:standbys) has them. The backup reads nothing
        there. Each is asked now, in check mode too, and one that cannot be reached, is no standby, or is of another cluster is refused while nothing
        is changed yet.
    type: list
    elements: str
    default: []
  beside_copy:
    description:
      - Whether M(opsready.golive.pg_fence) with O(opsready.golive.pg_fence#module:copy=true) makes a copy before this backup. It stands beside the scratch
        database of the proof, so where both are on one file system, there must be room for both. A copy that this fence has made already takes no more.
      - This only judges the room, and makes no copy. With V(false) no copy's room is counted.
    type: bool
    default: false
  max_age:
    description:
      - When a backup is not older than this many seconds, was proven at least as well as O(verify), O(compare), O(amcheck) and O(verify_sql) ask,
        is encrypted to the recipients of O(encryption) and no others, and lies at its place in its full size, nothing is done. Where
        O(upload.object_lock) is asked for, it was locked too.
    type: float
  keep:
    description:
      - Which backups of this database stay at O(destination) once a new one is proven. Without it, all do. The newest of each of so many periods that
        have one stays, and whatever any rule keeps stays. Times are in UTC.
      - Only proven backups are counted or removed. Nothing is removed when the backup just made is not the newest of them, which check mode tells as well.
        What a store's object lock holds is left whole, with a warning.
      - Whatever the rules say, the newest of those that were proven best stays - V(restore) before V(archive) before V(head). So a nightly backup with
        O(verify=head) never takes the place of the last one that was restored. One that M(opsready.golive.pg_restore) restored since, as its record
        tells, counts as V(restore), and one whose last record says that this failed as less than V(head). The records of a backup go with it.
      - Where a record beside one of them cannot be read, nothing is removed, with a warning.
    type: dict
    suboptions:
      last:
        description: So many of the newest.
        type: int
        default: 0
      hourly:
        description: Of so many hours.
        type: int
        default: 0
      daily:
        description: Of so many days.
        type: int
        default: 0
      weekly:
        description: Of so many weeks, which begin on Mondays.
        type: int
        default: 0
      monthly:
        description: Of so many months.
        type: int
        default: 0
      yearly:
        description: Of so many years.
        type: int
        default: 0
      min_keep:
        description: At least so many stay, whatever the rules say.
        type: int
        default: 1
  revision_table:
    description: Table that holds the schema's revision, which is noted in the manifest.
    type: str
    default: alembic_version
  pg_bindir:
    description:
      - Directory with C(pg_dump) and C(pg_restore). Without it, those of the lowest version that is not older than the server are taken
        from the usual places.
    type: path
  maintenance_database:
    description: Database to work from while others are renamed. V(postgres) unless that is the one to be changed.
    type: str
  timeout:
    description: Seconds for everything.
    type: float
    default: 3600.0
extends_documentation_fragment:
  - opsready.golive.postgres
  - opsready.golive.release
  - opsready.golive.progress
  - opsready.golive.attributes
requirements:
  - pg_dump and pg_restore, not older than the server
  - boto3 >= 1.34 (Python library) for an object store; before 1.36 it knows no checksum of the whole, and V(head) reads the object back
  - pyrage >= 1.2.3 (Python library) for O(encryption)
attributes:
  check_mode:
    support: full
  diff_mode:
    support: partial
    details: Which backups O(keep) leaves.
  idempotent:
    support: partial
    details: With O(max_age) only. Otherwise each run makes a backup.
  action:
    support: full
seealso:
  - module: opsready.golive.pg_restore
  - module: opsready.golive.pg_fence
"""

EXAMPLES = r"""
- name: Back up the archive and prove it
  opsready.golive.pg_backup:
    dsn: postgresql://golive@db.example.org/archive
    password: "{{ database_password }}"
    destination: s3://backups/archive
    s3:
      endpoint_url: https://minio.example.org:9000
      access_key: "{{ backup_access_key }}"
      secret_key: "{{ backup_secret_key }}"
    verify_sql:
      - query: select count(*) > 0 from users
        expect: "True"
  register: backup

- name: A backup that nobody removes for 30 days
  opsready.golive.pg_backup:
    dsn: postgresql://golive@db.example.org/archive
    password: "{{ database_password }}"
    destination: s3://locked-backups/archive
    s3:
      endpoint_url: https://minio.example.org:9000
      access_key: "{{ backup_access_key }}"
      secret_key: "{{ backup_secret_key }}"
    upload:
      object_lock: {mode: governance, days: 30}
      tags: {system: archive}
      server_side_encryption: AES256

- name: A backup in a directory, unless there is one of today
  opsready.golive.pg_backup:
    dsn: postgresql://golive@db.example.org/archive
    password: "{{ database_password }}"
    destination: file:///var/backups/archive
    max_age: 86400

- name: Four jobs, a file for each table
  opsready.golive.pg_backup:
    dsn: postgresql://golive@db.example.org/archive
    password: "{{ database_password }}"
    destination: file:///var/backups/archive
    format: directory
    jobs: 4
    compression: gzip
    compression_level: 1

- name: A backup that this host cannot read once it is made
  opsready.golive.pg_backup:
    dsn: postgresql://golive@db.example.org/archive
    password: "{{ database_password }}"
    destination: file:///var/backups/sealed
    encryption:
      recipients:
        - age1qpx8j2w9yv6ffkptm0zfedg3w7l9ufl4yrt0qx8tdq5s6kys3suqv0k2pm
"""

RETURN = r"""
backup:
  description: The backup. C(backup.manifest) is what M(opsready.golive.pg_restore) takes as O(opsready.golive.pg_restore#module:backup).
  type: dict
  returned: on success, but not in check mode
  sample:
    manifest: s3://backups/archive/archive/20261122T010203Z-1f2e3d4c.dump.age.manifest.json
    archive: s3://backups/archive/archive/20261122T010203Z-1f2e3d4c.dump.age
    roles: s3://backups/archive/archive/20261122T010203Z-1f2e3d4c.dump.roles.sql.age
    database: archive
    created: "2026-11-22T01:02:03.004Z"
    size_bytes: 1465529
    sha256: 2547fc101dfcec91674f36f15dfc3b065a535277783dc76e05dc17446c789d2a
    format: custom
    encryption:
      format: age
      recipients: [age1qpx8j2w9yv6ffkptm0zfedg3w7l9ufl4yrt0qx8tdq5s6kys3suqv0k2pm]
    rows: 50123
    tables: 12
    revision: ["0002"]
    snapshot: "773:773:"
    tablespaces: [{name: fast, owner: postgres, location: /srv/fast, options: ["random_page_cost=1.1"]}]
    server_side_encryption: AES256
    lock: {mode: GOVERNANCE, until: "2026-12-22T01:02:03.000Z"}
verified:
  description: How the backup was proven, what was compared, and how long it took.
  type: dict
  returned: on success, but not in check mode
  sample:
    level: restore
    ok: true
    compared: rows and content
    tables: 12
    rows: 50123
    schema_equal: true
    restore_seconds: 3.1
    seconds: 3.9
seconds:
  description: Seconds of each phase.
  type: dict
  returned: on success, but not in check mode
  sample: {dump: 5.3, verify: 8.9}
pruned:
  description: Manifests of the backups that were or would be removed.
  type: list
  elements: str
  returned: when O(keep) is given and a backup was or would be made
  sample: []
plan:
  description:
    - What preflight found, and what was or would be done. C(plan.destination) is what the place tells of itself - C(free_bytes) of a directory; of a
      bucket C(versioning), C(object_lock) with C(enabled) and C(default), and C(encryption), each null where it does not tell.
    - C(plan.memory_bytes) is what the parts of the upload take of the host's memory at most, and null for a directory. An object has 10,000 parts, so
      those of a database beyond 60 GiB are larger; where it is more than 1 GiB, a warning says so.
    - C(plan.room) has C(scratch_bytes), what the scratch database will take by the last proof or by the size of the database, C(wal_bytes), what its
      restore writes to the server's log, and C(copy_bytes), what a copy of M(opsready.golive.pg_fence) takes.
    - C(plan.room.server) has C(free_bytes) and C(wal_free_bytes) of that server where its C(data_directory) is this host's and the login may be told of
      it (as a member of pg_read_all_settings), else null. Where that is seen, and is too little for the scratch database, the module refuses before the
      dump. Of its log, a server removes what is beyond C(max_wal_size_bytes), unless a slot or an archive waits for it.
    - C(plan.work_dir) has C(path), C(free_bytes) and C(needed_bytes) where O(work_dir) is needed, else it is null. C(plan.replication) lists logical
      replication slots (with C(active) and C(confirmed_flush_lsn)) and subscriptions (with C(enabled) and C(slot_name)) of the database, which no archive
      has, and which the manifest therefore notes as C(server.replication), and C(plan.standbys) the standbys that follow the server.
    - With O(encryption) C(plan.age) is the path of the stock program that reads such a backup, null where this host has none.
  type: dict
  returned: when a backup was or would be made
  sample:
    database_bytes: 14685887
    server_version: 180006
    compression: gzip
"""

from ansible_collections.opsready.golive.plugins.module_utils._actions import pg_backup
from ansible_collections.opsready.golive.plugins.module_utils._core.guard import run_module


def main() -> None:
    run_module(pg_backup.ARGUMENT_SPEC, pg_backup.body)


if __name__ == "__main__":
    main()
