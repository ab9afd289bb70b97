"""What stands on `drift.panes`: the internal, versioned messages from the counting members to the decider.

Everything the decider acts on is one of these, in one partition: counts with their source and offsets, labels counted,
idle marks, relayed model events. Bytes only; meaning is `longshore.monitor.panes`'s, `.errors`'s and `.decide`'s.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import msgspec

from longshore.errors import FormatError
from longshore.monitor.packing import pack, pack_counts, pack_narrow, pack_small, unpack, unpack_counts, unpack_small
from longshore.records import KpiValue, ModelEvent

__all__ = [
    "Counted",
    "ErrorDelta",
    "Errors",
    "Idle",
    "KpiSeen",
    "LabelsSeen",
    "ModelMoved",
    "PaneDelta",
    "PaneMessage",
    "decode",
    "encode",
    "errors_in_pieces",
    "in_pieces",
    "pack",
    "pack_counts",
    "pack_narrow",
    "pack_small",
    "unpack",
    "unpack_counts",
    "unpack_small",
]
"""How a pane's arrays are written is `packing`'s, and found here beside what holds them."""

FORMAT = 2
"""2: a pane's bins as `pack_narrow` writes them. 1, as `pack` does, is read."""

ERRORS_FORMAT = 4
"""Of `Errors`, which older programs do not know: they refuse it clearly, and all else is still theirs to read. 4: with
labels by bin, and why others could not be read. 3, without, is read."""

KPI_FORMAT = 5
"""Of `KpiSeen`, likewise."""

NEWEST = max(FORMAT, ERRORS_FORMAT, KPI_FORMAT)

NEVER = -1
"""The watermark of a partition from which nothing was read yet."""

MAX_BYTES = 900_000
"""Of panes in one message, so that it stays below the 1,000,000 that clients and brokers accept."""


class PaneDelta(msgspec.Struct, frozen=True):
    """Counts to add to one pane: event times from `pane`·pane length on, of one model version and route.

    `bins` holds the counts of all fine bins and their fixed-point sums (`pack_narrow`);
    `layout` names the profile that made the bins. `segments` holds the deciles' counts by segment, in the profile's
    order, `ids` the sketch of the record ids (`identities.IdSketch`), `sample` some whole rows (`.sample`), `estimate`
    what is expected of the errors (`.estimate`); each is empty where it was not counted or kept.
    """

    pane: int
    version: str
    route: str
    records: int
    layout: str
    bins: str
    segments: str = ""
    ids: str = ""
    sample: str = ""
    estimate: tuple[int, ...] = ()


class Counted(msgspec.Struct, frozen=True, tag_field="kind", tag="counts"):
    """Predictions of one partition, `first_offset` to `last_offset`, counted.

    `watermark` is the highest event time (ms) of the partition so far, `NEVER` where the next message of the same
    transaction tells. Not in the panes are: `late` records, behind it
    by more than the allowed lateness; `future` ones, ahead of their own scoring by more than an hour; `unreadable`
    ones, not predictions of this schema or of a version that the registry does not hold.
    `aside` has them by pane, as (pane, late, future, unreadable): the pane in which the partition's watermark stood, or
    the unreadable record's own; what is no prediction at all has none.
    """

    partition: int
    partitions: int
    first_offset: int
    last_offset: int
    watermark: int
    panes: list[PaneDelta]
    late: int = 0
    future: int = 0
    unreadable: int = 0
    aside: list[tuple[int, int, int, int]] = []
    format: int = FORMAT


Delta = TypeVar("Delta")


def _below_max_bytes(deltas: Sequence[Delta], bytes_of: Callable[[Delta], int]) -> list[list[Delta]]:
    """The deltas in order, as many together as `MAX_BYTES` allow; one list at least."""
    pieces: list[list[Delta]] = [[]]
    size = 0
    for delta in deltas:
        more = bytes_of(delta)
        if size + more > MAX_BYTES and pieces[-1]:
            pieces.append([])
            size = 0
        pieces[-1].append(delta)
        size += more
    return pieces


def in_pieces(counted: Counted) -> list[Counted]:
    """The same as messages that are not too large, with offsets that rise: one may not hold hundreds of panes.

    A watermark closes panes, so only the last one has it; it has what was left out of the panes, too.
    """
    pieces = _below_max_bytes(counted.panes, _most_bytes)
    first, last = counted.first_offset, len(pieces) - 1
    before = [
        Counted(counted.partition, counted.partitions, first + i, first + i, NEVER, panes)
        for i, panes in enumerate(pieces[:-1])
    ]
    return [*before, msgspec.structs.replace(counted, first_offset=first + last, panes=pieces[-1])]


def _most_bytes(delta: PaneDelta) -> int:
    """What a delta takes as JSON, at most: its texts are base64 and short names. (Encoding it would tell, too.)"""
    return 200 + sum(len(value) for value in msgspec.structs.astuple(delta) if isinstance(value, str))


class LabelsSeen(msgspec.Struct, frozen=True, tag_field="kind", tag="labels"):
    """Labels of one labels partition, as pairs (pane, number)."""

    partition: int
    panes: list[tuple[int, int]]
    format: int = FORMAT


class Idle(msgspec.Struct, frozen=True, tag_field="kind", tag="idle"):
    """Nothing is on its way to this partition: it follows the others' watermarks as far as they stand here."""

    partition: int
    partitions: int
    format: int = FORMAT


class ModelMoved(msgspec.Struct, frozen=True, tag_field="kind", tag="model"):
    """A message of `model.events`, relayed."""

    event: ModelEvent
    format: int = FORMAT


class KpiSeen(msgspec.Struct, frozen=True, tag_field="kind", tag="kpi"):
    """A message of `kpi`, relayed; `seen.value` is finite."""

    seen: KpiValue
    format: int = KPI_FORMAT


class ErrorDelta(msgspec.Struct, frozen=True):
    """Errors (prediction − label) to add to one pane of the *predictions'* event time, of one version and route.

    Sums are integers of fixed-point values (`longshore.monitor.errors`): adding them is exact in any order. `intervals`
    rows were published with an interval, `covered` of which hold the label. `bins`: int64[e+1] by `pack_small`, rows by
    the signed-error bins of the version's profile; empty where it has none. `segments`: int64[S·4] by `pack_counts`,
    rows, Σe, Σ|e| and Σe² of every segment of the profile; empty where it has none. `classes`: where the target is one
    of two classes, rows by label and place of the prediction (`class_figures`), by `pack_small`. `labels`: rows and
    fixed-point sums by fine bin of the profile's target, by `pack_narrow`; empty where it has none. `groups`: sums by
    group (`groups.group_totals`), by `pack_counts`, as `grouping` defines groups. A pane may come more than once.
    """

    pane: int
    version: str
    route: str
    layout: str
    n: int
    error: int
    absolute: int
    squared: int
    fourth: int
    label: int
    label_squared: int
    covered: int = 0
    intervals: int = 0
    bins: str = ""
    segments: str = ""
    classes: str = ""
    labels: str = ""
    groups: str = ""
    grouping: str = ""


class Errors(msgspec.Struct, frozen=True, tag_field="kind", tag="errors"):
    """Labels joined to their predictions, of one partition of the labels.

    `first_offset` to `last_offset` are the labels' that the batch was made of (for tracing; where it has none, both are
    the next one's): whoever joins sends each join once. Left out are `duplicates` (the same label again), `conflicting`
    (another one for a record that has its label), `late` (later than allowed), `unmatched` (whose prediction did not
    come in time), and predictions that expired `unlabelled`. `unreadable` ones are counted by what is wrong with them.
    """

    partition: int
    partitions: int
    first_offset: int
    last_offset: int
    panes: list[ErrorDelta]
    duplicates: int = 0
    conflicting: int = 0
    late: int = 0
    unmatched: int = 0
    unlabelled: int = 0
    unreadable: dict[str, int] = {}
    format: int = ERRORS_FORMAT


def errors_in_pieces(errors: Errors) -> list[Errors]:
    """The same as messages that are not too large; the last one has what was left out."""
    pieces = _below_max_bytes(errors.panes, lambda delta: len(msgspec.json.encode(delta)) + 1)
    place = (errors.partition, errors.partitions, errors.first_offset, errors.last_offset)
    return [*(Errors(*place, panes) for panes in pieces[:-1]), msgspec.structs.replace(errors, panes=pieces[-1])]


PaneMessage = Counted | LabelsSeen | Idle | ModelMoved | KpiSeen | Errors

_decoder = msgspec.json.Decoder(PaneMessage)


class _Versioned(msgspec.Struct):
    format: int = 0


def encode(message: PaneMessage) -> bytes:
    """The message as JSON."""
    return msgspec.json.encode(message)


def decode(value: bytes | None) -> PaneMessage:
    """A message from its JSON.

    Raises:
        FormatError: damaged, or of a format newer than this program.

    """
    try:
        found = msgspec.json.decode(value or b"", type=_Versioned).format
        if found > NEWEST:
            raise FormatError(f"a pane message has format {found}, this program reads up to {NEWEST}", mend="upgrade")
        message: PaneMessage = _decoder.decode(value or b"")
        return message
    except msgspec.MsgspecError as error:
        raise FormatError(f"a pane message is damaged: {error}", mend="see who else writes to drift.panes") from error
