#!/usr/bin/python
# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Does the backup restore, what would be lost by going back to it, and bring it back."""

from __future__ import annotations

DOCUMENTATION = r"""
module: pg_restore
short_description: Bring a PostgreSQL database back, or prove that it could be
version_added: 1.0.0
author:
  - The opsready.golive authors (@opsready)
description:
  - A database is restored into a new one, compared with its manifest, given what belonged to the old one (owner, grants, connection limit,
    settings, comment), its sequences advanced past what was given out, and then swapped in by two renames in one transaction. What it replaces is
    kept as C(<name>_failed_<id>).
  - Publications of all tables or of schemas, and event triggers, are made by superusers and by the logins of some providers alone. Whether O(dsn) has such
    a login is tried, and rolled back, before anything is restored - in O(maintenance_database), and publications, where the login has no CREATE
    there, in the new database while that is empty. What check mode could not try, a warning says.
  - A database that is not fenced is live, and refused. So is a way back that is not proven lossless, unless O(accept_data_loss) is set.
options:
  state:
    description:
      - V(verified) restores into a scratch database, compares and drops it. With O(record) it leaves a record of that beside the backup.
      - V(restored) brings the database back.
      - V(extracted) brings the O(tables) and O(schemas) out of a backup, into a new database beside the live one, and compares their rows and
        content with the manifest. Nothing that is there is written into - copy from it what you want, and drop it.
      - V(assessed) counts what was written since O(baseline), O(since_snapshot) or the backup, and returns a new baseline. It changes nothing.
      - V(listed) lists the backups at O(destination).
      - V(swept) removes what runs of M(opsready.golive.pg_backup) and of this module left when they were killed - databases that they were making
        for this one, on the server of O(dsn), and at O(destination) uploads that were never completed, and archives and files without a manifest.
        With O(restore_id) or O(release) those of that id, else those of any. Check mode says which. Copies of archives in O(work_dir) as well.
      - Only what carries our mark, and whose maker is gone, is removed; its name, OID and mark are read again right before. What a living run
        is at, on whichever host, is left, and so are backups, and databases that were kept on purpose.
    type: str
    choices: [verified, restored, extracted, assessed, listed, swept]
    required: true
  database:
    description: Live name of the database, where it is not the one of O(dsn).
    type: str
  target:
    description:
      - Name that the restored database gets. The live name, or the fenced one, which keeps the fence up. For V(assessed), the database to look
        at; the fenced one if there is one, else the live one.
      - For V(extracted), the name of the new database, which must not be there. Without it, C(<name>_extract_<id>).
    type: str
  backup:
    description:
      - URL of a backup's manifest. Without it, the newest proven backup at O(destination) whose last restore did not fail by its O(record). A warning
        names those passed over, and where none is left it is refused. V(verified) takes the newest whatever its records say.
      - One that is named is taken although its last restore failed, with a warning.
    type: str
  destination:
    description: Where backups lie, as V(s3://bucket/prefix) or V(file:///directory).
    type: str
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
  identity:
    description:
      - The age identity that reads an encrypted backup, as the text of the file that C(age-keygen) made, or of an SSH private key without a
        passphrase. Several identities may stand in it, one a line. It is needed for V(verified) and V(restored).
      - It is never printed, is given to no program, and is written to no file. With a backup that is not encrypted it is not looked at.
    type: str
  copy:
    description: Instead of a backup, take the template copy that M(opsready.golive.pg_fence) made.
    type: str
  tables:
    description:
      - For V(extracted), the tables, with their rows, indexes, constraints, triggers and sequences, and with what they need, such as types,
        functions and extensions. A partitioned table brings its partitions.
      - A name is matched whole, in upper and lower case as it is, as C(schema.table), or as C(table) where one schema has it. Write
        C("schema"."table") where a name holds a dot. A name that the backup does not have is an error that names the nearest ones.
      - What would need a table that was not asked for, such as a foreign key, is left out, and told as C(left_out) in RV(extracted).
    type: list
    elements: str
    default: []
  schemas:
    description: For V(extracted), the schemas, with all that is in them; matched as O(tables) are.
    type: list
    elements: str
    default: []
  restore_id:
    description:
      - What the names are made of; the one that the fence was made with. Without it, the id of O(release).
      - For V(extracted), without it, the time of the backup and a digest of what is asked for, so that the same call finds what it made.
    type: str
  baseline:
    description:
      - What V(assessed) returned earlier as RV(baseline), taken behind the fence right after the migration. What was written since then is what
        would be lost; the migration's own rows are not.
    type: dict
  since_snapshot:
    description: A snapshot as C(pg_current_snapshot()) gives it. Deletes are not known then.
    type: str
  own_rows:
    description: Rows that the release itself wrote, such as those of a smoke test. They are counted apart.
    type: list
    elements: dict
    default: []
    suboptions:
      table:
        description: The table, with its schema unless that is C(public).
        type: str
        required: true
      column:
        description: A column that tells them.
        type: str
        required: true
      values:
        description: The values, as text, that the column has in them.
        type: list
        elements: str
        required: true
  accept_data_loss:
    description: Go back although something would be lost, or although that is not known.
    type: bool
    default: false
  replication:
    description:
      - What is to become of logical replication slots and subscriptions of the database that gives way. No archive has them, and they
        cannot be moved; who reads a slot finds none in the database that is brought back, and a subscription is not in it.
      - With V(refuse) nothing is brought back while there are any. With V(leave) they stay with the database that is kept, and
        RV(replication) lists them, to be made anew.
    type: str
    choices: [refuse, leave]
    default: refuse
  standbys:
    description:
      - DSN of each physical standby of the server, as in O(dsn); its login and password are the same there. For V(restored), sessions on a
        standby go on reading the database that gave way, without an error. All standbys are asked at once, waited for until they have replayed
        the swap, for half a minute at most, and those sessions are ended until none is left.
      - Standbys behind another standby, or fed by an archive alone, are not seen from the server; name them too.
    type: list
    elements: str
    default: []
  unfreed_standbys:
    description:
      - With V(refuse) nothing is brought back while more standbys follow the server than O(standbys) names, or while one of those cannot be
        reached or is none. Where one does not come so far after the swap, the database is back, the module fails, and running it again does
        the rest.
      - With V(leave) the database is brought back all the same, and a warning and the C(problem) in RV(standbys) tell which sessions may
        still read what it replaced. V(ignore) is the same, and says nothing of standbys that are not named.
    type: str
    choices: [refuse, leave, ignore]
    default: refuse
  compare:
    description:
      - What of the restored database is compared with the manifest. The schema is too, where the server's major version and C(pg_dump) are those of
        the backup.
    type: str
    choices: [rows, content]
    default: content
  amcheck:
    description:
      - Check the restored database with C(pg_amcheck) too - the pages of its tables, and each B-tree index against its table. An index whose
        operator class or collation contradicts itself is found so, and by nothing else here.
      - It needs PostgreSQL 14, its extension C(amcheck), and a superuser's login on the server of the scratch database. It is for V(verified).
    type: bool
    default: false
  record:
    description:
      - For V(verified), leave a record of the proof beside the backup, as C(<archive>.restored-<time>-<random>.json) - which archive was restored where,
        how long that took, what was compared, and whether it was equal. M(opsready.golive.check_backup) judges the
        age and the time of the newest with O(opsready.golive.check_backup#module:max_proof_age) and
        O(opsready.golive.check_backup#module:max_restore_time).
      - Where what was restored is not what was backed up, or the archive is not what was written or cannot be read, the record says so. It
        does where the archive is what was written and still cannot be restored - it is damaged inside, or the server refuses one of its statements
        with an SQLSTATE that tells of the data or the schema.
      - A proof that ended by something else - no time left, no space, no right, a pg_restore that is older than the pg_dump - leaves none, since it
        tells nothing of the backup. Nor does one of which that cannot be told, such as rows that a server refuses.
      - The manifest is not changed. M(opsready.golive.pg_backup) removes the records of a backup with it, and keeps the newest backup that was
        restored.
      - A record holds no row of the database, and no answer to O(verify_sql). Where the place takes none, such as with keys that may only read,
        the proof stands and a warning says so.
    type: bool
    default: true
  verify_sql:
    description:
      - Your own queries against the restored database, each in a read-only transaction. The first column of the first row is compared.
      - Their tables are named with their schemas, as V(public.orders), since no search path is set.
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
  min_age:
    description:
      - For V(swept), what lies at O(destination) is left until it is so many seconds old. Without it, V(0) where an id is given, else a day. A run is seen
        to be alive by its session on the server that it backs up, which is another one where backups are taken from a standby.
    type: float
  jobs:
    description:
      - So many jobs of C(pg_restore), for V(verified), V(restored) and V(extracted). More than one need the archive as files - those of a
        C(file:///) destination as they lie, else a copy in O(work_dir), of which as many are read at once.
    type: int
    default: 1
  work_dir:
    description:
      - Directory on the host with room for a copy of the archive, of the size of the backup. It is needed for a backup of the directory format, and with
        several O(jobs), where that lies in an object store or is encrypted. What is there is checked against the manifest before anything is restored, is
        decrypted, and lies in a directory of mode 0700 that is gone at the end.
      - Where it has less room, the module refuses with both figures. For V(swept), it is looked through for what killed runs left there.
    type: path
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
  - boto3 >= 1.34 (Python library) for an object store
  - pyrage >= 1.2.3 (Python library) for an encrypted backup
attributes:
  check_mode:
    support: full
  diff_mode:
    support: partial
    details: For V(restored), V(extracted) and V(swept); of the other states, V(verified) with O(record) adds a record, and the rest change nothing.
  idempotent:
    support: partial
    details: Each V(verified) with O(record) is a proof of its own and leaves a record of its own.
  action:
    support: full
seealso:
  - module: opsready.golive.pg_backup
  - module: opsready.golive.pg_fence
"""

EXAMPLES = r"""
- name: Prove that last night's backup restores
  opsready.golive.pg_restore:
    state: verified
    dsn: postgresql://golive@db.example.org/archive
    password: "{{ database_password }}"
    destination: file:///var/backups/archive

- name: Prove that an encrypted one does, and that its identity is at hand
  opsready.golive.pg_restore:
    state: verified
    dsn: postgresql://golive@db.example.org/archive
    password: "{{ database_password }}"
    destination: file:///var/backups/sealed
    identity: "{{ backup_identity }}"

- name: Only look, with keys that may not write beside the backups
  opsready.golive.pg_restore:
    state: verified
    dsn: postgresql://golive@db.example.org/archive
    password: "{{ database_password }}"
    destination: file:///var/backups/archive
    record: false

- name: Note what is in the database, right after the migration
  opsready.golive.pg_restore:
    state: assessed
    dsn: postgresql://golive@db.example.org/archive
    password: "{{ database_password }}"
    release: "{{ golive_release.token }}"
  register: migrated

- name: Bring back what was, and keep the fence up
  opsready.golive.pg_restore:
    state: restored
    dsn: postgresql://golive@db.example.org/archive
    password: "{{ database_password }}"
    target: "{{ fence.fenced_database }}"
    backup: "{{ backup.backup.manifest }}"
    baseline: "{{ migrated.baseline }}"
    release: "{{ golive_release.token }}"

- name: One table was emptied by mistake, so bring it out of the newest backup, beside the live database
  opsready.golive.pg_restore:
    state: extracted
    dsn: postgresql://golive@db.example.org/archive
    password: "{{ database_password }}"
    destination: file:///var/backups/archive
    tables: [public.documents]
  register: brought_out

# What is in C(brought_out.extracted.database) is yours to look at and to copy from, for example with
#   pg_dump --data-only --table=public.documents "$extract" | psql --single-transaction archive
# and then to drop, with C(brought_out.extracted.drop_sql).

- name: A schema as it was at the time of a certain backup, in a database of a certain name
  opsready.golive.pg_restore:
    state: extracted
    dsn: postgresql://golive@db.example.org/archive
    password: "{{ database_password }}"
    backup: file:///var/backups/archive/archive/20261122T010203Z-1f2e3d4c.dump.manifest.json
    schemas: [billing]
    target: archive_billing_of_november

- name: Remove what a backup left that was killed with its host
  opsready.golive.pg_restore:
    state: swept
    dsn: postgresql://golive@db.example.org/archive
    password: "{{ database_password }}"
    destination: file:///var/backups/archive
    min_age: 3600
"""

RETURN = r"""
backup:
  description: The backup, as its manifest tells it.
  type: dict
  returned: for V(verified)
  sample:
    manifest: s3://backups/archive/archive/20261122T010203Z-1f2e3d4c.dump.manifest.json
    name: 20261122T010203Z-1f2e3d4c.dump.manifest.json
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
    release: r-20261122-1
    verified: {level: restore, ok: true}
verified:
  description: How the backup was proven, what was compared, and how long it took.
  type: dict
  returned: for V(verified), but not in check mode
  sample:
    level: restore
    ok: true
    compared: rows and content
    tables: 12
    rows: 50123
    schema_equal: true
    scratch_database: archive_scratch_5d41f7aa-0c1d2e3f
    restore_seconds: 3.1
    seconds: 3.9
record:
  description: URL of the record of this proof; nothing where O(record) is V(false), or where the place took none, which a warning tells.
  type: str
  returned: for V(verified), but not in check mode; also when it says that the proof failed
  sample: s3://backups/archive/archive/20261122T010203Z-1f2e3d4c.dump.restored-20261123T040506Z-9a8b7c6d.json
backup_fault:
  description: Why nobody can restore the backup although its bytes are those that were written, such as an SQLSTATE; in no words of what it holds.
  type: str
  returned: when V(verified) failed by it
  sample: the server refuses what it holds, with SQLSTATE 23503
extracted:
  description:
    - What was or would be brought out of the backup, where it is, and the SQL that drops it.
    - C(extracted.without_rows) are tables that had to be made and were left empty, C(extracted.brought_along) what the tables need, and
      C(extracted.left_out) what belongs to them and needs more than was asked for. C(extracted.seconds) is there when it was made by this call.
  type: dict
  returned: for V(extracted)
  sample:
    database: archive_extract_20261122T010203Z-5d41f7
    drop_sql: DROP DATABASE "archive_extract_20261122T010203Z-5d41f7";
    backup:
      manifest: s3://backups/archive/archive/20261122T010203Z-1f2e3d4c.dump.manifest.json
      created: "2026-11-22T01:02:03.004Z"
    tables:
      - table: public.documents
        schema: public
        name: documents
        rows: 50000
    rows: 50000
    without_rows: []
    brought_along: [EXTENSION pg_trgm, TYPE public.document_kind]
    left_out:
      - object: FK CONSTRAINT public."documents documents_owner_fkey"
        reason: it needs public.users, which was not asked for
    seconds: {restore: 2.9, compare: 0.4}
backups:
  description: The backups found, oldest first. One whose manifest cannot be read has a C(problem), and does not count.
  type: list
  elements: dict
  returned: for V(listed)
  sample:
    - manifest: s3://backups/archive/archive/20261122T010203Z-1f2e3d4c.dump.manifest.json
      created: "2026-11-22T01:02:03.004Z"
      size_bytes: 1465529
      verified: {level: restore, ok: true}
database:
  description: Name that the database has now, or would have.
  type: str
  returned: for V(restored) and V(assessed)
  sample: archive
failed_database:
  description: Name under which what was replaced is kept.
  type: str
  returned: for V(restored)
  sample: archive_failed_r-20261122-1
replication:
  description:
    - The logical replication slots and the subscriptions that stay with the database that was replaced, each with C(kind), C(name) and C(of); a slot with
      C(active) and C(confirmed_flush_lsn), a subscription with C(enabled) and C(slot_name), as they stood before.
  type: list
  elements: dict
  returned: for V(restored)
data_loss:
  description: What would be or was lost. C(data_loss.lossless) is empty where that cannot be known, and C(data_loss.reason) says why.
    A server that was promoted since, or recovered to a point in time, is such a case.
  type: dict
  returned: for V(restored) and V(assessed)
  sample:
    lossless: false
    reason: 3 rows were written and 1 versions are gone since the snapshot, in documents
    rows: 3
    own_rows: 0
    gone_rows: 1
    deleted_rows: 0
    span_seconds: 124.5
    tables:
      - table: documents
        rows_before: 50000
        rows_now: 50002
        written: 3
        own: 0
        at_stake: 3
        gone: 1
        deleted: 0
baseline:
  description: Where the data stands now, to be given to a later call.
  type: dict
  returned: for V(assessed)
  sample:
    snapshot: "851:851:"
    at: "2026-11-22T01:31:11.170Z"
    database: archive_golive_r-20261122-1
    timeline: 1
    tables:
      - {schema: public, name: documents, rows: 50000}
removed:
  description: What killed runs had left, and was or would be removed. The id is that of the release or of O(restore_id), where one is known.
  type: list
  elements: dict
  returned: for V(swept)
  sample:
    - {kind: scratch, name: archive_scratch_r-20261122-1-5d41f7aa, id: r-20261122-1, oid: 16412, size_bytes: 14685887}
kept:
  description: What looks like remains and stays, and why, such as that a run that is alive is at work on it.
  type: list
  elements: dict
  returned: for V(swept)
  sample:
    - {kind: upload, name: "s3://backups/archive/archive/20261122T010203Z-1f2e3d4c.dump", id: null, reason: a run that is alive is at work on it}
source:
  description: What was brought back, as RV(backup) tells it; for O(copy) its name, as C(source.copy).
  type: dict
  returned: when V(restored) changed something
  sample:
    manifest: s3://backups/archive/archive/20261122T010203Z-1f2e3d4c.dump.manifest.json
    database: archive
    created: "2026-11-22T01:02:03.004Z"
sequences_advanced:
  description: Sequences that were moved past what had been given out.
  type: list
  elements: dict
  returned: when V(restored) changed something
  sample:
    - sequence: documents_id_seq
      from: 50000
      to: 50009
ended_sessions:
  description: Sessions that were ended for the swap.
  type: list
  elements: dict
  returned: when V(restored) changed something
  sample: []
standbys:
  description:
    - Each of O(standbys), the sessions that were ended there, and the seconds until it had replayed the swap; or the C(problem). What is not of
      one standby, such as that more follow than are named, is told with a C(standby) of null.
  type: list
  elements: dict
  returned: when V(restored) changed something, or found it done already
  sample:
    - standby: postgres at replica.example.org:5432 as golive
      ended_sessions:
        - {pid: 4711, user: reports, application: dashboard, address: 10.0.0.7, kind: client backend, state: idle}
      replay_seconds: 0.1
seconds:
  description: Seconds of each phase.
  type: dict
  returned: when V(restored) changed something
  sample: {restore: 3.1, sequences: 0.1, properties: 0.1, swap: 0.1, standbys: 0.0}
"""

from ansible_collections.opsready.golive.plugins.module_utils._actions import pg_restore
from ansible_collections.opsready.golive.plugins.module_utils._core.guard import run_module


def main() -> None:
    run_module(pg_restore.ARGUMENT_SPEC, pg_restore.body, **pg_restore.CONSTRAINTS)


if __name__ == "__main__":
    main()
