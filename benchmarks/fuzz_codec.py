"""Random malformed records through codec and model, each outcome compared with an independent oracle.

    python benchmarks/fuzz_codec.py                                  # 200,000 records, a fresh seed
    python benchmarks/fuzz_codec.py --records 1000000 --seed 7       # the long form
    python benchmarks/fuzz_codec.py --records 0 --through-kafka 100000   # through a real scorer: each offset one output

Ends with one line of JSON; exits 1 at the first record that was lost, doubled, or judged otherwise than by the oracle.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections import Counter
from itertools import islice
from pathlib import Path
from random import SystemRandom
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from confluent_kafka import Producer
from pydantic import SecretStr
from tests.fuzzing import SCHEMA, Fuzzer, batches, check_batch, small_model, verdict
from tests.services import services
from tests.waiting import eventually

from longshore.codec import Codec, Reason
from longshore.config import Settings
from longshore.kafka.admin import create_topics
from longshore.kafka.reader import read_all
from longshore.local.stack import LocalStack
from longshore.topics import Topics

Coordinates = tuple[int, int]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=200_000)
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--through-kafka", type=int, default=0, metavar="RECORDS")
    args = parser.parse_args()
    seed = SystemRandom().getrandbits(32) if args.seed is None else args.seed
    print(f"seed {seed}", flush=True)
    result: dict[str, Any] = {"seed": seed}
    if args.records:
        result["codec"] = through_codec(args.records, seed)
    if args.through_kafka:
        result["scorer"] = through_scorer(args.through_kafka, seed)
    print(json.dumps(result))


def through_codec(records: int, seed: int) -> dict[str, Any]:
    codec, model, values = Codec(SCHEMA), small_model(), Fuzzer(seed).values()
    accepted, reasons, started = 0, Counter[Reason](), time.perf_counter()
    for number, batch in enumerate(batches(values, records)):
        good, counts = check_batch(batch, codec, model)
        accepted += good
        reasons.update(counts)
        if number % 5_000 == 0:
            done = accepted + reasons.total()
            print(f"{done:,} records, {time.perf_counter() - started:.0f} s", flush=True)
    assert accepted + reasons.total() == records
    seconds = round(time.perf_counter() - started, 1)
    return {"records": records, "accepted": accepted, "rejected": dict(reasons), "seconds": seconds}


def through_scorer(records: int, seed: int) -> dict[str, Any]:
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as name, LocalStack(Path(name) / "stack", ephemeral=True) as stack:
        folder = Path(name)
        settings = Settings(
            bootstrap_servers=stack.bootstrap_servers,
            redis_url=SecretStr(stack.redis_url),
            home=folder,
            registry_url=str(folder / "registry"),
        )
        topics = Topics.of(settings.topic_prefix, SCHEMA)
        create_topics(settings, topics.specs(settings))
        with services(settings, stack, folder, 1) as (run, _cache):
            run.once("train", "--rows", "2000")
            sent = _send(settings, topics.records, records, seed)
            scorer = run.start("score", "--instance", "fuzzed")
            outputs = [topics.predictions, topics.dead_letters]

            def all_out() -> bool:
                assert scorer.poll() is None, run.logs()
                return sum(len(batch) for topic in outputs for batch in read_all(settings, topic)) >= records

            eventually(all_out, 300, what="an output for each record")
            scorer.terminate()
            assert scorer.wait(30) == 0, run.logs()
            counts = _compare(settings, topics, sent)
    return {"records": records, "outputs": counts, "seconds": round(time.perf_counter() - started, 1)}


def _send(settings: Settings, topic: str, records: int, seed: int) -> dict[Coordinates, bytes | None]:
    sent: dict[Coordinates, bytes | None] = {}
    producer = Producer({"bootstrap.servers": settings.bootstrap_servers, "linger.ms": 5})
    for value in islice(Fuzzer(seed).values(), records):

        def delivered(error: Any, message: Any, value: bytes | None = value) -> None:
            assert error is None, error
            sent[message.partition(), message.offset()] = value

        producer.produce(topic, value, on_delivery=delivered)
        producer.poll(0)
        if len(producer) > 50_000:
            producer.flush(30)
    assert producer.flush(60) == 0
    assert len(sent) == records
    return sent


def _compare(settings: Settings, topics: Topics, sent: dict[Coordinates, bytes | None]) -> dict[str, int]:
    """Each offset has one output, the one that the oracle expects; a prediction embeds its record's very bytes."""
    seen: set[Coordinates] = set()
    counts: Counter[str] = Counter()

    def note(at: Coordinates, outcome: str) -> None:
        assert at not in seen, f"{at} came out twice"
        seen.add(at)
        counts[outcome] += 1

    for batch in read_all(settings, topics.predictions):
        for message in batch:
            value = message.value() or b""
            source = json.loads(value.decode("utf-8"), parse_constant=_refuse)["source"]
            at = source["partition"], source["offset"]
            note(at, "predictions")
            assert not verdict(sent[at]).reasons, sent[at]
            assert value.endswith(b'"record":' + (sent[at] or b"") + b"}")
    for batch in read_all(settings, topics.dead_letters):
        for message in batch:
            headers = {name: (text or b"").decode() for name, text in message.headers() or []}
            at = int(headers["__connect.errors.partition"]), int(headers["__connect.errors.offset"])
            reason = Reason(headers["__connect.errors.exception.class.name"].rpartition(".")[2])
            note(at, reason.value)
            assert message.value() == sent[at]
            assert reason in (verdict(sent[at]).reasons or {Reason.NOT_FINITE}), (reason, sent[at])
    assert seen == set(sent), f"{len(set(sent) - seen)} records were lost"
    return dict(counts)


def _refuse(name: str) -> Any:
    raise AssertionError(f"{name} in a prediction")


if __name__ == "__main__":
    main()
