"""What a state change says: its identity, words and JSON; and how it is signed."""

from __future__ import annotations

import base64
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.alert_world import SECRET, event

from longshore.errors import ConfigurationError
from longshore.monitor.alerts.notice import TITLES, Notice, is_told, iso
from longshore.monitor.alerts.signature import headers, key_of, signature, verify
from longshore.records import PROVISIONAL, DriftEvent, Source

ROOT = Path(__file__).resolve().parents[2]
OTHER = "whsec_" + base64.b64encode(bytes(range(32))).decode()
QUIET = ("verdict", "era")


def notice(told: DriftEvent, offset: int = 7) -> Notice:
    return Notice(told, Source("p.drift.events", 0, offset), 1_700_000_000_123, "default", "https://wiki/")


# Signing


def test_the_published_vector_of_standard_webhooks() -> None:
    """Of the specification's own libraries: id, time, body and secret give this signature and no other."""
    key = key_of(SECRET, "secret")
    signed = signature([key], "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, b'{"test": 2432232314}')
    assert signed == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@given(st.binary(max_size=200), st.integers(0, 2**40), st.integers(0, 199), st.integers(1, 255))
def test_a_receiver_accepts_what_was_signed_and_nothing_else(body: bytes, at: int, place: int, flip: int) -> None:
    sent = headers([key_of(SECRET, "secret")], "msg_1", at, body)
    assert verify(SECRET, sent, body, now_s=at + 299)
    assert not verify(SECRET, sent, body, now_s=at + 301)
    assert not verify(SECRET, sent, body, now_s=at - 301)
    assert not verify(OTHER, sent, body, now_s=at)
    assert not verify(SECRET, sent | {"webhook-id": "msg_2"}, body, now_s=at)
    assert not verify(SECRET, sent | {"webhook-timestamp": str(at + 1)}, body, now_s=at)
    changed = bytearray(body or b"x")
    changed[place % len(changed)] ^= flip
    assert not verify(SECRET, sent, bytes(changed), now_s=at) or not body


def test_with_two_secrets_either_receiver_accepts() -> None:
    sent = headers([key_of(OTHER, "new"), key_of(SECRET, "old")], "msg_1", 5, b"body")
    assert verify(SECRET, sent, b"body", now_s=5) and verify(OTHER, sent, b"body", now_s=5)


@pytest.mark.parametrize("broken", ["webhook-id", "webhook-timestamp", "webhook-signature"])
def test_a_header_that_is_not_there_or_nonsense_is_no_signature(broken: str) -> None:
    sent = headers([key_of(SECRET, "secret")], "msg_1", 5, b"body")
    for text in ("", "-5", "é", "v1", "٣"):
        assert not verify(SECRET, sent | {broken: text}, b"body", now_s=5)


@pytest.mark.parametrize("secret", ["whsec_", "whsec_AAAA", "hunter2!", base64.b64encode(bytes(65)).decode()])
def test_a_secret_that_is_none_is_refused_and_not_shown(secret: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        key_of(secret, "alerts.webhooks.pager.secret")
    assert "alerts.webhooks.pager.secret" in str(caught.value)
    bare = secret.removeprefix("whsec_")
    assert not bare or bare not in str(caught.value)


# Identity and words


def test_an_id_is_the_state_changes_own() -> None:
    first = notice(event("alert", "e1"))
    assert notice(event("alert", "e1")).id == first.id
    others = [
        notice(event("alert", "e2")), notice(event("resolved", "e1")), notice(event("alert", "e1", attempt=2)),
        notice(event("alert", "e1"), offset=8),
    ]  # fmt: skip
    assert len({one.id for one in [first, *others]}) == 5


def test_every_final_event_but_the_quiet_kinds_is_told() -> None:
    kinds = [*TITLES, "quality_fault", "something new"]
    assert all(is_told(event(kind, "e"), QUIET) for kind in kinds)
    assert not any(is_told(event(kind), QUIET) for kind in QUIET)
    assert not any(is_told(event(kind, status=PROVISIONAL), ()) for kind in [*kinds, *QUIET])
    assert not is_told(event("awaiting_labels", "e"), (*QUIET, "awaiting_labels"))


def test_a_subject_and_a_text_say_what_moved_since_when_and_what_to_do() -> None:
    told = notice(event("alert", "e1", windows=2, since=18_000))
    assert told.subject == "Longshore ships: covariate drift alert (model v1)"
    for part in (
        told.subject, "Moved: cargo (p = 3.0×10⁻⁷, PSI 0.31)", "Since: 1970-01-01 00:00:18 UTC", "500 records",
        "episode e1", "Windows: 2", "https://wiki/docs/operations/drift-alarm.md",
    ):  # fmt: skip
        assert part in told.text, part
    assert "crew" not in told.text
    assert notice(event("quality_fault", "e1")).subject == "Longshore ships: quality fault (covariate, model v1)"


def test_the_page_a_notice_names_is_there() -> None:
    assert (ROOT / notice(event("alert")).runbook.removeprefix("https://wiki/")).is_file()


def test_the_body_holds_the_event_and_is_the_same_every_time() -> None:
    told = notice(event("retraining", "e1", attempt=2, since=18_000))
    assert told.body == notice(event("retraining", "e1", attempt=2, since=18_000)).body
    body = msgspec.json.decode(told.body)
    assert (body["type"], body["timestamp"]) == ("drift.retraining", "2023-11-14T22:13:20.123Z")
    data = body["data"]
    assert msgspec.convert(data["event"], DriftEvent) == told.event
    assert (data["id"], data["episode"], data["moved"]) == (told.id, "e1", ["cargo"])
    assert data["since"] == "1970-01-01T00:00:18.000Z"
    assert data["source"] == {"topic": "p.drift.events", "partition": 0, "offset": 7}


def test_a_time_no_calendar_has_is_told_all_the_same() -> None:
    assert iso(10**18) == iso(0) == "1970-01-01T00:00:00.000Z"
