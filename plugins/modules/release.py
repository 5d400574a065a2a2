#!/usr/bin/python
# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who is changing this system now, how far did they get, and what is the way back?"""

from __future__ import annotations

DOCUMENTATION = r"""
module: release
short_description: Begin, journal, end and read a release
version_added: 1.0.0
author:
  - The opsready.golive authors (@opsready)
description:
  - Keeps the release record on the state host, below C(<state_dir>/<system>/). It outlives the controller.
  - O(state=begun) takes the system's lock, begins the journal, and returns the token that every acting
    module of this collection presents. Without a GO that is fresh and for this very O(subject) it refuses.
  - The journal is append-only and hash-chained. A stale token is refused. A dead run's lock is reported, never broken;
    taking it over is O(state=claimed), an explicit and recorded word.
  - Each end of a release, whatever its outcome, is a row of C(<state_dir>/<system>/ledger.jsonl), which stays when records are removed.
options:
  state:
    description:
      - V(begun) begins a release; V(planned) writes plan and way back; V(judged) keeps a verdict for a later one; V(step) closes and opens steps in one call.
      - V(settled) closes what is open, decides from the journal and O(world), and ends the release where nothing is left to do.
      - V(ended) ends it and frees the lock, except with O(outcome=left_on), which keeps it.
      - V(read) returns what is known, and what has to happen now; it changes nothing.
      - V(claimed) takes over a release whose run is dead; V(signed) keeps a sign-off.
    type: str
    required: true
    choices: [begun, planned, judged, step, settled, ended, read, claimed, signed]
  system:
    description: The system's name.
    type: str
    required: true
  state_dir:
    description: The directory on the state host that holds all release records.
    type: path
    required: true
  version:
    description: The version that goes live. Required with O(state=begun).
    type: str
  verdict:
    description: What M(opsready.golive.verdict) decided in the same run; another one is refused. Required with O(state=begun) and O(state=judged).
    type: dict
  verdict_max_age:
    description: How old the verdict may be when the release begins, in seconds.
    type: float
    default: 3600.0
  subject:
    description:
      - What would be deployed now. Required with O(state=begun), which refuses, each with its own sentence, whatever is not
        what the verdict was made for.
    type: dict
    suboptions:
      artefacts:
        description: The sha256 of each artefact, by name.
        type: dict
        default: {}
      migration_preview:
        description: The C(preview) in what M(opsready.golive.migrate) returned as RV(opsready.golive.migrate#module:migration).
        type: str
        default: ''
      checklist_sha256:
        description: What M(opsready.golive.plan) returned for the checklist.
        type: str
        default: ''
      system_file_sha256:
        description: What M(opsready.golive.plan) returned for the system file.
        type: str
        default: ''
      hosts_sha256:
        description: What M(opsready.golive.plan) returned for the hosts.
        type: str
        default: ''
  redeploy:
    description:
      - Begin although this very version, from these very artefacts, is live already.
      - The same version from other artefacts is refused whatever this says, since both would lie in one folder and answer with
        one version, and nothing would lead back.
    type: bool
    default: false
  operator:
    description: Who does it; the user of the state host by default.
    type: str
  job:
    description: The job that does it, such as an AWX job's number.
    type: str
  takeover:
    description: The id of the release that is taken over, or read.
    type: str
  damaged_journal:
    description:
      - What O(state=claimed) does where the release's journal was changed, cut or emptied. V(refuse) says which line it is.
      - V(set_aside) keeps the file beside as C(journal.damaged-1.jsonl), untouched, and goes on in a new journal that is made of
        what can still be read and says so. Nothing proves such a journal, so nothing is undone by itself; the release ends
        where the world is as it was before, or by O(state=ended).
    type: str
    default: refuse
    choices: [refuse, set_aside]
  services:
    description: The snapshot that M(opsready.golive.services) took. Required with O(state=planned).
    type: dict
  migration:
    description: What M(opsready.golive.migrate) would do.
    type: dict
  way_back:
    description: Further facts that the way back needs, such as C(migration_directory), where the new version's revision files are.
    type: dict
  downtime_budget:
    description: How long users may be without the system, in seconds. Without it, and with V(0), nothing is judged.
    type: float
  way_out:
    description: The commands that are printed before the first change, for the case that this run dies. C(<release>) stands for the id,
      C(<options>) for inventory, variable files and vault that this run was started with.
    type: list
    elements: str
    default: []
  closes:
    description: The step that ended.
    type: dict
    suboptions:
      name:
        description: Its name; V(current) is the one that is open, whichever it is.
        type: str
        required: true
      status:
        description: How it ended.
        type: str
        choices: [done, failed, undone, skipped]
        default: done
      detail:
        description: What is worth saying of it, in a sentence.
        type: str
        default: ''
      known:
        description: Facts of the step that the way back and the report need.
        type: dict
        default: {}
  opens:
    description: The step that begins.
    type: dict
    suboptions:
      name:
        description: Its name.
        type: str
        required: true
      direction:
        description: Whether it leads to the new version or back to the old one.
        type: str
        choices: [forward, back]
        default: forward
  probe:
    description:
      - The recording of M(opsready.golive.downtime_probe). With O(state=step) the step is refused unless it shows that
        maintenance held from when it was proven on until now.
    type: path
  outcome:
    description: How the release ended. Required with O(state=ended).
    type: str
    choices: [live, rolled_back, left_on, aborted]
  detail:
    description:
      - The outcome in a sentence.
      - With O(outcome=rolled_back) the module adds what a restore left behind of the rows written inside the fence.
    type: str
    default: ''
  tells:
    description:
      - What O(state=read) tells in RV(text), which is printed. V(open) leaves out a release that has ended as it should.
      - V(ledger) adds the table of versions, and says where the ledger was changed, lacks a row, or a record differs from its row.
    type: str
    choices: [always, open, ledger]
    default: always
  world:
    description: What was seen of the world, for the decision that O(state=read) and O(state=settled) return.
    type: dict
    default: {}
  sign_off:
    description:
      - The attestation that O(state=signed) keeps. While it holds, keeping it again changes nothing; once it has ended it
        is renewed, and the old one stays on record.
      - What the verdict that was kept last does not wait for is refused.
    type: dict
    suboptions:
      item:
        description: The item that is signed.
        type: str
        required: true
      team:
        description: The team that signs.
        type: str
        required: true
      name:
        description: The person who signs.
        type: str
        required: true
      digest:
        description: The digest of what is signed. By default what the verdict that was kept last waits for.
        type: str
      valid_seconds:
        description: How long it holds. By default as long as the verdict that was kept last says.
        type: float
      details:
        description: What else the person states, such as C(channel) or C(account). What the item asks for is required.
        type: dict
extends_documentation_fragment:
  - opsready.golive.release
  - opsready.golive.attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
  idempotent:
    support: partial
    details: Each step is a line in the journal. Reading and signing are idempotent.
  action:
    support: full
seealso:
  - module: opsready.golive.verdict
"""

EXAMPLES = r"""
- name: Where does it stand
  opsready.golive.release:
    state: read
    system: ablage
    state_dir: /var/lib/opsready
  delegate_to: state.example.org

- name: Sign that the migration was read
  opsready.golive.release:
    state: signed
    system: ablage
    state_dir: /var/lib/opsready
    sign_off:
      item: migration-reviewed
      team: backend
      name: Grete Hermann
      digest: "{{ preview_sha256 }}"
  delegate_to: state.example.org
"""

RETURN = r"""
token:
  description: The token of the release, which acting modules present as O(release).
  returned: with O(state=begun) and O(state=claimed)
  type: str
id:
  description: The release's id.
  returned: when there is a release
  type: str
head:
  description: The hash of the journal's last line.
  returned: when there is a release
  type: str
steps:
  description: The steps with status, start, seconds and detail.
  returned: with O(state=read), O(state=settled) and O(state=ended)
  type: list
  elements: dict
detail:
  description: The outcome in a sentence, with what a restore left behind.
  returned: with O(state=ended)
  type: str
unreadable:
  description: What of the record is damaged beside its releases, each with its sentence. M(opsready.golive.verdict) is given it, so that it blocks.
  returned: with O(state=read)
  type: dict
operator:
  description: Who holds it, or held it last. Of a release that was taken over, who took it.
  returned: with O(state=read) and O(state=settled) when there is a release
  type: str
damage:
  description: Where the journal had been damaged and was set aside, with C(line), C(unreadable), C(kept_as) and C(sha256); else none.
  returned: with O(state=read) and O(state=settled) when there is a release
  type: dict
settlement:
  description: What has to happen now, in a sentence, with the steps of the way back, and the choices where a person has to choose.
  returned: with O(state=read) and O(state=settled) when there is a release
  type: dict
plan:
  description: Steps, predicted seconds, point of no return and what cannot be undone.
  returned: with O(state=planned), O(state=read) and O(state=claimed)
  type: dict
rollback:
  description: The way back that was written before the first change.
  returned: with O(state=planned), O(state=read) and O(state=claimed)
  type: dict
rollback_md:
  description: The way back in stock commands, as the state host has it. Put it onto the database's host, too.
  returned: with O(state=planned), and with O(state=step) when the step that closes made the backup
  type: str
ledger:
  description:
    - The newest 20 rows of the ledger, one for each end of a release.
    - Each has C(version), C(previous_version), C(artefacts) and the release's C(digest), C(began), C(ended), C(operator), C(job), C(ended_by),
      C(approvers) with what each stood up for, C(verdict), C(outcome), C(detail) and C(bundle).
    - The bundle's C(sha256) is that of what C(sha256sum) prints for its C(files), of the journal the first C(journal_entries) lines.
  returned: with O(state=read) and O(tells=ledger), when there is a release
  type: list
  elements: dict
text:
  description: The plan or the status as it is printed.
  returned: with O(state=planned) and O(state=read)
  type: str
"""

from ansible_collections.opsready.golive.plugins.module_utils._actions.release import ARGUMENT_SPEC, REQUIRED_IF, body
from ansible_collections.opsready.golive.plugins.module_utils._core.guard import run_module


def main():
    run_module(ARGUMENT_SPEC, body, required_if=REQUIRED_IF)


if __name__ == "__main__":
    main()
