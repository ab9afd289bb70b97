"""Kafka's log files as they lie on disk: record batches, transaction markers, the coordinator's own records.

Read from the broker's folder, because no client sees producer ids and markers. Formats: Kafka's documentation,
"Record Batch" (magic 2) and the schemas TransactionLogKey and TransactionLogValue (versions 0 and 1).
tests/unit/test_chaos_segments.py compares this with what Kafka's own DumpLogSegments says of the same files.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_HEADER = struct.Struct(">qiibIhiqqqhii")
_MAGIC = 2
_COMPRESSION, _TRANSACTIONAL, _CONTROL = 0x07, 0x10, 0x20

COMMIT, ABORT = "commit", "abort"
_MARKERS = {0: ABORT, 1: COMMIT}

STATES = ("Empty", "Ongoing", "PrepareCommit", "PrepareAbort", "CompleteCommit", "CompleteAbort", "Dead", "Fence")

Place = tuple[str, int]
"""Topic and partition."""


@dataclass(frozen=True, slots=True)
class LogBatch:
    """One batch of a partition. `marker` is `commit` or `abort` for the end of a transaction, empty for data."""

    first: int
    last: int
    records: int
    producer: int
    epoch: int
    time_ms: int
    transactional: bool
    marker: str
    body: bytes


@dataclass(frozen=True, slots=True)
class Step:
    """One record of the transaction coordinator: what it decided about a transactional id's transaction."""

    transactional_id: str
    producer: int
    epoch: int
    state: str
    partitions: frozenset[Place]
    updated_ms: int
    started_ms: int


def batches(folder: Path) -> Iterator[LogBatch]:
    """Every batch of the partition in `folder`, in order.

    Raises:
        ValueError: a batch is not of the format this reads.

    """
    for path in sorted(folder.glob("*.log")):
        data = path.read_bytes()
        at = 0
        while at + _HEADER.size <= len(data):
            fields = _HEADER.unpack_from(data, at)
            first, length, _, magic, _, attributes, delta, _, newest, producer, epoch, _, records = fields
            if length <= 0 or at + 12 + length > len(data):  # the broker is writing it, or never finished it
                break
            if magic != _MAGIC:
                raise ValueError(f"{path} at {at}: magic {magic}")
            body = data[at + _HEADER.size : at + 12 + length]
            control = bool(attributes & _CONTROL)
            if control and attributes & _COMPRESSION:
                raise ValueError(f"{path} at {at}: a compressed control batch")
            marker = _marker(body) if control else ""
            kept = b"" if attributes & _COMPRESSION or producer >= 0 else body
            transactional = bool(attributes & _TRANSACTIONAL)
            yield LogBatch(first, first + delta, records, producer, epoch, newest, transactional, marker, kept)
            at += 12 + length


def coordinator_steps(data: Path) -> Iterator[Step]:
    """The transaction coordinator's records of every partition of `__transaction_state`, each partition in order."""
    for folder in sorted(data.glob("__transaction_state-*")):
        for batch in batches(folder):
            for key, value in _records(batch.body, batch.records):
                if key is not None and value is not None and struct.unpack_from(">h", key)[0] == 0:
                    yield _step(key, value)


def _marker(body: bytes) -> str:
    key = next(iter(_records(body, 1)))[0] or b""
    return _MARKERS[struct.unpack_from(">hh", key)[1]]


def _records(body: bytes, count: int) -> Iterator[tuple[bytes | None, bytes | None]]:
    """Key and value of each record of an uncompressed batch."""
    at = 0
    if not body:
        return
    for _ in range(count):
        length, at = _zigzag(body, at)
        end = at + length
        _, at = _zigzag(body, at + 1)  # after the attributes: the timestamp's delta
        _, at = _zigzag(body, at)  # the offset's
        key, at = _field(body, at)
        value, _ = _field(body, at)
        yield key, value
        at = end


def _field(body: bytes, at: int) -> tuple[bytes | None, int]:
    length, at = _zigzag(body, at)
    return (None, at) if length < 0 else (body[at : at + length], at + length)


def _varint(body: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = body[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7


def _zigzag(body: bytes, at: int) -> tuple[int, int]:
    value, at = _varint(body, at)
    return (value >> 1) ^ -(value & 1), at


def _step(key: bytes, value: bytes) -> Step:
    length = struct.unpack_from(">h", key, 2)[0]
    name = key[4 : 4 + length].decode()
    version, producer, epoch, _, state = struct.unpack_from(">hqhib", value)
    if version not in (0, 1):
        raise ValueError(f"a transaction log value of version {version}")
    partitions, at = (_flexible if version else _plain)(value, struct.calcsize(">hqhib"))
    updated, started = struct.unpack_from(">qq", value, at)
    return Step(name, producer, epoch, STATES[state], frozenset(partitions), updated, started)


def _plain(value: bytes, at: int) -> tuple[list[Place], int]:
    """The partitions of a value of version 0."""
    topics = struct.unpack_from(">i", value, at)[0]
    at += 4
    found: list[Place] = []
    for _ in range(max(0, topics)):
        length = struct.unpack_from(">h", value, at)[0]
        topic = value[at + 2 : at + 2 + length].decode()
        at += 2 + length
        count = struct.unpack_from(">i", value, at)[0]
        found += [(topic, number) for number in struct.unpack_from(f">{count}i", value, at + 4)]
        at += 4 + 4 * count
    return found, at


def _flexible(value: bytes, at: int) -> tuple[list[Place], int]:
    """The partitions of a value of version 1: lengths are varints, plus one; tagged fields follow each structure."""
    topics, at = _varint(value, at)
    found: list[Place] = []
    for _ in range(max(0, topics - 1)):
        length, at = _varint(value, at)
        topic = value[at : at + length - 1].decode()
        count, at = _varint(value, at + length - 1)
        found += [(topic, number) for number in struct.unpack_from(f">{count - 1}i", value, at)]
        at = _skip_tags(value, at + 4 * (count - 1))
    return found, at


def _skip_tags(value: bytes, at: int) -> int:
    count, at = _varint(value, at)
    for _ in range(count):
        _, at = _varint(value, at)
        length, at = _varint(value, at)
        at += length
    return at
