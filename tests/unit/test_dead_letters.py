"""Dead letters as values: damaged headers never mislead, patches mend or are refused, each origin is replayed once."""

from __future__ import annotations

import json
import string
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from longshore.cli.dead_letter_view import as_json, picture, printable
from longshore.cli.main import cli
from longshore.codec import Reason, Reject
from longshore.dead_letters import (
    CONTEXT,
    Coordinates,
    DeadLetter,
    Filter,
    Journal,
    Outcome,
    Patch,
    PatchError,
    Plan,
    Planner,
    ReasonCounts,
    Refusal,
)
from longshore.dead_letters.letter import REPLAY_ATTEMPT, REPLAY_OF, REPLAY_ROOT, SOURCE, readable
from longshore.dead_letters.selection import MAX_REASONS, OTHER_REASONS
from longshore.errors import ConfigurationError
from longshore.kafka.replay import Result, replay
from longshore.scorer.encode import CONTEXT as SCORERS
from longshore.scorer.encode import dead_letter

TOPIC = "longshore.districts"
DLQ = f"{TOPIC}.dlq"


@dataclass
class Sent:
    """A message as a topic holds it."""

    at: Coordinates
    value_: bytes | None = b"{}"
    headers_: list[tuple[str, Any]] | None = None
    key_: bytes | None = b"k"
    time: tuple[int, int] = (1, 1_000)

    def topic(self) -> str:
        return self.at.topic

    def partition(self) -> int:
        return self.at.partition

    def offset(self) -> int:
        return self.at.offset

    def key(self) -> bytes | None:
        return self.key_

    def value(self) -> bytes | None:
        return self.value_

    def headers(self) -> list[tuple[str, bytes]] | None:
        return self.headers_

    def timestamp(self) -> tuple[int, int]:
        return self.time


def failed(record: Sent, *, offset: int = 0, reason: Reason = Reason.NOT_JSON, message: str = "no") -> DeadLetter:
    """The dead letter that the scorer makes of a record, as it is read again."""
    made = dead_letter(record, Reject(0, reason, message), topic=DLQ, task="t")
    time = (1, made.timestamp_ms) if made.timestamp_ms is not None else (0, 0)
    return DeadLetter.of(Sent(Coordinates(DLQ, 0, offset), made.value, made.headers, made.key, time), TOPIC)


def letter_with(headers: list[tuple[str, Any]]) -> DeadLetter:
    return DeadLetter.of(Sent(Coordinates(DLQ, 0, 0), b"{}", headers), TOPIC)


def origin_headers(
    topic: Any = b"longshore.districts", partition: Any = b"1", offset: Any = b"7"
) -> list[tuple[str, Any]]:
    return [(CONTEXT + "topic", topic), (CONTEXT + "partition", partition), (CONTEXT + "offset", offset)]


def test_the_prefix_is_the_scorers() -> None:
    assert CONTEXT == SCORERS


names = st.text(string.ascii_letters + string.digits + "._-", min_size=1, max_size=249)


@given(names, st.integers(0, 2**31 - 1), st.integers(0, 2**63 - 1))
def test_coordinates_survive_their_text(topic: str, partition: int, offset: int) -> None:
    at = Coordinates(topic, partition, offset)
    assert Coordinates.parse(str(at)) == at


@pytest.mark.parametrize(
    "text",
    ["", "t", "t/1", "t/1/2/3", "/1/2", "t/-1/2", "t/1/+2", "t/1/2 ", "t/1/2\n", "t/1.0/2", "t/²/2", "t/١/2",
     "t/2147483648/0", "t/0/9223372036854775808", "t t/1/2", "t/1/" + "9" * 5_000],
)  # fmt: skip
def test_what_is_no_coordinate_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not topic/partition/offset"):
        Coordinates.parse(text)


def test_a_scorers_dead_letter_tells_everything() -> None:
    headers = [("trace", b"\x00\xff"), ("trace", b"2"), ("empty", None)]
    letter = failed(Sent(Coordinates(TOPIC, 3, 99), b"{", headers), offset=12, message="Málaga\n")
    assert letter.origin == letter.root == Coordinates(TOPIC, 3, 99)
    assert letter.place == Coordinates(DLQ, 0, 12)
    assert (letter.reason, letter.message, letter.problem, letter.attempt) == ("NotJson", "Málaga\n", "", 0)
    assert (letter.key, letter.value, letter.timestamp_ms) == (b"k", b"{", 1_000)


DAMAGED = {
    "none": ([], "topic is there 0 times"),
    "no offset": (origin_headers()[:2], "offset is there 0 times"),
    "two offsets": ([*origin_headers(), (CONTEXT + "offset", b"8")], "offset is there 2 times"),
    "a word for a number": (origin_headers(offset=b"seven"), "seven"),
    "a negative offset": (origin_headers(offset=b"-1"), "-1"),
    "a null offset": (origin_headers(offset=None), "not topic"),
    "bytes for a number": (origin_headers(partition=b"\xff\x00"), "xff"),
    "an offset beyond all": (origin_headers(offset=b"9" * 19), "not topic"),
    "an offset of a thousand digits": (origin_headers(offset=b"9" * 1_000), "not topic"),
    "a slash in the topic": (origin_headers(topic=b"a/b"), "not topic"),
    "an empty topic": (origin_headers(topic=b""), "not topic"),
    "Kafka Connect's, of another topic": (origin_headers(topic=b"orders"), "orders"),
    "one of Longshore's own topics": (origin_headers(topic=b"longshore.model.events"), "longshore.model.events"),
    "two hands": ([origin_headers()[2], *origin_headers()[:2]], "two hands"),
    "an attempt that is no number": ([(REPLAY_ATTEMPT, b"x"), *origin_headers()], REPLAY_ATTEMPT),
    "a negative attempt": ([(REPLAY_ATTEMPT, b"-9"), *origin_headers()], REPLAY_ATTEMPT),
    "two attempts": ([(REPLAY_ATTEMPT, b"1"), (REPLAY_ATTEMPT, b"1"), *origin_headers()], REPLAY_ATTEMPT),
    "no root": ([(REPLAY_ATTEMPT, b"1"), *origin_headers()], REPLAY_ROOT),
    "a damaged root": ([(REPLAY_ATTEMPT, b"1"), (REPLAY_ROOT, b"?"), *origin_headers()], REPLAY_ROOT),
}  # fmt: skip


@pytest.mark.parametrize("kind", DAMAGED)
def test_a_dead_letter_with_damaged_headers_is_listed_and_refused_with_the_reason(kind: str) -> None:
    headers, named = DAMAGED[kind]
    letter = letter_with(headers)
    assert named in letter.problem
    planned = Planner({0: 100, 1: 100}, 3).plan(letter, Journal(TOPIC))
    assert isinstance(planned, Refusal)
    assert (planned.outcome, planned.detail) == (Outcome.REFUSED, letter.problem)
    assert Filter().matches(letter)


@given(
    st.lists(
        st.tuples(
            st.sampled_from([name for name, _ in origin_headers()] + [REPLAY_ATTEMPT, REPLAY_ROOT, "x"])
            | st.text(max_size=5),
            st.none() | st.binary(max_size=30) | st.sampled_from([b"0", b"1", TOPIC.encode(), b"longshore.labels"]),
        ),
        max_size=8,
    )
)
def test_whatever_the_headers_are_only_records_of_this_topic_are_replayed(headers: list[tuple[str, Any]]) -> None:
    planned = Planner({0: 2, 1: 2}, 3).plan(letter_with(headers), Journal(TOPIC))
    if isinstance(planned, Plan):
        assert planned.origin.topic == TOPIC
        assert planned.origin.offset < 2
        assert not [name for name, _ in planned.headers() if name.startswith(CONTEXT)]
    else:
        assert planned.detail


def test_a_senders_own_coordinate_headers_cannot_stand_in_for_another_record() -> None:
    """The scorer keeps what a sender set: with a forged offset the dead letter would take another's place."""
    forged = [(CONTEXT + "topic", TOPIC.encode()), (CONTEXT + "partition", b"5"), (CONTEXT + "offset", b"5")]
    for headers in (forged[1:2], forged[2:], forged, [*forged, (SOURCE, f"{TOPIC}/5/5".encode())]):
        letter = failed(Sent(Coordinates(TOPIC, 0, 9), headers_=headers))
        assert (letter.origin, letter.problem) == (Coordinates(TOPIC, 0, 9), "")


def test_without_the_scorers_own_header_coordinates_of_two_hands_are_refused() -> None:
    """A foreign program's dead letter: Kafka Connect keeps a sender's headers too."""
    for name in ("partition", "offset"):
        sent = failed(Sent(Coordinates(TOPIC, 0, 9), headers_=[(CONTEXT + name, b"5")]))
        assert "two hands" in letter_with([pair for pair in sent.headers if pair[0] != SOURCE]).problem, name


def test_a_replay_is_the_original_with_its_origin_named() -> None:
    own = [("trace", b"\x00"), ("trace", b"2"), ("empty", None), ("replay-note", b"mine")]
    letter = failed(Sent(Coordinates(TOPIC, 1, 7), None, own, None))
    plan = Planner({1: 8}, 3).plan(letter, Journal(TOPIC))
    assert isinstance(plan, Plan)
    assert plan.value is None
    expected = [(REPLAY_OF, f"{TOPIC}/1/7".encode()), (REPLAY_ROOT, f"{TOPIC}/1/7".encode()), (REPLAY_ATTEMPT, b"1")]
    assert plan.headers() == own + expected


def test_attempts_are_counted_from_the_root_and_capped() -> None:
    """Each replay fails again; its new dead letter describes the new failure only."""
    record, seen = Sent(Coordinates(TOPIC, 0, 0)), []
    planner = Planner({0: 100}, 3)
    for turn in range(4):
        letter = failed(record, offset=turn, message=f"failure {turn}")
        assert letter.message == f"failure {turn}"
        assert letter.origin == Coordinates(TOPIC, 0, turn)
        assert letter.root == Coordinates(TOPIC, 0, 0)
        assert letter.attempt == turn
        planned = planner.plan(letter, Journal(TOPIC))
        seen.append(planned.attempt if isinstance(planned, Plan) else planned.outcome)
        if isinstance(planned, Plan):
            record = Sent(Coordinates(TOPIC, 0, turn + 1), planned.value, planned.headers())
            assert len(planned.headers()) == 3
    assert seen == [1, 2, 3, Outcome.ATTEMPTS_EXHAUSTED]


@pytest.mark.parametrize("origin", [Coordinates(TOPIC, 0, 10), Coordinates(TOPIC, 4, 0)])
def test_an_origin_that_does_not_exist_is_refused(origin: Coordinates) -> None:
    planned = Planner({0: 10}, 3).plan(failed(Sent(origin)), Journal(TOPIC))
    assert isinstance(planned, Refusal)
    assert planned.detail == f"there is no record {origin}"


def test_the_journal_decides_by_key_alone_and_a_tombstone_takes_back() -> None:
    journal = Journal(TOPIC)
    good = msgspec.json.encode({"replayed_as": f"{TOPIC}/2/50"})
    journal.read(
        [
            (f"{TOPIC}/0/1".encode(), good),
            (f"{TOPIC}/0/2".encode(), b"\xff not JSON"),
            (f"{TOPIC}/0/3".encode(), good),
            (f"{TOPIC}/0/3".encode(), None),
            (b"other/0/4", good),
            (b"\xff", good),
            (None, good),
        ]
    )
    there = [Coordinates(TOPIC, 0, offset) in journal for offset in range(5)]
    assert there == [False, True, True, False, False]
    assert journal.replayed_as(Coordinates(TOPIC, 0, 1)) == Coordinates(TOPIC, 2, 50)
    assert journal.replayed_as(Coordinates(TOPIC, 0, 2)) is None
    assert len(journal) == 2


def test_an_entry_says_what_happened() -> None:
    plan = Planner({0: 100}, 3, Patch('[{"op":"add","path":"/a","value":1}]')).plan(
        failed(Sent(Coordinates(TOPIC, 0, 5)), offset=8), Journal(TOPIC)
    )
    assert isinstance(plan, Plan)
    entry = json.loads(msgspec.json.encode(plan.entry(Coordinates(TOPIC, 0, 60), 77)))
    assert entry == {
        "replayed_as": f"{TOPIC}/0/60", "dead_letter": f"{DLQ}/0/8", "root": f"{TOPIC}/0/5", "attempt": 1,
        "patched": True, "replayed_at": 77,
    }  # fmt: skip


PATCHED = {
    "replace": ('[{"op":"replace","path":"/a","value":2.5}]', b'{"a": "x", "b": [1]}', b'{"a":2.5,"b":[1]}'),
    "NaN is replaced": ('[{"op":"replace","path":"/a","value":null}]', b'{"a": NaN}', b'{"a":null}'),
    "remove": ('[{"op":"remove","path":"/a"}]', '{"a":1,"é":"\u2028"}'.encode(), '{"é":"\u2028"}'.encode()),
    "move": ('[{"op":"move","from":"/a","path":"/b"}]', b'{"a":1}', b'{"b":1}'),
    "the whole": ('[{"op":"replace","path":"","value":{}}]', b"17", b"{}"),
    "big integers stay exact": (
        '[{"op":"add","path":"/a","value":0}]', b'{"n":123456789012345678901}', b'{"n":123456789012345678901,"a":0}',
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", PATCHED)
def test_a_patch_mends(kind: str) -> None:
    patch, value, mended = PATCHED[kind]
    assert Patch(patch).apply(value) == mended


UNPATCHED = {
    "no such field": ('[{"op":"replace","path":"/z","value":2}]', b'{"a":1}'),
    "a failing test": ('[{"op":"test","path":"/a","value":2},{"op":"remove","path":"/a"}]', b'{"a":1}'),
    "a path into a text": ('[{"op":"add","path":"/a/b/c","value":2}]', b'{"a":"text"}'),
    "a path into a number": ('[{"op":"add","path":"/a/b","value":2}]', b'{"a":1}'),
    "a path into null": ('[{"op":"remove","path":"/a/0"}]', b'{"a":null}'),
    "a word for an index": ('[{"op":"add","path":"/a/x","value":2}]', b'{"a":[]}'),
    "an array at the top": ('[{"op":"remove","path":"/a"}]', b"[1]"),
    "not JSON": ('[{"op":"remove","path":"/a"}]', b'{"a":1'),
    "not UTF-8": ('[{"op":"remove","path":"/a"}]', b'{"a":"\xff"}'),
    "empty": ('[{"op":"remove","path":"/a"}]', b""),
    "a tombstone": ('[{"op":"remove","path":"/a"}]', None),
    "NaN stays": ('[{"op":"remove","path":"/a"}]', b'{"a":1,"b":NaN}'),
    "infinite by size": ('[{"op":"remove","path":"/a"}]', b'{"a":1,"b":1e999}'),
    "a lone surrogate stays": ('[{"op":"remove","path":"/a"}]', b'{"a":1,"b":"\\ud800"}'),
    "nested too deeply": ('[{"op":"remove","path":"/a"}]', b'{"a":1,"b":' + b"[" * 50_000 + b"]" * 50_000 + b"}"),
    "an integer of 10,000 digits": ('[{"op":"remove","path":"/a"}]', b'{"a":1,"b":' + b"9" * 10_000 + b"}"),
}


@pytest.mark.parametrize("kind", UNPATCHED)
def test_a_patch_that_does_not_apply_leaves_the_record_unreplayed(kind: str) -> None:
    text, value = UNPATCHED[kind]
    with pytest.raises(PatchError, match=r"\w"):
        Patch(text).apply(value)
    planned = Planner({0: 10}, 3, Patch(text)).plan(failed(Sent(Coordinates(TOPIC, 0, 5), value)), Journal(TOPIC))
    assert isinstance(planned, Refusal)
    assert planned.outcome is Outcome.PATCH_FAILED
    assert planned.detail


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)  # fmt: skip


@given(
    st.lists(
        st.fixed_dictionaries(
            {"op": st.sampled_from(["add", "remove", "replace", "move", "copy", "test"])},
            optional={
                "path": st.sampled_from(["", "/a", "/a/0", "/a/-", "/a/b", "/b~0", "/b~2", "a", "//"]),
                "from": st.sampled_from(["/a", "/b", ""]),
                "value": json_values,
            },
        ),
        min_size=1,
        max_size=3,
    ),
    st.fixed_dictionaries({"a": json_values, "b": json_values}),
)
def test_a_patch_mends_or_is_refused_and_never_fails_otherwise(operations: list[Any], document: Any) -> None:
    before = json.dumps(document)
    try:
        mended = Patch(json.dumps(operations)).apply(before.encode())
    except (ConfigurationError, PatchError):
        return
    json.loads(mended.decode("utf-8"), parse_constant=pytest.fail)


@pytest.mark.parametrize(
    "text", ["", "{}", "[]", "[1]", '[{"op":"fly","path":"/a"}]', '[{"op":"add","path":"/a"}]', '[{"path":"/a"}]',
             '[{"op":"add","path":"a","value":1}]', "[" * 100_000],
)  # fmt: skip
def test_what_is_no_patch_is_refused_at_once(text: str) -> None:
    with pytest.raises(ConfigurationError, match="patch"):
        Patch(text)


def sample() -> list[DeadLetter]:
    reasons = [Reason.NOT_JSON, Reason.INVALID, Reason.EMPTY]
    letters = [
        failed(
            Sent(Coordinates(TOPIC, i % 2, i), b"{}", None, f"k{i % 4}".encode(), (1, 1_000 + i)),
            offset=i,
            reason=reasons[i % 3],
        )
        for i in range(12)
    ]
    return [*letters, letter_with([])]


@pytest.mark.parametrize(
    ("chosen", "offsets"),
    [
        (Filter(), [*range(12), 0]),
        (Filter(reasons=frozenset({"notjson"})), [0, 3, 6, 9]),
        (Filter(reasons=frozenset({"NotJson", "EmptyValue"}), partition=1), [3, 5, 9, 11]),
        (Filter(since_ms=1_003, until_ms=1_006), [3, 4, 5]),
        (Filter(key=b"k3"), [3, 7, 11]),
        (Filter(offset=4), [4]),
        (Filter(partition=0, offset=5), []),
        (Filter(reasons=frozenset({"Unknown"})), [0]),
    ],
)
def test_filters(chosen: Filter, offsets: list[int]) -> None:
    assert [letter.place.offset for letter in sample() if chosen.matches(letter)] == offsets
    assert chosen.empty == (len(offsets) == 13)


def test_a_dead_letter_without_a_time_is_in_no_range_of_time() -> None:
    timeless = failed(Sent(Coordinates(TOPIC, 0, 0), time=(0, -1)))
    assert timeless.timestamp_ms is None
    assert not Filter(since_ms=0).matches(timeless)
    assert Filter(key=b"k").matches(timeless)


def test_counts_by_reason_stay_bounded() -> None:
    counts = ReasonCounts()
    for letter in sample():
        counts.add(letter, replayed=letter.place.offset == 3)
    rows = {row.reason: (row.count, row.replayed, row.first_seen, row.last_seen) for row in counts.rows()}
    assert rows["NotJson"] == (4, 1, 1_000, 1_009)
    assert rows["Unknown"][0] == 1
    for i in range(3 * MAX_REASONS):
        counts.add(letter_with([(CONTEXT + "exception.class.name", b"x.R%d" % i)]), replayed=False)
    assert len(counts.rows()) == MAX_REASONS + 1
    assert {row.reason: row.count for row in counts.rows()}[OTHER_REASONS] == 2 * MAX_REASONS + len(rows)


@dataclass
class Committed:
    """What a replay commits, without Kafka."""

    journal: Journal
    batches: list[list[Coordinates]] = field(default_factory=list)

    def __call__(self, plans: Sequence[Plan]) -> list[Result]:
        self.batches.append([plan.origin for plan in plans])
        for plan in plans:
            assert plan.origin not in self.journal
            self.journal.add(plan.origin, plan.origin)
        return [Result(plan.letter, Outcome.REPLAYED) for plan in plans]


@given(st.lists(st.integers(0, 8), max_size=40), st.integers(1, 5), st.none() | st.integers(1, 10), st.integers(1, 7))
def test_each_origin_is_replayed_once_in_batches_of_bounded_size(
    offsets: list[int], batch: int, limit: int | None, group: int
) -> None:
    """Dead letters may stand there twice: at-least-once scorers write them again."""
    letters = [failed(Sent(Coordinates(TOPIC, 0, offset)), offset=i) for i, offset in enumerate(offsets)]
    journal = Journal(TOPIC)
    commit = Committed(journal)
    planner = Planner({0: 100}, 3)
    groups = [letters[i : i + group] for i in range(0, len(letters), group)]
    results = list(
        replay(
            groups,
            Filter(),
            lambda letter: planner.plan(letter, journal),
            commit,
            limit=limit,
            batch_records=batch,
        )
    )
    replayed = [origin.offset for origins in commit.batches for origin in origins]
    assert replayed == list(dict.fromkeys(offsets))[:limit]
    assert all(0 < len(origins) <= batch for origins in commit.batches)
    if limit is None:
        assert len(results) == len(offsets)


HOSTILE = "\x1b[2J\x07\x00\x7f\x9b31m\u202eevil\u2066\ufeff\r\n\t\x85"


@given(st.binary(max_size=300) | st.text().map(lambda text: (HOSTILE + text).encode("utf-8", "replace")))
def test_no_control_character_reaches_a_terminal(value: bytes) -> None:
    for text in (picture(value), printable(readable(value)), as_json({"a": readable(value)}), as_json(HOSTILE)):
        assert text.isprintable(), text
    assert len(picture(value)) <= 60
    assert json.loads(as_json(readable(value))) == readable(value)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["replay"], "--all"),
        (["replay", "--limit", "3"], "--all"),
        (["replay", "--all", "--patch", "gone.json"], "gone.json"),
        (["replay", "--all", "--patch", "[]"], "patch"),
        (["list", "--since", "yesterday"], "yesterday"),
        (["list", "--until", "9999999999d"], "9999999999d"),
        (["list", "--from-offset", "1"], "PARTITION/OFFSET"),
        (["show", "1-2"], "PARTITION/OFFSET"),
        (["list", "--partition", "-1"], "-1"),
    ],
)
def test_a_wrong_call_names_the_argument(arguments: list[str], named: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LONGSHORE_BOOTSTRAP_SERVERS", "127.0.0.1:1")
    result = CliRunner().invoke(cli, ["dlq", *arguments])
    assert result.exit_code != 0
    assert named in (str(result.exception) if isinstance(result.exception, ConfigurationError) else result.output)
