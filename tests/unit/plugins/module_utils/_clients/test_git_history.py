# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Patches as git prints them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.opsready.golive.plugins.module_utils._clients.git_history import Added, read_patch

ONE, TWO = "1" * 40, "2" * 40
PATCH = f"""\x01commit {TWO}

diff --git a/app/größe und mehr.py b/app/größe und mehr.py
index 1..2 100644
--- a/app/größe und mehr.py\t
+++ b/app/größe und mehr.py\t
@@ -2,2 +2 @@ def one():
-two
-three
+++ b/not/a/path
@@ -9,0 +9,2 @@
+@@ -1 +1 @@
+last
\\ No newline at end of file
diff --git a/gone.py b/gone.py
--- a/gone.py
+++ /dev/null
@@ -1,2 +0,0 @@
-diff --git a/x b/x
-two
\x01commit {ONE}

diff --git a/logo.png b/logo.png
index 1..2
Binary files /dev/null and b/logo.png differ
diff --git a/new.py b/new.py
--- /dev/null
+++ b/new.py
@@ -0,0 +1 @@
+first
"""


def test_added_lines_are_told_with_commit_path_and_number() -> None:
    assert list(read_patch(PATCH)) == [
        Added(TWO, "app/größe und mehr.py", ((2, "++ b/not/a/path"), (9, "@@ -1 +1 @@"), (10, "last"))),
        Added(ONE, "logo.png", (), True),
        Added(ONE, "new.py", ((1, "first"),)),
    ]


def test_of_a_merge_only_what_no_parent_has_is_added() -> None:
    patch = (
        f"\x01commit {ONE}\n\ndiff --cc a.py\n--- a/a.py\n+++ b/a.py\n@@@ -1,3 -1,1 +1,3 @@@\n"
        "  both\n- theirs\n +ours\n++new\n@@@ -9,0 -8,0 +9 @@@\n++more\n"
    )
    assert list(read_patch(patch)) == [Added(ONE, "a.py", ((3, "new"), (9, "more")))]


def test_a_patch_that_was_cut_off_gives_what_is_there() -> None:
    assert list(read_patch("+++ b/a\n@@ -0,0 +1,9 @@\n+one\n+two")) == [Added("", "a", ((1, "one"), (2, "two")))]


@given(st.text(alphabet="@+- 123,\\ab\n", max_size=200))
def test_any_text_is_read_to_its_end(text: str) -> None:
    assert all(number >= 0 for added in read_patch(text) for number, _line in added.lines)
