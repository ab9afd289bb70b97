"""The client's own limit: consume, produce as many bytes, commit offsets in one transaction, and nothing else.

`python -m benchmarks.scoring.limit BOOTSTRAP GROUP INPUT OUTPUT [--raw] [--interval S] [--plain]`, until SIGTERM.

Nothing is decoded. Each output is the input embedded in a constant text that is as long as what a prediction adds
(`--raw`: the input alone), so it compresses a little better than a prediction: the limit is set high, not low.
Settings are the scorer's where they matter, tried against larger and smaller ones (docs/benchmarks.md).
"""

from __future__ import annotations

import argparse
import gc
import json
import signal
import threading
import time
from typing import Any

from benchmarks.scoring.peers.embed import embedded
from confluent_kafka import Consumer, KafkaError, Producer

TIMEOUT_S = 30.0


def consumer_config(bootstrap: str, group: str) -> dict[str, Any]:
    return {
        "bootstrap.servers": bootstrap,
        "group.id": group,
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        "isolation.level": "read_committed",
        "auto.offset.reset": "earliest",
        "fetch.wait.max.ms": 20,
        "queued.max.messages.kbytes": 32_768,
    }


def producer_config(bootstrap: str, transactional_id: str | None) -> dict[str, Any]:
    config: dict[str, Any] = {
        "bootstrap.servers": bootstrap,
        "partitioner": "murmur2_random",
        "enable.idempotence": True,
        "compression.type": "lz4",
        "linger.ms": 5,
        "batch.num.messages": 10_000,
        "queue.buffering.max.messages": 500_000,
        "retry.backoff.ms": 1,
    }
    return config | ({"transactional.id": transactional_id} if transactional_id else {})


class Limit:
    def __init__(self, args: argparse.Namespace) -> None:
        self._args = args
        self._stop = threading.Event()
        overrides = json.loads(args.set)
        consumer = consumer_config(args.bootstrap, args.group) | overrides.get("consumer", {})
        self._consumer = Consumer(consumer)
        name = None if args.plain else f"{args.group}-limit"
        self._producer = Producer(producer_config(args.bootstrap, name) | overrides.get("producer", {}))
        signal.signal(signal.SIGTERM, lambda *_: self._stop.set())

    def run(self) -> None:
        gc.freeze()
        if not self._args.plain:
            self._producer.init_transactions(TIMEOUT_S)
        self._consumer.subscribe([self._args.input])
        opened = None
        while not self._stop.is_set():
            batch = self._take()
            if batch:
                if opened is None:
                    opened = time.monotonic()
                    if not self._args.plain:
                        self._producer.begin_transaction()
                self._produce(batch)
            idle = len(batch) < self._args.batch
            if opened is not None and (idle or time.monotonic() - opened >= self._args.interval):
                self._commit()
                opened = None
        self._consumer.close()

    def _take(self) -> list[Any]:
        events: list[Any] = self._consumer.consume(1, 0.05)
        if events:
            events += self._consumer.consume(self._args.batch - 1, 0)
        return [event for event in events if event.error() is None]

    def _produce(self, batch: list[Any]) -> None:
        if self._args.raw:
            messages = [{"key": message.key(), "value": message.value()} for message in batch]
        else:
            messages = [{"key": m.key(), "value": embedded(m.value())} for m in batch]
        while messages:
            self._producer.produce_batch(self._args.output, messages)
            messages = [message for message in messages if _full(message.pop("_error", None))]
            if messages:
                self._producer.poll(0.01)

    def _commit(self) -> None:
        offsets = [p for p in self._consumer.position(self._consumer.assignment()) if p.offset >= 0]
        if self._args.plain:
            self._producer.flush(TIMEOUT_S)
            self._consumer.commit(offsets=offsets, asynchronous=False)
            return
        self._producer.send_offsets_to_transaction(offsets, self._consumer.consumer_group_metadata(), TIMEOUT_S)
        self._producer.commit_transaction(TIMEOUT_S)


def _full(error: Any) -> bool:
    if error is not None and error.code() != KafkaError._QUEUE_FULL:
        raise SystemExit(error.str())
    return error is not None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("bootstrap", "group", "input", "output"):
        parser.add_argument(name)
    parser.add_argument("--raw", action="store_true", help="the input alone, nothing around it")
    parser.add_argument("--plain", action="store_true", help="without transactions: at least once")
    parser.add_argument("--interval", type=float, default=0.1)
    parser.add_argument("--batch", type=int, default=4_000)
    parser.add_argument("--set", default="{}", help='JSON: {"consumer": {…}, "producer": {…}} over the settings above')
    Limit(parser.parse_args()).run()


if __name__ == "__main__":
    main()
