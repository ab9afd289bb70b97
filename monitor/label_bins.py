"""Labels as counts and sums by fine bin of the target's reference: made, packed and added up exactly. Pure."""

from __future__ import annotations

import numpy as np

from longshore.monitor.binning import bin_numbers, encode, fixed_point, profile_stream
from longshore.monitor.frames import Column, usable
from longshore.monitor.packing import pack_narrow, unpack
from longshore.profile import Floats, Ints, StreamProfile
from longshore.schema import Kind

NAME = "label"
"""The stream's name in a profile, which does not know the schema's target."""


def target_stream(labels: Floats) -> StreamProfile | None:
    """The reference of the labels of a profile's rows; None of no usable label."""
    values = labels[usable(labels)]
    if not len(values):
        return None
    column = Column(NAME, Kind.NUMERIC, values)
    return profile_stream(column, encode(column))


def count_labels(target: StreamProfile | None, labels: Floats, each: Ints, panes: int) -> list[str]:
    """By pane, rows and fixed-point sums of n labels, by `pack_narrow`; empty texts without a reference.

    `each`: int64[n], the row's pane, 0…panes−1.
    """
    if target is None:
        return [""] * panes
    size = len(target.counts)
    cells = each * size + bin_numbers(target, labels)
    counts = np.bincount(cells, minlength=panes * size).reshape(panes, size)
    sums = np.zeros(panes * size, dtype=np.int64)
    np.add.at(sums, cells, fixed_point(labels, target.scale).astype(np.int64))
    return [pack_narrow(*pane) for pane in zip(counts, sums.reshape(panes, size), strict=True)]


def labels_together(one: str, other: str) -> str:
    """The sum of two packed panes; empty where either is, or where they are of different bins."""
    if not one or not other:
        return ""
    (counts, sums), (more, more_sums) = unpack(one), unpack(other)
    return pack_narrow(counts + more, sums + more_sums) if len(counts) == len(more) else ""
