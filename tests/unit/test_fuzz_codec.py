"""Random malformed records through codec and model: no crash, no silent drop, each outcome as an oracle has it.

A fresh seed each time; a failure prints it. The long form is `benchmarks/fuzz_codec.py --records 1000000`.
"""

from __future__ import annotations

from itertools import islice
from random import SystemRandom

import pytest
from tests.fuzzing import Fuzzer, batches, check_batch, small_model, verdict
from tests.malformed_corpus import BAD, GOOD_ENOUGH

from longshore.codec import Codec, Reason
from longshore.schema import districts

RECORDS = 50_000


@pytest.mark.parametrize("kind", BAD)
def test_the_oracle_knows_the_corpus(kind: str) -> None:
    value, reason = BAD[kind]
    assert reason in verdict(value).reasons


@pytest.mark.parametrize("kind", GOOD_ENOUGH)
def test_the_oracle_reads_what_only_looks_wrong(kind: str) -> None:
    value, fields = GOOD_ENOUGH[kind]
    assert verdict(value).reasons == frozenset()
    assert verdict(value).fields == fields


def test_random_records_are_scored_or_rejected_as_the_oracle_says() -> None:
    seed = SystemRandom().getrandbits(32)
    print(f"seed {seed}")  # noqa: T201  # pytest shows it where the test fails
    codec, model = Codec(districts()), small_model()
    values = Fuzzer(seed).values()
    accepted, reasons = 0, dict.fromkeys(Reason, 0)
    for batch in batches(values, RECORDS):
        good, counts = check_batch(batch, codec, model)
        accepted += good
        for reason, count in counts.items():
            reasons[reason] += count
    assert accepted + sum(reasons.values()) == RECORDS
    assert accepted > RECORDS // 10, "hardly anything is accepted: the oracle compares too little"
    for reason in (Reason.EMPTY, Reason.NOT_JSON, Reason.NOT_UTF8, Reason.INVALID):
        assert reasons[reason] > 20, f"{reason} was hardly tried"


def test_the_same_seed_gives_the_same_records() -> None:
    assert list(islice(Fuzzer(7).values(), 500)) == list(islice(Fuzzer(7).values(), 500))
    assert list(islice(Fuzzer(7).values(), 500)) != list(islice(Fuzzer(8).values(), 500))
