"""What was written and what was read, as columns: a million records and two readers fit into a few hundred megabytes.

Decides nothing; `oracle` compares.
"""

from __future__ import annotations

import threading
from array import array
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

PREDICTION, DEAD_LETTER = 0, 1
OUTPUTS = ("prediction", "dead letter")

_PARTITION_BITS = 40


def source_id(partition: Any, offset: Any) -> Any:
    """Source coordinates as one integer; of arrays too."""
    return (partition << _PARTITION_BITS) | offset


def coordinates(identity: int) -> str:
    """A source id as `partition/offset`."""
    return f"{int(identity) >> _PARTITION_BITS}/{int(identity) & ((1 << _PARTITION_BITS) - 1)}"


class Names:
    """Bytes to small integers, the same for everybody who shares the object."""

    def __init__(self) -> None:
        self._numbers: dict[bytes | None, int] = {}
        self._lock = threading.Lock()

    def number(self, name: bytes | None) -> int:
        """The integer of `name`: a new one the first time."""
        found = self._numbers.get(name)
        if found is None:
            with self._lock:
                found = self._numbers.setdefault(name, len(self._numbers))
        return found

    def name(self, number: int) -> str:
        """The text behind an integer, for messages."""
        found = next((name for name, known in self._numbers.items() if known == number), None)
        return str(number) if found is None else found.decode(errors="replace")


@dataclass
class Written:
    """The records on the source topic: one row each. `digest` is the value's CRC-32, `row` tells which features it has.

    Rows are added by one thread; others may read `ends`.
    """

    keys: Names = field(default_factory=Names)
    rows: array[int] = field(default_factory=lambda: array("q"))
    ends: dict[int, int] = field(default_factory=dict)
    """Partition to the offset behind the last record known there."""

    WIDTH = 6

    def add(self, *, partition: int, offset: int, key: bytes | None, digest: int, poison: bool, row: int) -> None:
        """Note a record that the broker acknowledged."""
        self.rows.extend((partition, offset, self.keys.number(key), digest, poison, row))
        self.ends[partition] = max(self.ends.get(partition, 0), offset + 1)

    def __len__(self) -> int:
        return len(self.rows) // self.WIDTH

    def columns(self) -> dict[str, Ints]:
        """`id`, `key`, `digest`, `poison`, `row`, sorted by `id`."""
        table = np.array(self.rows, dtype=np.int64).reshape(-1, self.WIDTH)
        identity = source_id(table[:, 0], table[:, 1])
        order = np.argsort(identity, kind="stable")
        names = ("key", "digest", "poison", "row")
        return {"id": identity[order], **{name: table[order, i + 2] for i, name in enumerate(names)}}


@dataclass
class Seen:
    """What one reader saw, in its order: a row for each prediction and dead letter. One thread adds, others read."""

    keys: Names
    versions: Names = field(default_factory=Names)
    rows: array[int] = field(default_factory=lambda: array("q"))
    values: array[float] = field(default_factory=lambda: array("d"))
    frontier: dict[int, int] = field(default_factory=dict)
    """Source partition to the offset behind the furthest record seen from it."""
    latest_version: str = ""

    WIDTH = 8

    def add(
        self,
        *,
        output: int,
        partition: int,
        offset: int,
        source: tuple[int, int],
        key: bytes | None,
        digest: int,
        version: str = "",
        value: float = 0.0,
    ) -> None:
        """Note a message at `partition`/`offset` of `output`, made from the record at `source`."""
        number = self.versions.number(version.encode())
        self.rows.extend((output, partition, offset, *source, self.keys.number(key), digest, number))
        self.values.append(value)
        self.frontier[source[0]] = max(self.frontier.get(source[0], 0), source[1] + 1)
        if output == PREDICTION:
            self.latest_version = version

    def __len__(self) -> int:
        return len(self.values)

    def columns(self) -> dict[str, Ints]:
        """`output`, `partition`, `offset`, `id` (of the source), `key`, `digest`, `version`, in the reader's order."""
        table = np.array(self.rows, dtype=np.int64).reshape(-1, self.WIDTH)
        names = {"output": 0, "partition": 1, "offset": 2, "key": 5, "digest": 6, "version": 7}
        return {name: table[:, i] for name, i in names.items()} | {"id": source_id(table[:, 3], table[:, 4])}

    def predictions(self) -> Floats:
        """The predicted values, in the reader's order (0 for dead letters)."""
        return np.array(self.values, dtype=np.float64)


@dataclass(frozen=True)
class Verdict:
    """One invariant: how often it was violated (0: it holds), how much was checked, and a few of the violations."""

    invariant: str
    violations: int
    checked: int
    examples: tuple[str, ...] = ()

    @property
    def holds(self) -> bool:
        """Whether it was never violated. An invariant about nothing does not hold: nothing was proven."""
        return self.violations == 0 and self.checked > 0


def verdict(invariant: str, checked: int, violations: Iterable[str]) -> Verdict:
    """A verdict that keeps the first examples."""
    found = list(violations)
    return Verdict(invariant, len(found), checked, tuple(found[:5]))
