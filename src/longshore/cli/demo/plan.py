"""The figures of one demo run: which data trains, which streams, where the shift begins. Pure but for `split_file`."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from longshore.dataset import read_csv
from longshore.producers.generator import history_frame
from longshore.schema import Schema

STEP_MS = 8
"""Event time between two records: a pane of ten seconds holds 1,250, a window's thousand and some dead letters."""

ONSET_SHARE = 0.4
TRAINING_ROWS = 20_000
MOST = 15
"""The stream ends at this many times `records` even if the loop has not closed by then."""

MOVES_INPUTS = frozenset({"income-inflation", "migration", "missing-bedrooms", "unit-fault", "frozen-sensor"})
"""Scenarios that an input monitor must notice."""

LEAVES_INPUTS = frozenset({"none", "price-inflation"})
"""Scenarios it must not alarm on: nothing moves, or only the labels do."""


@dataclass(frozen=True, slots=True)
class Plan:
    """One run. `onset` is the index of the first shifted record, `start_ms` the event time of record 0."""

    records: int
    rate: float
    seed: int
    scenario: str
    onset: int
    start_ms: int
    training_file: Path
    stream_file: Path | None

    @property
    def scenario_name(self) -> str:
        """The scenario without its parameters."""
        return self.scenario.partition(":")[0]

    @property
    def expects_alarm(self) -> bool:
        """Whether the inputs move, so that an alarm must come."""
        return self.scenario_name in MOVES_INPUTS

    @property
    def expects_silence(self) -> bool:
        """Whether the inputs stay, so that an alarm would be false."""
        return self.scenario_name in LEAVES_INPUTS

    @property
    def shift_ms(self) -> int:
        """Event time of the first shifted record."""
        return self.start_ms + self.onset * STEP_MS

    def scenario_argument(self) -> str:
        """The scenario with its onset, as `produce --scenario` takes it."""
        if self.scenario_name == "none":
            return "none"
        return f"{self.scenario}{',' if ':' in self.scenario else ':'}onset={self.onset}"


def make(
    folder: Path, schema: Schema, *, data: Path | None, records: int, rate: float, seed: int, scenario: str
) -> Plan:
    """Write the training file (and, from `data`, a stream file of the other half of its rows) and fix the figures."""
    training, stream = folder / "training.csv", folder / "stream.csv"
    if data is None:
        history_frame(TRAINING_ROWS, seed).to_csv(training, index=False)
    else:
        split_file(read_csv(data, schema, require_target=True), seed, training, stream)
    return Plan(
        records=records,
        rate=rate,
        seed=seed,
        scenario=scenario,
        onset=int(records * ONSET_SHARE),
        start_ms=time.time_ns() // 1_000_000 - MOST * records * STEP_MS,
        training_file=training,
        stream_file=stream if data is not None else None,
    )


def split_file(frame: pd.DataFrame, seed: int, training: Path, stream: Path) -> None:
    """One random half trains, the other streams: what is scored was never trained on."""
    order = np.random.default_rng(seed).permutation(len(frame))
    half = len(frame) // 2
    frame.iloc[order[:half]].to_csv(training, index=False)
    frame.iloc[order[half:]].to_csv(stream, index=False)
