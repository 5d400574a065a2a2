#!/usr/bin/python
# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Is there a new backup that is proven and whole, as large as usual, kept as asked, and elsewhere too?"""

from __future__ import annotations

DOCUMENTATION = r"""
module: check_backup
short_description: Judge the backups of a PostgreSQL database
version_added: 1.0.0
author:
  - The opsready.golive authors (@opsready)
description:
  - Reads the manifests that M(opsready.golive.pg_backup) wrote, and asks for the archive of each. What has no manifest is no backup.
  - A backup counts when its manifest says that it was proven, and its archive is there with the size, and where the store tells one the CRC32, that
    the manifest names. An archive that is missing or another one, a manifest that is damaged, and no backup at all are V(fail).
  - A destination that is not there is V(fail). One that does not answer, or refuses the keys, is V(unknown). A backup that is dated more than five
    minutes from now does not count and is V(unknown), since no age can be trusted then.
  - With O(kind=files) files are judged that something else copies to a place, such as dumps of Redis, by the newest one's age, size and beginning.
    They have no manifest, so whether they can be restored is not known.
  - With O(kind=registry) the images of a release are looked for by their digests, in a second registry or in archives, so that they can be brought back
    when their own registry is lost. Each must be there whole, with all platforms of an index, each one's configuration and each layer. A manifest's
    bytes must have the digest that they are asked by. Of configurations and layers it is judged that they are there and of the size that the manifest
    says, and they are not read. Layers that only their maker may give out are not asked for.
  - All manifests of the database are read, one after the other. With hundreds of them, or over a slow line, raise O(timeout).
extends_documentation_fragment:
  - opsready.golive.check
  - opsready.golive.attributes
requirements:
  - boto3 >= 1.34 (Python library, on the host that runs the module), for an object store
  - psycopg >= 3.1 (Python library, on the host that runs the module), for O(dsn)
  - systemd-analyze of systemd >= 244, on the host that runs the module, for O(schedule.timer)
options:
  destination:
    description:
      - Where the backups lie, as V(s3://bucket/prefix) or V(file:///directory), just as M(opsready.golive.pg_backup) was given it.
      - Needed with O(kind=database) and O(kind=files). With O(kind=registry) it is where the archives of images are; give it or O(registry).
    type: str
  s3:
    description: How to reach the object store, where O(destination) is in one.
    type: dict
    suboptions: &s3
      endpoint_url:
        description: Where the object store is, such as V(https://minio.example.org:9000). Without it, Amazon's endpoint of the region.
        type: str
      region:
        description: Region that requests are signed for.
        type: str
        default: us-east-1
      access_key:
        description: Id of the access key. Without it, the keys that boto3 finds on the host. Reading and listing is all that it must be allowed.
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
        description: Of no meaning here. It is taken so that the options of M(opsready.golive.pg_backup) can be given as they are.
        type: str
        choices: [full_object, none]
        default: full_object
  kind:
    description:
      - V(database) judges what M(opsready.golive.pg_backup) made of a database. V(files) judges files whose names match O(pattern); of the other options
        it takes O(destination), O(s3), O(max_age), O(min_size_share), O(history) and O(schedule), and refuses the others.
      - V(registry) judges copies of the images in O(images). Of the other options it takes O(registry), or O(destination), O(s3), O(pattern) and O(max_age),
        and refuses the others.
    type: str
    choices: [database, files, registry]
    default: database
  database:
    description: Name of the database whose backups are judged. Needed with O(kind=database).
    type: str
  images:
    description:
      - The release's images with O(kind=registry), each by repository and digest, such as V(registry.example.org/archive/backend@sha256:…) with 64
        hexadecimal digits. The digest of an index of several platforms asks for all of them.
    type: list
    elements: str
  registry:
    description:
      - A second registry that holds the images of O(images), in repositories of the same names without the first registry's host. It is asked by the
        distribution API, with a login by password or by token where it wants one.
      - The registry that the images are pulled from is no backup of itself, which is V(fail). When an image was copied to it no registry tells, so
        O(max_age) is refused.
    type: dict
    suboptions:
      url:
        description: Where it is, such as V(https://registry.example.com:5000).
        type: str
        required: true
      username:
        description: Login that may pull the images.
        type: str
      password:
        description: Password of that login. It is sent to the registry, or to the server that the registry has give out tokens. It is never printed.
        type: str
      ca_file:
        description: Certificate authorities, in PEM, that the registry's certificate must chain to. Without it, those of the host.
        type: path
      prefix:
        description: What stands before the names of the repositories there, such as V(mirror/release).
        type: str
  pattern:
    description:
      - With O(kind=registry) and O(destination), which files are archives of images, such as V(release-*.tar). Each is an OCI image layout in a tar that
        is not compressed, such as C(skopeo copy --all --preserve-digests) writes to C(oci-archive), or C(docker save) of an engine with the
        containerd image store; or the V(index.json) of a layout in a folder. The 50 newest are looked into, until each image was found whole.
      - What cannot be looked into, such as a compressed tar, counts for the digests in a list beside it, which has the archive's name and C(.digests)
        after it. Without one, what is found nowhere else is V(unknown).
      - Which files count with O(kind=files), by their names below O(destination), such as V(redis/dump-*.rdb). C(*) stands for any characters, with
        slashes too. The one that was written last is the newest.
    type: str
  min_size:
    description: Least size of the newest file with O(kind=files), such as V(1MiB).
    type: str
    default: 1B
  begins_with:
    description: Text that the newest file must begin with, with O(kind=files), such as V(REDIS) for an RDB file of Redis. It is taken as Latin-1,
      one character for each byte, and may have 4096.
    type: str
  max_age:
    description:
      - Highest age of the newest backup that counts, such as V(26h), from the moment of its snapshot. What was written since is what a restore
        loses, so this is the recovery point objective (RPO).
      - Needed with O(kind=database) and O(kind=files). With O(kind=registry) it is the time since the newest archive was written.
      - With O(kind=files) it is the time since the newest file was written; for an RDB file of Redis or Valkey since its data was saved, as the file
        itself tells, since a new copy of an old dump is old.
    type: str
  verify:
    description:
      - How the newest backup must be proven at least, as the option of M(opsready.golive.pg_backup).
      - With V(restore), a backup does not count whose last restore as a proof failed, as the records say that M(opsready.golive.pg_restore) with
        O(opsready.golive.pg_restore#module:state=verified) leaves beside it. It is V(fail) until that backup, or a newer one, is restored.
        A record that is damaged is V(unknown).
    type: str
    choices: [head, archive, restore]
    default: restore
  max_proof_age:
    description:
      - Highest age of the newest proof by a restore, such as V(30d), of any backup of the database that is there as it was written. A backup that
        M(opsready.golive.pg_backup) proved by a restore tells of one in its manifest, and M(opsready.golive.pg_restore) with
        O(opsready.golive.pg_restore#module:state=verified) leaves a record of each beside the backup.
      - Of each backup its last proof counts. Where that of one failed it is V(fail), until that backup or a newer one is restored. A record that is
        damaged counts for nothing and is V(unknown).
      - Left out, no age is judged; records are read all the same with O(verify=restore) and with O(max_restore_time). A backup that was made with
        O(opsready.golive.pg_backup#module:verify=restore), which is the default there, is a proof itself.
    type: str
  max_restore_time:
    description:
      - Longest time that restoring may have taken, such as V(30m), when a backup was last proven by a restore, as O(max_proof_age) finds it. This is the
        part of the recovery time objective (RTO) that a backup can tell. When none was restored it is V(unknown), and where a proof failed
        V(fail), as with O(max_proof_age).
    type: str
  archive:
    description:
      - How the newest backup's archive is looked at. V(head) asks the place for its size and checksum. V(sha256) reads all of it and compares its
        SHA-256 with the manifest's, which takes as long as the line does.
    type: str
    choices: [head, sha256]
    default: head
  min_size_share:
    description:
      - Share of the usual size, which is the median of the backups before the newest, at most O(history) of them. A newest one that is no larger than
        this share of it, such as exactly half as large, is V(warn).
      - What is usual is not known before there are three earlier ones, which is V(warn) too. V(0) leaves the size out.
    type: float
    default: 0.5
  history:
    description: How many backups before the newest say what size is usual. At least V(3).
    type: int
    default: 7
  keep:
    description:
      - Which backups must be there, by the rules of O(opsready.golive.pg_backup#module:keep). Each of the last so many hours, days, weeks, months and
        years up to the newest backup's must have one; a period without any is named. Times are in UTC.
      - With O(verify=restore), a backup whose last restore failed counts neither here nor for O(max_gap) and O(min_size_share).
    type: dict
    suboptions:
      last:
        description: So many must be there.
        type: int
        default: 0
      hourly:
        description: One in each of so many hours.
        type: int
        default: 0
      daily:
        description: One in each of so many days.
        type: int
        default: 0
      weekly:
        description: One in each of so many weeks, which begin on Mondays.
        type: int
        default: 0
      monthly:
        description: One in each of so many months.
        type: int
        default: 0
      yearly:
        description: One in each of so many years.
        type: int
        default: 0
      min_keep:
        description: At least so many must be there.
        type: int
        default: 1
  first_backup:
    description:
      - Since when backups are made, such as V(2026-11-01) or V(2026-11-01T03:00:00Z). Without it, O(keep) and O(max_gap) ask for all of the past
        that they name, since backups that are lost cannot be told from those that were never made.
    type: str
  max_gap:
    description:
      - Longest time between two neighbours, such as V(25h), which is how the schedule that makes them is seen to have run.
    type: str
  gap_window:
    description: How far back O(max_gap) is held against, such as V(14d). Before that O(keep) may have thinned them out. Default is six times O(max_gap).
    type: str
  schedule:
    description:
      - What runs the backups, on the host that runs the item. It must be there, run again, leave no more than O(max_age) between two runs, and the first
        run after the newest backup that counts must not be overdue.
      - The files are read, and no service manager is asked. So a timer's C(RandomizedDelaySec) is not looked at, and how a run ended is told by the
        backups alone.
      - The time between two runs is that of the five weeks after the next run, and up to the first run after those. Runs that come more than five times
        a minute are too many to look at a week of, which is V(unknown).
    type: dict
    suboptions:
      cron:
        description:
          - Text that the command in a crontab holds, such as V(ansible-playbook /srv/golive/backup.yml). Lines that are comments, that stand last without
            a newline, and that run when the host starts do not count, nor do files in C(cron.d) with a name that cron does not read.
          - A login other than root may not list the crontabs of users. What may not be looked at is V(unknown), so run this with C(become), or name the
            crontabs that count in O(schedule.cron_files).
          - A line that holds it and cannot be reckoned is V(unknown), such as one with a random time (C(0~30)), or one below a C(CRON_TZ) of another zone
            than this host's, which cronie heeds and Debian's cron does not.
        type: str
      cron_files:
        description: Crontabs to look through, with wildcards. What is not there has no line.
        type: list
        elements: path
        default: [/etc/crontab, /etc/cron.d/*, /var/spool/cron/crontabs/*, /var/spool/cron/*]
      timer:
        description:
          - Path of a systemd timer's unit file, such as V(/etc/systemd/system/backup.timer), read with its drop-ins. It must be enabled and have an
            C(OnCalendar), which C(systemd-analyze) reckons with. Give this or O(schedule.cron).
        type: path
      max_delay:
        description: How long after a run is due its backup may take to be there and proven, such as V(2h).
        type: str
        default: 2h
  copies:
    description:
      - Other places that hold copies of the backups, under the same names. The newest backup that lies there with the same SHA-256, in its
        manifest, and with an archive of that size must not be too old. One that is not the backup of its name fails.
      - A copy in the same bucket, or on the same file system, fails too. What takes one away takes the other.
    type: list
    elements: dict
    suboptions:
      destination:
        description: Where the copies lie, as V(s3://bucket/prefix) or V(file:///directory).
        type: str
        required: true
      s3:
        description: How to reach that object store.
        type: dict
        suboptions: *s3
      max_age:
        description: Highest age of the newest backup that lies there too. Default is O(max_age).
        type: str
  encryption:
    description:
      - Whether the newest backup's archive must be encrypted. V(required) takes C(age), by what the archive begins with, or the store's own
        encryption, as it tells. Where neither says so and the store, or a directory, cannot tell, it is V(unknown).
      - V(age) asks for archive and roles that are encrypted to age recipients, as M(opsready.golive.pg_backup) does with
        O(opsready.golive.pg_backup#module:encryption). What the store encrypts by itself, the store can read.
    type: str
    choices: [required, age, any]
    default: any
  recipients:
    description:
      - The age recipients that the newest backup must be encrypted to, these and no others, by its manifest, such as
        V(age1qpx8j2w9yv6ffkptm0zfedg3w7l9ufl4yrt0qx8tdq5s6kys3suqv0k2pm). It includes what O(encryption=age) asks.
    type: list
    elements: str
  object_lock:
    description: Whether the newest backup's archive and manifest must be held by an object lock. A directory has none.
    type: str
    choices: [required, any]
    default: any
  min_lock_days:
    description: Shortest time from the newest backup to the end of its object lock in days.
    type: float
  dsn:
    description:
      - Where the database is, such as V(postgresql://golive@db.example.org:5432/archive). With it, the databases that releases and restores kept are
        named with their sizes and ages, as a reminder.
      - A DSN that holds a password is refused, since option values are printed at high verbosity; use O(password).
    type: str
  password:
    description: Password of the login of O(dsn). Without it, libpq's password file on the host. It is never printed.
    type: str
  max_kept_age:
    description: From what age on a database that was kept is V(warn).
    type: str
    default: 7d
"""

EXAMPLES = r"""
- name: Last night's backup was restored, and lies at the other site too
  opsready.golive.check_backup:
    destination: s3://backups/nightly
    s3:
      endpoint_url: https://minio.example.org:9000
      access_key: "{{ backup_access_key }}"
      secret_key: "{{ backup_secret_key }}"
    database: archive
    max_age: 26h
    max_proof_age: 30d
    max_restore_time: 30m
    max_gap: 25h
    keep: {daily: 7, weekly: 4}
    first_backup: "2026-11-01"
    copies:
      - destination: s3://backups-elsewhere/nightly
        s3:
          endpoint_url: https://minio.example.com:9000
          access_key: "{{ copies_access_key }}"
          secret_key: "{{ copies_secret_key }}"
        max_age: 30h
    encryption: required
    object_lock: required

- name: There is a backup of the last hour, and nothing of old restores is left
  opsready.golive.check_backup:
    destination: file:///var/backups/archive
    database: archive
    max_age: 1h
    archive: sha256
    dsn: postgresql://golive@db.example.org/archive
    password: "{{ database_password }}"

- name: Cron backs up every night, last night too, and the newest backup was restored this month
  opsready.golive.check_backup:
    destination: file:///var/backups/archive
    database: archive
    max_age: 26h
    max_proof_age: 31d
    schedule:
      cron: ansible-playbook /srv/golive/backup.yml
      max_delay: 1h

- name: A timer does
  opsready.golive.check_backup:
    destination: file:///var/backups/archive
    database: archive
    max_age: 26h
    schedule:
      timer: /etc/systemd/system/backup.timer

- name: Last night's dump of Redis was copied to the store, and is one
  opsready.golive.check_backup:
    kind: files
    destination: s3://backups/redis
    s3:
      endpoint_url: https://minio.example.org:9000
      access_key: "{{ backup_access_key }}"
      secret_key: "{{ backup_secret_key }}"
    pattern: dump-*.rdb
    begins_with: REDIS
    min_size: 50B
    max_age: 26h

- name: The release's images are whole in the other site's registry
  opsready.golive.check_backup:
    kind: registry
    images:
      - registry.example.org/archive/backend@sha256:6c2ef57b0e99ec46833a82f0bb7cb16f9b14d1985886aea5209a94914426e367
    registry:
      url: https://registry.example.com:5000
      username: backup
      password: "{{ registry_password }}"
      prefix: mirror

- name: They are whole in the archives that were written with the release
  opsready.golive.check_backup:
    kind: registry
    images:
      - registry.example.org/archive/backend@sha256:6c2ef57b0e99ec46833a82f0bb7cb16f9b14d1985886aea5209a94914426e367
    destination: file:///var/backups/images
    pattern: release-*.tar
    max_age: 7d

- name: Nobody but operations can read the newest backup
  opsready.golive.check_backup:
    destination: file:///var/backups/sealed
    database: archive
    max_age: 26h
    recipients:
      - age1qpx8j2w9yv6ffkptm0zfedg3w7l9ufl4yrt0qx8tdq5s6kys3suqv0k2pm
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
      description: The worst status of all criteria.
      type: str
      sample: fail
    summary:
      description: One sentence that names every criterion that did not pass.
      type: str
      sample: "The newest backup that is proven by restore is 3.2 days old, expected at most 26h."
    expected:
      description: What was expected, by criterion.
      type: dict
    measured:
      description: What was measured, by criterion.
      type: dict
    evidence:
      description:
        - The backups, newest first, each with where its archive is, its size and SHA-256, how it was proven and how long restoring took; what was
          asked of the newest; the proofs by a restore with their records, and whether each counts; the schedule with its next runs; the newest
          O(history) files and one, and how many match; the copies; and the databases that were kept.
        - With O(kind=registry), each image with where it is, what it consists of there and what is missing of it; and the archives that match.
      type: dict
    remedy:
      description: What to do.
      type: str
    check:
      description: Name of the check.
      type: str
      sample: check_backup
    started:
      description: When the check began, in UTC.
      type: str
    seconds:
      description: How long it took.
      type: float
"""

from ansible_collections.opsready.golive.plugins.module_utils._checks import check_backup
from ansible_collections.opsready.golive.plugins.module_utils._checks.judging import main_of


def main() -> None:
    main_of(check_backup)


if __name__ == "__main__":
    main()
