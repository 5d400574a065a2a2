# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Mail addresses and whole mails, with plain data; conversations are in tests/integration/test_notify.py."""

from __future__ import annotations

import datetime as dt
import email
import email.policy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.opsready.golive.plugins.module_utils._clients import smtp
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import BadInput

NOW = dt.datetime(2026, 11, 22, 12, 0, tzinfo=dt.timezone.utc)


@pytest.mark.parametrize(
    ("text", "name", "spec"),
    [
        ("ops@example.org", "", "ops@example.org"),
        (" ops@example.org ", "", "ops@example.org"),
        ("<ops@example.org>", "", "ops@example.org"),
        ("Go-live <ops+x@example.org>", "Go-live", "ops+x@example.org"),
        ('"Müller, Jörg" <jörg@example.org>', "Müller, Jörg", "jörg@example.org"),
        ("ops@bücher.example", "", "ops@xn--bcher-kva.example"),
        ("root@localhost", "", "root@localhost"),
    ],
)
def test_addresses_are_read(text: str, name: str, spec: str) -> None:
    found = smtp.address(text)
    assert (found.display_name, found.addr_spec) == (name, spec)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ops",
        "@example.org",
        "ops@",
        "a b@example.org",
        "a@b@c",
        "a@b>",
        "a@b\n",
        "N\r\nBcc: x@y <a@b>",
        "a@b,c@d",
        "a@b..c",
        "\ud800 <a@b>",
    ],
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(BadInput, match="is not a mail address"):
        smtp.address(text)


@given(st.text())
def test_no_address_holds_a_line_break(text: str) -> None:
    try:
        found = smtp.address(f"{text} <ops@example.org>")
    except BadInput:
        return
    assert not set(str(found)) & set("\r\n\0")


@given(
    st.text(st.characters(min_codepoint=32, exclude_categories=["Cs", "Cc", "Zl", "Zp"]), max_size=300),
    st.text(st.characters(exclude_categories=["Cs"])),
)
def test_a_mail_says_what_it_was_given_in_ascii_and_short_lines(subject: str, text: str) -> None:
    subject = " ".join(subject.split())
    sender = smtp.address("Übergabe <golive@example.org>")
    letter = smtp.composed(sender, [smtp.address("ops@example.org")], subject=subject, text=text, moment=NOW)
    raw = letter.as_bytes()
    assert raw.isascii()
    assert max(len(line) for line in raw.split(b"\r\n")) < 998
    assert not set(raw.replace(b"\r\n", b"")) & set(b"\r\n"), "a line break of its own ends a mail for some servers"
    read = email.message_from_bytes(raw, policy=email.policy.default)
    assert read["Subject"] == subject
    assert read["Date"].datetime == NOW
    assert read.keys() == letter.keys()


def test_each_mail_has_an_id_of_its_own_in_the_senders_domain() -> None:
    sender = smtp.address("golive@example.org")
    ids = {smtp.composed(sender, [sender], subject="s", text="t", moment=NOW)["Message-ID"] for unused in range(9)}
    assert len(ids) == 9
    assert all(each.endswith("golive@example.org>") for each in ids)


def test_a_server_is_shown_without_its_password() -> None:
    server = smtp.Server("::1", 25, "none", "golive", "geheim")
    assert str(server) == "[::1]:25"
    assert "geheim" not in repr(server)
