# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A secret is gone from everything that is shown, in each form in which a program is known to print one."""

from __future__ import annotations

import base64
import contextlib
import html
import json
import re
import string
import threading
import typing as t
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from ansible_collections.opsready.golive.plugins.module_utils._core.scrub import (
    MASK,
    Scrubber,
    beginning_of,
    bounded,
    encoded,
    end_of,
    in_use,
    spellings,
)

SECRET = 'Pa55/w0rd:with@every+thing&"quoted" ü'
#: Long enough that its base64 form is no ordinary word, and without the mask's own character.
secrets = st.text(
    alphabet=st.characters(blacklist_categories=("Cs", "Cc"), blacklist_characters="*"), min_size=8, max_size=40
)
surroundings = st.text(alphabet=string.ascii_letters + string.digits + " :/.@=\n", max_size=40)


@given(secret=secrets, before=surroundings, after=surroundings)
def test_a_secret_embedded_anywhere_is_gone(secret: str, before: str, after: str) -> None:
    assume(secret not in before and secret not in after)
    assert secret not in Scrubber([secret]).text(before + secret + after)


@given(secret=secrets, before=surroundings, after=surroundings)
def test_a_url_quoted_secret_is_gone(secret: str, before: str, after: str) -> None:
    scrubber = Scrubber([secret])
    for form in (quote(secret, safe=""), quote(secret), quote_plus(secret)):
        assume(form not in before + after)
        assert form not in scrubber.text(f"{before}{form}{after}")


@given(secret=secrets, before=st.binary(max_size=7), after=st.binary(max_size=7), url_safe=st.booleans())
def test_a_secret_inside_base64_is_gone_at_any_alignment(
    secret: str, before: bytes, after: bytes, url_safe: bool
) -> None:
    code = base64.urlsafe_b64encode if url_safe else base64.b64encode
    raw = secret.encode()
    shown = Scrubber([secret]).text(code(before + raw + after).decode())
    assert MASK in shown
    # What depends on the secret alone: its whole groups of three bytes.
    first = (-len(before)) % 3
    inner = raw[first : first + (len(raw) - first) // 3 * 3]
    assert len(inner) < 3 or code(inner).decode() not in shown


@given(secret=secrets)
def test_a_secret_inside_json_is_gone(secret: str) -> None:
    scrubber = Scrubber([secret])
    for ascii_only in (True, False):
        written = json.dumps({"line": f"x{secret}y"}, ensure_ascii=ascii_only)
        assert json.dumps(secret, ensure_ascii=ascii_only)[1:-1] not in scrubber.text(written)


def _json_word(text: str) -> str:
    return json.dumps(text)[1:-1]


def _json_word_as_it_is(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)[1:-1]


def _json_word_for_html(text: str) -> str:
    """As Go and Django write it: no sign of HTML stays."""
    return re.sub("[<>&']", lambda sign: f"\\u{ord(sign[0]):04x}", _json_word(text))


def _numbered(text: str) -> str:
    """As Jinja and Go write quotes in HTML."""
    return html.escape(text).replace("&quot;", "&#34;").replace("&#x27;", "&#39;")


def _quoted_for_paths(text: str) -> str:
    return quote(text.encode("utf-8", "surrogatepass"))


def _quoted_small(text: str) -> str:
    return re.sub("%[0-9A-F]{2}", lambda octet: octet[0].lower(), _quoted_for_paths(text))


def _quoted_plus(text: str) -> str:
    return quote_plus(text.encode("utf-8", "surrogatepass"))


ENCODERS = [html.escape, _json_word, _json_word_as_it_is, _json_word_for_html, _numbered, _quoted_for_paths,
            _quoted_plus, _quoted_small]  # fmt: skip
#: Rich in what encoders change.
awkward = st.text(st.one_of(st.sampled_from("\"'\\&<>%+/ #;\n\tüß€𝄞"), st.characters(exclude_categories=("Cs",), exclude_characters="*")),
                  min_size=6, max_size=30)  # fmt: skip


@given(
    secret=awkward, encoders=st.lists(st.sampled_from(ENCODERS), max_size=3), before=surroundings, after=surroundings
)
def test_a_secret_is_gone_however_it_was_encoded_one_inside_the_other(
    secret: str, encoders: list[t.Callable[[str], str]], before: str, after: str
) -> None:
    form = secret
    for encode in encoders:
        form = encode(form)
    assume(form not in before + after)
    shown = Scrubber([secret]).text(f"{before}{form}{after}")
    assert form not in shown and MASK in shown


@given(secret=awkward, encode=st.sampled_from(ENCODERS), text=st.text(max_size=60))
def test_what_is_no_form_of_a_secret_is_left_alone(secret: str, encode: t.Callable[[str], str], text: str) -> None:
    assume(re.search(encoded(secret), text) is None and "://" not in text and "assword" not in text)
    assert MASK not in Scrubber([secret]).text(text.replace(MASK, ""))
    assert re.fullmatch(encoded(secret), encode(secret))


@given(secret=secrets, times=st.integers(min_value=1, max_value=5))
def test_every_occurrence_is_masked(secret: str, times: int) -> None:
    assert Scrubber([secret]).text("; ".join([secret] * times)) == "; ".join([MASK] * times)


def test_a_longer_secret_is_masked_before_its_own_beginning() -> None:
    shown = Scrubber(["hunter22", "hunter22-and-more"]).text("it is hunter22-and-more")
    assert shown == f"it is {MASK}"


def test_lower_case_percent_escapes_are_masked() -> None:
    assert Scrubber(["a/b:c@d!"]).text("a%2fb%3ac%40d%21") == MASK


def test_a_short_value_masks_no_ordinary_words() -> None:
    assert Scrubber(["pg", "", "abc"]).text("pg_dump abc") == "pg_dump abc"


def test_each_line_of_a_private_key_is_a_secret() -> None:
    line = "MIIEvQIBADANBgkqhkiG9w0BAQEFAASC"
    scrubber = Scrubber([f"header\n{line}\nend"])
    assert scrubber.text(f"cannot read '{line}'") == f"cannot read '{MASK}'"
    assert scrubber.text("the header at the end") == "the header at the end"


def test_secrets_can_be_learned_later() -> None:
    scrubber = Scrubber()
    assert scrubber.text("later-known") == "later-known"
    scrubber.learn(["later-known"])
    scrubber.learn(["later-known"])
    assert scrubber.text("later-known") == MASK


@pytest.mark.parametrize("secret", ["with \udc80 byte", "half \ud83d pair"])
def test_text_that_is_no_unicode_can_be_a_secret(secret: str) -> None:
    assert Scrubber([secret]).text(f"<{secret}>") == f"<{MASK}>"


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("postgresql://app:hunter2@db/x failed", "hunter2"),
        ("redis://:hunter2@127.0.0.1:6379/0", "hunter2"),
        ("amqp://u:p@ss@host:5672", "p@ss"),
        ("amqp://u:pa/ss@host", "pa/ss"),
        ("postgresql://a:one1@h1,postgresql://b:two2@h2", "one1"),
        ("host=db password=hunter2 user=x", "hunter2"),
        ("host=db PASSWORD = 'hun\\'ter 2' user=x", "ter 2"),
        ('host=db password="hunter 2"', "hunter 2"),
        ("host=db password='hunter2 and the text was cut", "hunter2"),
        ("Authorization: Bearer abcdef.ghi-jkl", "abcdef.ghi-jkl"),
        ("Authorization: Basic dXNlcjpwYXNz", "dXNlcjpwYXNz"),
        ("-----BEGIN PRIVATE KEY-----\nMIIabc\n-----END PRIVATE KEY-----\n", "MIIabc"),
        ("-----BEGIN RSA PRIVATE KEY-----\nMIIabc and the text was cut", "MIIabc"),
        ("recipients: [AGE-SECRET-KEY-1QQPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L]", "QQPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L"),
    ],
)
def test_what_looks_like_a_secret_is_masked_though_nobody_declared_it(text: str, secret: str) -> None:
    assert secret not in Scrubber().text(text)


@pytest.mark.parametrize(
    "text",
    [
        "https://archive.example.org:8443/users/@me answered 200",
        "https://archive.example.org/a:b@c",
        "redis://127.0.0.1:6379/0 and mail to ops@example.org",
        "https://user@host/path",
        "the password is missing",
        "-----BEGIN CERTIFICATE-----",
    ],
)
def test_what_only_resembles_a_secret_stays_readable(text: str) -> None:
    assert Scrubber().text(text) == text


@pytest.mark.parametrize(
    "piece",
    [
        "a",
        "://",
        "a://a:",
        "a://a:@",
        "password=",
        "password='",
        "password = '\\",
        "Bearer ",
        "Basic a",
        "-----BEGIN PRIVATE KEY-----",
        "-----BEGIN " + "A" * 30,
        "-----END PRIVATE KEY-----",
        "AGE-SECRET-KEY-",
        "\\",
        "%5C",
        "&amp;",
        "%26amp%3B",
        "Pa55\\\\\\",
    ],
)
def test_a_megabyte_of_anything_is_read_in_linear_time(piece: str) -> None:
    # A quadratic pattern would need hours here, so that the test's own end is the proof.
    # The head and the tail open every pattern's gate.
    text = "x:// PRIVATE KEY SECRET-KEY- assword earer " + piece * (1_000_000 // len(piece)) + " ://"
    assert len(Scrubber([SECRET, f"&{SECRET[:4]} {SECRET}"]).text(f"Pa55 {text}")) > 0


nested = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=10), st.just(f"x{SECRET}y")),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(["a", SECRET]), inner, max_size=2)
    ),
    max_leaves=10,
)


@given(value=nested)
def test_a_secret_is_gone_at_any_depth_as_key_or_value(value: t.Any) -> None:
    assert SECRET not in repr(Scrubber([SECRET]).value(value))


def test_other_types_become_json_types() -> None:
    class Odd:
        def __str__(self) -> str:
            return f"odd {SECRET}"

    cleaned = Scrubber([SECRET]).value(
        {"s": {3, 1}, "t": (1, SECRET), "b": SECRET.encode() + b"\xff", "o": Odd(), 5: 1.5}
    )
    assert cleaned == {"s": [1, 3], "t": [1, MASK], "b": MASK + "\ufffd", "o": f"odd {MASK}", "5": 1.5}


@given(value=nested)
def test_nothing_is_lost_that_holds_no_secret(value: t.Any) -> None:
    assume(SECRET not in repr(value))
    assert Scrubber([SECRET]).value(value) == value or "://" in repr(value)


def test_bounds_say_what_was_cut() -> None:
    value = {"long": "a" * 30, "list": list(range(7)), "deep": [{"x": "b" * 11}], "n": 3}
    assert bounded(value, text=10, items=5) == {
        "long": "a" * 10 + "… (20 more characters)",
        "list": [0, 1, 2, 3, 4, "… 2 more"],
        "deep": [{"x": "b" * 10 + "… (1 more characters)"}],
        "n": 3,
    }
    assert bounded({str(n): n for n in range(4)}, items=3) == {"0": 0, "1": 1, "2": 2, "…": "1 more"}


@given(secret=st.text(min_size=4, max_size=12))
def test_no_spelling_is_so_short_that_it_would_mask_words(secret: str) -> None:
    assert all(len(form) >= 4 for form in spellings(secret))


def test_two_threads_that_learn_at_once_are_both_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    scrubber = Scrubber()
    together = threading.Barrier(2)
    compiled = re.compile

    def slowly(pattern: str) -> re.Pattern[str]:
        with contextlib.suppress(threading.BrokenBarrierError):
            together.wait(0.5)  # whoever takes its snapshot without a lock meets the other one here
        return compiled(pattern)

    monkeypatch.setattr("ansible_collections.opsready.golive.plugins.module_utils._core.scrub.re.compile", slowly)
    learners = [
        threading.Thread(target=scrubber.learn, args=([secret],)) for secret in ("first-secret", "other-secret")
    ]
    for learner in learners:
        learner.start()
    for learner in learners:
        learner.join()
    assert scrubber.text("first-secret other-secret") == f"{MASK} {MASK}"


def test_half_a_surrogate_pair_is_replaced_and_a_whole_character_is_not() -> None:
    assert Scrubber().value({"said": ["a\ud800b", "🐘 größer"]}) == {
        "said": ["a\N{REPLACEMENT CHARACTER}b", "🐘 größer"]
    }


@given(before=st.integers(min_value=0, max_value=60), most=st.integers(min_value=1, max_value=60))
def test_what_is_cut_holds_no_half_of_a_secret(before: int, most: int) -> None:
    text = "." * before + SECRET + "." * 20
    halves = [SECRET[:4], SECRET[-4:]]
    with in_use(Scrubber([SECRET])):
        shown = [beginning_of(text, most), end_of(text, most)]
    assert not [half for half in halves for cut in shown if half in cut]
    assert max(map(len, shown)) <= most
    assert beginning_of(text, before + 4).endswith(SECRET[:4]), "nothing is known of it any more"


@pytest.mark.parametrize(
    ("option", "left"),
    [
        ("redis://:q'w e@host:6379/0", f"redis://:{MASK}@host:6379/0"),
        ('  https://u:a\nb"@c@host/x', f"  https://u:{MASK}@host/x"),
        ("host=db password=q'w e dbname=x", f"host=db password={MASK}"),
        ("https://host:8443/@me and more", "https://host:8443/@me and more"),
        ("a note: see https://u at b@c", "a note: see https://u at b@c"),
    ],
)
def test_in_a_whole_option_neither_quote_nor_blank_ends_a_password(option: str, left: str) -> None:
    assert Scrubber().options({"url": [option]}) == {"url": [left]}
