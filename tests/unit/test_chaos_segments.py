"""The chaos oracle's reading of Kafka's log files against what Kafka's own DumpLogSegments says of the same files.

tests/golden/kafka-log holds the files of a topic of two partitions and the coordinator's (Kafka 4.3.1: commits over
several partitions, an abort, a fenced successor, one plain record), and each one's dump (kafka-tools; not among the
embedded jars).
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from tests.faults.chaos.segments import STATES, batches, coordinator_steps
from tests.faults.chaos.transactions import decisions, join

GOLDEN = Path(__file__).parents[1] / "golden" / "kafka-log"
FIELDS = {
    "first": "baseOffset", "last": "lastOffset", "records": "count", "producer": "producerId",
    "epoch": "producerEpoch", "time_ms": "CreateTime",
}  # fmt: skip


def dumped(place: str) -> list[dict[str, object]]:
    """A line of the dump for each batch; a control batch's record tells how the transaction ended."""
    found: list[dict[str, object]] = []
    for line in (GOLDEN / place / "dump.txt").read_text(encoding="utf-8").splitlines():
        if line.startswith("baseOffset"):
            words = dict(re.findall(r"(\w+): (\S+)", line))
            found.append({ours: int(words[theirs]) for ours, theirs in FIELDS.items()})
            found[-1] |= {"transactional": words["isTransactional"] == "true", "marker": ""}
        elif marker := re.search(r"endTxnMarker: (\w+)", line):
            found[-1]["marker"] = marker.group(1).lower()
    return found


@pytest.mark.parametrize("place", ["t-0", "t-1", "__transaction_state-2"])
def test_batches_are_what_kafka_says(place: str) -> None:
    ours = [
        {name: getattr(batch, name) for name in (*FIELDS, "transactional", "marker")}
        for batch in batches(GOLDEN / place)
    ]
    assert ours == dumped(place)
    assert len(ours) > 5


def test_coordinator_steps_are_what_kafka_says() -> None:
    text = (GOLDEN / "__transaction_state-2" / "dump.txt").read_text(encoding="utf-8")
    values = [json.loads(found)["data"] for found in re.findall(r"payload: (\{.*\})$", text, re.MULTILINE)]
    theirs = [
        (
            value["producerId"],
            value["producerEpoch"],
            STATES[value["transactionStatus"]],
            {
                (topic["topic"], number)
                for topic in value["transactionPartitions"] or []
                for number in topic["partitionIds"]
            },
            value["transactionLastUpdateTimestampMs"],
            value["transactionStartTimestampMs"],
        )
        for value in values
    ]
    steps = list(coordinator_steps(GOLDEN))
    ours = [(s.producer, s.epoch, s.state, set(s.partitions), s.updated_ms, s.started_ms) for s in steps]
    assert ours == theirs
    assert {step.transactional_id for step in steps} == {"one"}


def test_the_pieces_of_real_transactions_are_joined() -> None:
    logs = {("t", number): batches(GOLDEN / f"t-{number}") for number in range(2)}
    log = join(decisions(coordinator_steps(GOLDEN)), logs)
    found = [(t.outcome, sorted((p.place[1], p.ranges[0][0]) for p in t.pieces)) for t in log.transactions]
    assert found == [
        ("commit", [(0, 0), (1, 0)]),
        ("abort", [(0, 4)]),
        ("commit", [(1, 2)]),
        ("commit", [(0, 7)]),
        ("abort", [(1, 4)]),
        ("commit", [(1, 6)]),
    ]
    assert log.bare == ["t-0 at 9"]
    assert (log.unclear, log.open_at_end) == ([], [])
