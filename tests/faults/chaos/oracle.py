"""The oracle: compares what two read_committed readers saw with what was written, by source coordinates.

Pure. Each function is one invariant and can fail alone (tests/unit/test_chaos_oracle.py feeds each a history it must
refuse). What only the log can tell, mixed transactions among it, is `transactions`' work.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from tests.faults.chaos.history import (
    DEAD_LETTER,
    OUTPUTS,
    PREDICTION,
    Floats,
    Ints,
    Seen,
    Verdict,
    Written,
    coordinates,
    verdict,
)

Columns = dict[str, Ints]
TOLERANCE = 1e-4
"""Relative: a batch of another size adds the trees up in another order. Two versions differ by far more."""


def judge(written: Written, concurrent: Seen, later: Seen) -> list[Verdict]:
    """Every invariant on both readers, and that they agree."""
    sent = written.columns()
    found: list[Verdict] = []
    for name, seen in (("concurrent", concurrent), ("later", later)):
        columns = seen.columns()
        found += [check(sent, columns, name) for check in CHECKS]
    columns = later.columns()
    return [*found, one_value_for_a_version(sent, columns, later.predictions()), readers_agree(concurrent, later)]


def none_lost(sent: Columns, seen: Columns, reader: str) -> Verdict:
    """Every record written comes out."""
    lost = np.setdiff1d(sent["id"], seen["id"])
    return verdict(f"none lost ({reader} reader)", len(sent["id"]), map(coordinates, lost))


def none_doubled(sent: Columns, seen: Columns, reader: str) -> Verdict:
    """No record comes out twice: not on one topic, not once on each."""
    identities, counts = np.unique(seen["id"], return_counts=True)
    twice = counts > 1
    texts = (f"{coordinates(i)} {n} times" for i, n in zip(identities[twice], counts[twice], strict=True))
    return verdict(f"none doubled ({reader} reader)", len(sent["id"]), texts)


def none_from_nowhere(sent: Columns, seen: Columns, reader: str) -> Verdict:
    """Nothing comes out that was not written."""
    return verdict(
        f"none from nowhere ({reader} reader)", len(seen["id"]), map(coordinates, np.setdiff1d(seen["id"], sent["id"]))
    )


def in_source_order(sent: Columns, seen: Columns, reader: str) -> Verdict:
    """Of one output topic and key, source offsets only grow, and all lie in one partition."""
    del sent
    order = np.lexsort((np.arange(len(seen["id"])), seen["key"], seen["output"]))
    output, key = seen["output"][order], seen["key"][order]
    source, partition = seen["id"][order], seen["partition"][order]
    same = (output[1:] == output[:-1]) & (key[1:] == key[:-1])
    back = same & ((source[1:] < source[:-1]) | (partition[1:] != partition[:-1]))
    texts = (
        f"{OUTPUTS[output[i]]} of {coordinates(source[i + 1])} after that of {coordinates(source[i])}"
        for i in back.nonzero()[0]
    )
    return verdict(f"source order within a key ({reader} reader)", int(same.sum()), texts)


def rightly_sorted(sent: Columns, seen: Columns, reader: str) -> Verdict:
    """A poison record becomes a dead letter, a good one a prediction, each once."""
    violations: list[str] = []
    for output, poison in ((PREDICTION, 0), (DEAD_LETTER, 1)):
        wanted = sent["id"][sent["poison"] == poison]
        identities, counts = np.unique(seen["id"][seen["output"] == output], return_counts=True)
        wrong = np.setxor1d(wanted, identities[counts == 1])
        violations += [f"{coordinates(i)} is not exactly one {OUTPUTS[output]}, or is wrongly one" for i in wrong]
    name = f"poison is one dead letter, the rest one prediction ({reader} reader)"
    return verdict(name, int(sent["poison"].sum()), violations)


def unchanged(sent: Columns, seen: Columns, reader: str) -> Verdict:
    """What comes out has the key and the very bytes of the record at its source coordinates."""
    at = np.searchsorted(sent["id"], seen["id"]).clip(0, max(0, len(sent["id"]) - 1))
    known = sent["id"][at] == seen["id"] if len(sent["id"]) else np.zeros(len(seen["id"]), bool)
    other = known & ((sent["key"][at] != seen["key"]) | (sent["digest"][at] != seen["digest"]))
    return verdict(
        f"key and bytes of its source ({reader} reader)", int(known.sum()), map(coordinates, seen["id"][other])
    )


CHECKS: tuple[Callable[[Columns, Columns, str], Verdict], ...] = (
    none_lost, none_doubled, none_from_nowhere, in_source_order, rightly_sorted, unchanged,
)  # fmt: skip


def one_value_for_a_version(sent: Columns, seen: Columns, values: Floats) -> Verdict:
    """The same features have one prediction under one version: what is named is what predicted."""
    mine = (seen["output"] == PREDICTION) & np.isin(seen["id"], sent["id"])
    row = sent["row"][np.searchsorted(sent["id"], seen["id"][mine])]
    version, value, source = seen["version"][mine], values[mine], seen["id"][mine]
    order = np.lexsort((value, version, row))
    row, version, value, source = row[order], version[order], value[order], source[order]
    same = (row[1:] == row[:-1]) & (version[1:] == version[:-1])
    differ = same & (value[1:] - value[:-1] > TOLERANCE * np.abs(value[1:]))
    texts = (f"{coordinates(source[i])}: {value[i]:.6g}, {value[i + 1]:.6g}" for i in differ.nonzero()[0])
    return verdict("a version predicts one value for the same features", int(same.sum()), texts)


def readers_agree(concurrent: Seen, later: Seen) -> Verdict:
    """Both readers saw the same messages in the same order in every partition."""
    first, second = (_by_partition(seen.columns()) for seen in (concurrent, later))
    violations = []
    for place in sorted(first.keys() | second.keys()):
        a, b = (side.get(place, np.empty((0, 2), np.int64)) for side in (first, second))
        if len(a) != len(b):
            violations.append(f"{OUTPUTS[place[0]]}s, partition {place[1]}: {len(a)} and {len(b)} messages")
        elif not np.array_equal(a, b):
            offset = a[(a != b).any(axis=1).nonzero()[0][0], 0]
            violations.append(f"{OUTPUTS[place[0]]}s, partition {place[1]}: they part at offset {offset}")
    return verdict("the concurrent and the later reader see the same", len(later), violations)


def _by_partition(seen: Columns) -> dict[tuple[int, int], Ints]:
    """Output and partition to (offset, source id) in the reader's order."""
    table = np.column_stack((seen["offset"], seen["id"]))
    places = np.unique(np.column_stack((seen["output"], seen["partition"])), axis=0)
    return {
        (int(output), int(number)): table[(seen["output"] == output) & (seen["partition"] == number)]
        for output, number in places
    }
