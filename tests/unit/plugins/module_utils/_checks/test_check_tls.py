# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""check_tls's rules on plain data: expiry, strength, names, and what is said about a refusal."""

from __future__ import annotations

import dataclasses
import datetime as dt
import typing as t

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.opsready.golive.plugins.module_utils._checks import check_tls
from ansible_collections.opsready.golive.plugins.module_utils._clients import tls
from ansible_collections.opsready.golive.plugins.module_utils._core.argspec import validated
from ansible_collections.opsready.golive.plugins.module_utils._core.finding import Judgement

NOW = dt.datetime(2026, 11, 22, tzinfo=dt.timezone.utc)


def certificate(*, left: float = 60, lifetime: float = 90, **other: t.Any) -> tls.Certificate:
    ends = NOW + dt.timedelta(days=left)
    plain: dict[str, t.Any] = {
        "subject": "CN=archive.example.org",
        "issuer": "CN=Issuer",
        "serial": "1",
        "not_before": ends - dt.timedelta(days=lifetime),
        "not_after": ends,
        "names": ("archive.example.org", "*.docs.example.org"),
        "sha256": "a" * 64,
        "key_sha256": "b" * 64,
        "key_kind": "EC",
        "key_bits": 256,
        "signature_hash": "sha256",
        "is_ca": False,
        "is_self_issued": False,
        "serves_tls": True,
    }
    return tls.Certificate(**{**plain, **other})


def judge_served(
    chain: t.Sequence[tls.Certificate],
    *,
    refusal: str = "",
    version: str = "TLSv1.3",
    served: dict[str, t.Any] | None = None,
    older: tuple[str, ...] | None = None,
    **params: t.Any,
) -> Judgement:
    checked = validated(check_tls.ARGUMENT_SPEC, {"endpoints": ["h:443"], **params}, where="x")
    handshake = tls.Handshake(version, "cipher", tuple(chain), refusal=refusal, older_versions=older)
    seen = check_tls.Served("h:443", **{"names": (), "handshake": handshake, **(served or {})})
    facts = check_tls.Facts(NOW, (seen,), ())
    assert check_tls.evidence(facts)["h:443"]
    return Judgement.of(check_tls.judge(facts, checked))


def test_a_good_certificate_passes() -> None:
    assert judge_served([certificate()]).status == "pass"


@pytest.mark.parametrize(
    ("left", "lifetime", "params", "status"),
    [
        (30.1, 90, {}, "pass"),
        (29.9, 90, {}, "fail"),
        (3, 90, {}, "fail"),
        (-1, 90, {}, "fail"),
        (29.9, 90, {"min_days": 14}, "pass"),
        (29, 90, {"min_days": 14}, "warn"),
        (40, 180, {}, "warn"),
        (40, 365, {}, "pass"),
        (5, 6, {"min_days": 0}, "pass"),
        (5, 6, {}, "fail"),
        # a renewal was missed, and no day is left to find out why
        (16, 90, {"min_days": 0}, "warn"),
        (14.9, 90, {"min_days": 0}, "warn"),
        (14.8, 90, {"min_days": 0}, "fail"),
        (14.8, 90, {"min_days": 0, "min_lifetime_share": 0.2}, "warn"),
        (3, 90, {"min_days": 0, "min_lifetime_share": 0}, "pass"),
        # the floor, and what is short-lived by intention
        (2.1, 300, {"min_days": 0}, "pass"),
        (1.9, 300, {"min_days": 0}, "fail"),
        (1.9, 300, {"min_days": 0, "min_remaining": "36h"}, "pass"),
        (2.1, 300, {"min_days": 0, "min_remaining": "3d"}, "fail"),
        (2.1, 6, {"min_days": 0}, "pass"),
        (1.9, 6, {"min_days": 0}, "warn"),
        (1.1, 6, {"min_days": 0}, "warn"),
        (0.995, 6, {"min_days": 0}, "fail"),
        (0.995, 6, {"min_days": 0, "min_remaining": "20h"}, "warn"),
        (0.4, 1, {"min_days": 0}, "pass"),
        (0.3, 1, {"min_days": 0}, "warn"),
        (0.16, 1, {"min_days": 0}, "fail"),
        (0.01, 1, {"min_days": 0, "min_remaining": "0s"}, "fail"),
        (0.01, 1, {"min_days": 0, "min_remaining": "0s", "min_lifetime_share": 0}, "pass"),
    ],
)
def test_the_three_rules_of_expiry(left: float, lifetime: float, params: dict[str, t.Any], status: str) -> None:
    assert judge_served([certificate(left=left, lifetime=lifetime)], **params).status == status


@pytest.mark.parametrize(("left", "status"), [(7 * 0.2, "pass"), (7 * 0.16, "fail")])
def test_an_issuer_that_is_renewed_with_a_fifth_of_its_seven_days_to_go_is_healthy(left: float, status: str) -> None:
    issuer = certificate(left=left, lifetime=7, subject="CN=Caddy Local Authority - ECC Intermediate", is_ca=True)
    found = judge_served([certificate(left=0.4, lifetime=0.5), issuer], min_days=0)
    assert found.status == status, found.summary


def test_a_bound_that_can_never_hold_is_explained() -> None:
    assert "can never hold" in judge_served([certificate(left=5, lifetime=6)]).remedy


@given(st.integers(-1000 * 86400, 399 * 86400), st.integers(0, 400))
def test_fewer_days_than_asked_for_never_pass(seconds_left: int, bound: int) -> None:
    status = judge_served([certificate(left=seconds_left / 86400, lifetime=400)], min_days=bound).status
    assert status == ("pass" if seconds_left >= max(bound * 86400, 48 * 3600) else "fail")


def test_the_floor_is_told_in_words() -> None:
    summary = judge_served([certificate(left=0.5, lifetime=90)], min_days=0).summary
    assert "h:443 time left is 12.0 h, expected at least 2.0 days" in summary
    old = certificate(left=1, lifetime=3000, subject="CN=Issuer", is_ca=True)
    assert "h:443 issuer CN=Issuer time left is 24.0 h" in judge_served([certificate(), old], min_days=0).summary


def test_every_certificate_of_the_chain_must_last() -> None:
    old = certificate(left=5, lifetime=3000, subject="CN=Issuer", is_ca=True)
    judgement = judge_served([certificate(), old])
    assert judgement.status == "fail"
    assert "issuer CN=Issuer days left is 5" in judgement.summary


def test_a_certificate_of_tomorrow_fails() -> None:
    judgement = judge_served([certificate(left=100, lifetime=99)])
    assert judgement.status == "fail"
    assert "start is 2026-11-23" in judgement.summary


def test_a_certificate_without_a_lifetime_is_judged() -> None:
    assert judge_served([certificate(left=40, lifetime=0)]).status == "fail"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"signature_hash": "sha1"}, "signature is sha1"),
        ({"signature_hash": "md5"}, "signature is md5"),
        ({"key_kind": "RSA", "key_bits": 1024}, "RSA key is 1024 bits"),
        ({"key_kind": "EC", "key_bits": 192}, "EC key is 192 bits"),
        ({"serves_tls": False}, "usage is another use"),
    ],
)
def test_weak_or_wrong_certificates_fail(change: dict[str, t.Any], said: str) -> None:
    judgement = judge_served([certificate(**change)])
    assert judgement.status == "fail"
    assert said in judgement.summary


def test_a_roots_own_signature_is_not_judged() -> None:
    root = certificate(left=3000, lifetime=4000, signature_hash="sha1", is_ca=True, is_self_issued=True)
    assert judge_served([certificate(), root]).status == "pass"


def test_an_edwards_key_passes() -> None:
    assert judge_served([certificate(key_kind="Ed25519", signature_hash="none")]).status == "pass"


@pytest.mark.parametrize(
    ("names", "status"),
    [
        (("archive.example.org",), "pass"),
        (("ARCHIVE.example.org.",), "pass"),
        (("a.docs.example.org",), "pass"),
        (("a.b.docs.example.org",), "fail"),
        (("docs.example.org",), "fail"),
        (("archive.example.org", "other.example.org"), "fail"),
    ],
)
def test_names(names: tuple[str, ...], status: str) -> None:
    assert judge_served([certificate()], served={"names": names}).status == status


def test_a_wildcard_serves_no_empty_label() -> None:
    assert not tls.matching(["*.example.org"], ".example.org")


@pytest.mark.parametrize(
    ("chain", "refusal", "said"),
    [
        ([certificate(left=-3)], "certificate has expired", "valid from"),
        ([certificate(left=100, lifetime=90)], "certificate is not yet valid", "valid from"),
        ([certificate()], "Hostname mismatch, certificate is not valid for 'h'.", "it is for archive.example.org"),
        ([certificate(names=())], "IP address mismatch", "it is for no name"),
        ([certificate(is_self_issued=True)], "self-signed certificate", "it is signed by itself"),
        ([certificate()], "unable to get local issuer certificate", "the chain of 1 ends at CN=Issuer"),
        (
            [certificate(), certificate(is_ca=True, is_self_issued=True, subject="CN=Root")],
            "self-signed certificate in chain",
            "its root is CN=Root",
        ),
    ],
)
def test_a_refusal_is_explained(chain: list[tls.Certificate], refusal: str, said: str) -> None:
    judgement = judge_served(chain, refusal=refusal)
    assert judgement.status == "fail"
    assert refusal in judgement.summary and said in judgement.summary
    assert judgement.remedy


def test_versions() -> None:
    assert judge_served([certificate()], version="TLSv1.2", min_version="TLSv1.3").status == "fail"
    assert judge_served([certificate()], version="TLSv1.1").status == "fail"
    assert judge_served([certificate()], older=()).status == "pass"
    judgement = judge_served([certificate()], older=("TLSv1", "TLSv1.1"))
    assert (judgement.status, "still speaks TLSv1, TLSv1.1" in judgement.summary) == ("fail", True)


def test_the_served_certificate_is_compared_with_the_file() -> None:
    assert judge_served([certificate()], served={"match_path": "/x", "match_sha256": "a" * 64}).status == "pass"
    other = judge_served([certificate()], served={"match_path": "/x", "match_sha256": "c" * 64})
    assert (other.status, "reload" in other.remedy) == ("fail", True)
    unread = judge_served([certificate()], served={"match_path": "/x", "match_problem": "/x cannot be read."})
    assert unread.status == "unknown"


def judge_stored(file: tls.CertificateFile) -> Judgement:
    checked = validated(check_tls.ARGUMENT_SPEC, {"files": [{"certificate": "/c"}]}, where="x")
    facts = check_tls.Facts(NOW, (), (check_tls.Stored("/c", (), file),))
    assert check_tls.evidence(facts)["/c"]["chain"]
    return Judgement.of(check_tls.judge(facts, checked))


FILE = tls.CertificateFile("/c", (certificate(),), is_linked=True, key_path="/k", key_matches=True, key_mode=0o600)


@pytest.mark.parametrize(
    ("change", "status", "said"),
    [
        ({}, "pass", ""),
        ({"key_mode": 0o640}, "pass", ""),
        ({"key_mode": 0o644}, "fail", "can be read by everybody (mode 0644)"),
        ({"key_matches": False}, "fail", "does not belong to /c"),
        ({"key_problem": "The key /k is encrypted."}, "unknown", "is encrypted"),
        ({"chain": (certificate(), certificate(is_ca=True)), "is_linked": False}, "fail", "not signed by the next one"),
    ],
)
def test_files_and_keys(change: dict[str, t.Any], status: str, said: str) -> None:
    judgement = judge_stored(dataclasses.replace(FILE, **change))
    assert (judgement.status, said in judgement.summary) == (status, True), judgement.summary
