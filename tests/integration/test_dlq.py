"""`longshore dlq` on a real broker: listing streams and filters, a replay is the original again, each once."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any

import pytest
from click.testing import CliRunner
from confluent_kafka import KafkaError, KafkaException, Producer
from tests.dead_letter_world import SENT_AT, DeadLetters, Original, originals
from tests.malformed_corpus import GOOD, record
from tests.services import services
from tests.waiting import eventually

from longshore.cli.main import cli
from longshore.codec import Reason
from longshore.config import Settings
from longshore.dead_letters import CONTEXT, Outcome
from longshore.errors import AbortedError
from longshore.kafka import replay as replaying
from longshore.kafka.admin import create_topics
from longshore.kafka.reader import read_all
from longshore.local.stack import Endpoints

pytestmark = pytest.mark.integration


@pytest.fixture
def world(settings: Settings) -> DeadLetters:
    return DeadLetters(settings)


class Command:
    """`longshore dlq …` in this process."""

    def __init__(self, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
        assert settings.redis_url is not None
        monkeypatch.setenv("LONGSHORE_BOOTSTRAP_SERVERS", str(settings.bootstrap_servers))
        monkeypatch.setenv("LONGSHORE_REDIS_URL", settings.redis_url.get_secret_value())
        monkeypatch.setenv("LONGSHORE_TOPIC_PREFIX", settings.topic_prefix)

    def text(self, *arguments: str, code: int = 0) -> str:
        result = CliRunner().invoke(cli, ["dlq", *arguments])
        assert result.exit_code == code, result.output + repr(result.exception)
        return result.stdout

    def json(self, *arguments: str, code: int = 0) -> Any:
        return json.loads(self.text(*arguments, "--output", "json", code=code))


@pytest.fixture
def dlq(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Command:
    return Command(settings, monkeypatch)


def test_list_filters_counts_and_never_writes_what_a_terminal_would_act_on(world: DeadLetters, dlq: Command) -> None:
    world.add(originals(60))
    world.send(b"k", b"{}", [(f"{CONTEXT}topic", b"orders"), (f"{CONTEXT}partition", b"x\x1b[2J")], None)
    listed = dlq.json("list")
    assert listed["matching"] == len(listed["dead_letters"]) == 61
    assert {row["reason"]: (row["count"], row["replayed"]) for row in listed["reasons"]} == {
        "NotJson": (20, 0), "InvalidRecord": (20, 0), "EmptyValue": (20, 0), "Unknown": (1, 0),
    }  # fmt: skip
    by_origin = {row["origin"]: row for row in listed["dead_letters"]}
    for at, original in world.at.items():
        row = by_origin[str(at)]
        assert row["message"] == f"message of {at}"
        assert row["timestamp"] == original.at_ms
        assert row["size"] == (None if original.value is None else len(original.value))
        assert (row["replayed"], row["problem"], row["attempt"]) == (False, "", 0)
    assert "offset is there 0 times" in by_origin[None]["problem"]
    first = next(at for at, original in world.at.items() if original.at_ms == SENT_AT + 7)
    assert dlq.json("list", "--reason", "notjson", "--limit", "3")["matching"] == 20
    assert len(dlq.json("list", "--reason", "notjson", "--limit", "3")["dead_letters"]) == 3
    assert dlq.json("list", "--key", "k1")["matching"] == 15
    at_first = dlq.json("list", "--partition", str(first.partition), "--offset", str(first.offset))
    assert [row["origin"] for row in at_first["dead_letters"]] == [str(first)]
    since, until = (datetime.fromtimestamp((SENT_AT + ms) / 1_000, UTC).isoformat() for ms in (10, 20))
    timed = dlq.json("list", "--since", since.replace("+00:00", "Z"), "--until", until)
    assert sorted(row["timestamp"] % 1_000 for row in timed["dead_letters"]) == list(range(10, 20))
    later = dlq.json("list", *(f"--from-offset={number}/5" for number in range(world.settings.topics.partitions)))
    places = {row["dead_letter"] for row in listed["dead_letters"]}
    left_out = {place for place in places if int(place.partition("/")[2]) < 5}
    assert {row["dead_letter"] for row in later["dead_letters"]} == places - left_out
    table = dlq.text("list", "--limit", "0")
    assert "\\x1b[2J" in table
    assert "NotJson" in table
    assert table.replace("\n", "").isprintable()


def test_show_gives_the_whole_value_and_every_header(world: DeadLetters, dlq: Command) -> None:
    value = b"\x1b]0;x\x07\xff" + b"long" * 500
    world.add([Original(b"\xff", value, [("trace", b"\x00\xff"), ("empty", None), ("trace", "é".encode())])])
    place = dlq.json("list")["dead_letters"][0]["dead_letter"]
    shown = dlq.json("show", place)
    assert list(shown["value"]) == ["base64"]
    assert shown["headers"][:3] == [
        {"name": "trace", "base64": "AP8="}, {"name": "empty", "text": None}, {"name": "trace", "text": "é"},
    ]  # fmt: skip
    text = dlq.text("show", place)
    assert "long" * 500 in text
    assert text.replace("\n", "").isprintable()
    dlq.text("show", "0/99999", code=1)


def test_a_replay_is_the_original_again_each_once(world: DeadLetters, dlq: Command) -> None:
    world.add(originals(40))
    world.send(b"k", b"{}", [(f"{CONTEXT}topic", b"orders")], None)
    dry = dlq.json("replay", "--all", "--dry-run", code=1)
    assert dry["outcomes"] == {"would_replay": 40, "refused": 1}
    assert not world.replayed()
    some = dlq.json("replay", "--reason", "EmptyValue", "--limit", "5", "--batch", "2")
    assert some["outcomes"] == {"replayed": 5}
    rest = dlq.json("replay", "--all", "--batch", "7", code=1)
    assert rest["outcomes"] == {"replayed": 35, "already_replayed": 5, "refused": 1}
    again = dlq.json("replay", "--all", code=1)
    assert again["outcomes"] == {"already_replayed": 40, "refused": 1}
    world.check_each_replayed_once()
    for origin, message in world.replayed().items():
        at = next(at for at in world.at if str(at) == origin)
        original = world.at[at]
        assert (message.key(), message.value()) == (original.key, original.value)
        assert (message.topic(), message.partition()) == (at.topic, at.partition)
        named = [("replay-of", origin.encode()), ("replay-root", origin.encode()), ("replay-attempt", b"1")]
        assert message.headers() == original.headers + named
    listed = dlq.json("list")
    assert sum(row["replayed"] for row in listed["reasons"]) == 40
    assert {row["replayed_as"] for row in listed["dead_letters"]} - {None} == {
        entry["replayed_as"] for entry in world.journal().values()
    }


def test_a_patch_mends_what_it_fits_and_leaves_the_rest(world: DeadLetters, dlq: Command, tmp_path: Path) -> None:
    world.add([Original(b"a", b'{"x": 1}'), Original(b"b", b'{"y": 1}'), Original(b"c", None)])
    patch = tmp_path / "patch.json"
    patch.write_text('[{"op": "replace", "path": "/x", "value": 2}]')
    found = dlq.json("replay", "--all", "--patch", str(patch), code=1)
    assert found["outcomes"] == {"replayed": 1, "patch_failed": 2}
    details = {row["detail"] for row in found["dead_letters"] if row["outcome"] == "patch_failed"}
    assert "the record has no value" in details
    assert [message.value() for message in world.replayed().values()] == [b'{"x":2}']
    assert [entry["patched"] for entry in world.journal().values()] == [True]
    inline = dlq.json("replay", "--key", "b", "--patch", '[{"op": "remove", "path": "/y"}]')
    assert inline["outcomes"] == {"replayed": 1}


def test_a_record_the_topic_refuses_stays_and_the_others_go(settings: Settings) -> None:
    """One that the broker refuses, together with its whole batch; and one that was cut and must never go out."""
    world = DeadLetters(settings, limit_bytes=50_000)
    world.add([Original(b"k", Random(size).randbytes(size)) for size in (10, 20, 90_000, 30, 1_010_000, 40)])
    results = world.replay()
    sizes = sorted(len(r.letter.value or b"") for r in results if r.outcome is Outcome.TOO_LARGE)
    assert sizes == [90_000]
    assert world.outcomes(results) == {Outcome.REPLAYED: 4, Outcome.TOO_LARGE: 1, Outcome.REFUSED: 1}
    assert len(world.replayed()) == len(world.journal()) == 4


@pytest.mark.parametrize("committed", [True, False], ids=["after the commit", "before the commit"])
def test_an_ambiguous_commit_is_settled_by_the_journal(
    world: DeadLetters, monkeypatch: pytest.MonkeyPatch, committed: bool
) -> None:
    world.add(originals(30))
    failures = iter([False, True, False, False, True])

    class Ambiguous(Producer):  # type: ignore[misc]
        def commit_transaction(self, *args: Any) -> None:
            fail = next(failures, False)
            if committed or not fail:
                super().commit_transaction(*args)
            if fail:
                raise KafkaException(KafkaError(KafkaError._TIMED_OUT, "no answer"))

    monkeypatch.setattr(replaying, "Producer", Ambiguous)
    results = world.replay(batch=8)
    assert world.outcomes(results) == {Outcome.REPLAYED: 30}
    journal = world.journal()
    assert {str(r.letter.origin): str(r.target) for r in results} == {o: e["replayed_as"] for o, e in journal.items()}
    world.check_each_replayed_once()


def test_a_second_replay_fences_the_first(world: DeadLetters, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second takes over between the first one's produce and its commit."""
    world.add(originals(20))
    second: list[Any] = []

    class Overtaken(Producer):  # type: ignore[misc]
        def commit_transaction(self, *args: Any) -> None:
            monkeypatch.setattr(replaying, "Producer", Producer)
            second.extend(world.replay(batch=6))
            super().commit_transaction(*args)

    monkeypatch.setattr(replaying, "Producer", Overtaken)
    with pytest.raises(AbortedError, match="another replay took over"):
        world.replay(batch=6)
    assert world.outcomes(second) == {Outcome.REPLAYED: 20}
    world.check_each_replayed_once()


@pytest.mark.slow
def test_a_mended_record_scores_and_a_hopeless_one_meets_the_cap(
    settings: Settings, stack: Endpoints, tmp_path: Path, trained: Path, dlq: Command
) -> None:
    world = DeadLetters(settings)
    create_topics(settings, world.topics.specs(settings))
    with services(settings, stack, tmp_path, 8) as (run, _cache):
        run.adopt(trained)
        run.start("score", "--instance", "one")
        producer = Producer({"bootstrap.servers": stack.bootstrap_servers})
        headers = [("trace", b"1")]
        producer.produce(world.topics.records, record(record_id="mend", latitude=95.0), b"d1", headers=headers)
        producer.produce(world.topics.records, record()[:-1], b"d2", headers=headers)
        assert producer.flush(10) == 0

        def letters(count: int) -> Any:
            found = dlq.json("list")
            return found["dead_letters"] if found["matching"] >= count else None

        eventually(lambda: letters(2), 60, what="two dead letters")
        patch = '[{"op":"replace","path":"/latitude","value":37.5}]'
        assert dlq.json("replay", "--reason", "InvalidRecord", "--patch", patch)["outcomes"] == {"replayed": 1}
        for turn in range(1, 4):
            done = dlq.json("replay", "--reason", "NotJson")
            assert done["outcomes"].pop("replayed") == 1
            assert set(done["outcomes"]) <= {"already_replayed"}
            found = eventually(lambda turn=turn: letters(2 + turn), 30, what=f"dead letter {turn}")
            newest = next(row for row in found if row["attempt"] == turn)
            target = [row["replayed_as"] for row in done["dead_letters"] if row["outcome"] == "replayed"]
            assert [newest["origin"]] == target, "the context is not the new failure's"
            assert newest["reason"] == "NotJson"
            assert newest["problem"] == ""
        last = dlq.json("replay", "--reason", "NotJson", code=1)
        assert last["outcomes"] == {"already_replayed": 3, "attempts_exhausted": 1}
        assert dlq.json("replay", "--reason", "NotJson", "--max-attempts", "4")["outcomes"]["replayed"] == 1
        predictions = eventually(
            lambda: [m for batch in read_all(settings, world.topics.predictions) for m in batch],
            30,
            what="a prediction",
        )
    assert len(predictions) == 1
    value = json.loads(predictions[0].value())
    assert value["record"] == {**GOOD, "record_id": "mend", "latitude": 37.5}
    entries = world.journal()
    assert value["source"]["offset"] in {int(e["replayed_as"].rpartition("/")[2]) for e in entries.values()}
    chain = [entry for entry in entries.values() if not entry["patched"]]
    assert sorted(entry["attempt"] for entry in chain) == [1, 2, 3, 4]
    assert len({entry["root"] for entry in chain}) == 1
    assert Reason.NOT_JSON == "NotJson"
