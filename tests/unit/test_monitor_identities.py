"""The sketch of record ids: one number whatever the order and the pieces, near the truth, and honest about chance."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from longshore.errors import FormatError
from longshore.monitor.identities import BITS, IdSketch, both, hashed


def ids(first, last):
    return [f"record-{number}" for number in range(first, last)]


def sketch(names):
    return IdSketch.of(hashed(names))


def as_text(*parts):
    whole = parts[0]
    for part in parts[1:]:
        whole = whole | part
    return whole.to_text()


@given(st.lists(st.text(max_size=20), max_size=60), st.lists(st.integers(0, 60), max_size=5), st.randoms())
@settings(deadline=None)
def test_order_and_pieces_do_not_matter(names, cuts, random):
    whole = sketch(names)
    shuffled = random.sample(names, len(names))
    bounds = sorted({0, len(names), *(cut for cut in cuts if cut < len(names))})
    pieces = [sketch(shuffled[start:end]) for start, end in itertools.pairwise(bounds)] or [sketch([])]
    assert as_text(*pieces) == whole.to_text()


@pytest.mark.parametrize("count", [0, 1, 3, 900, 1_200, 30_000])
def test_a_sketch_is_read_as_it_was_written_and_stays_small(count):
    made = sketch(ids(0, count))
    text = made.to_text()
    read = IdSketch.from_text(text)
    assert (read.records == made.records).all() and (read.bits == made.bits).all()
    assert read.records.sum() == count
    assert len(text) < 4_096


def test_what_is_no_sketch_is_refused():
    for text in ("!", "AAAA", "A" * 8_000, "é"):
        with pytest.raises(FormatError, match="damaged"):
            IdSketch.from_text(text)


@pytest.mark.parametrize("distinct", [300, 1_000, 8_000, 30_000, 400_000])
@pytest.mark.parametrize("again", [0.0, 0.2, 0.6])
def test_the_share_of_repeated_records_is_near_the_truth(distinct, again):
    repeated = round(distinct * again / (1 - again))
    names = ids(0, distinct)
    found = (sketch(names) | sketch((names * 2)[:repeated])).repeated()
    assert found is not None
    assert abs(found.share - repeated / (distinct + repeated)) <= 5 * found.error + 0.004
    assert found.error < 0.03
    assert (found.p_value < 1e-6) is (again > 0)


def test_too_many_to_tell_is_said():
    full = IdSketch(np.array([10**8] * 4), np.full(BITS // 8, 255, dtype=np.uint8))
    assert full.repeated() is None
    assert sketch([]).repeated() is None


def test_chance_is_told_as_often_as_stated():
    """Ids that never come twice: p-values below a level are at most as frequent as the level."""
    windows = [(at, size) for size in (300, 2_500) for at in range(0, 10**6, 5_003)]
    p = np.array([sketch(ids(at, at + size)).repeated().p_value for at, size in windows])
    for level in (0.2, 0.05, 0.01):
        assert (p <= level).mean() <= level + 3 * np.sqrt(level / len(p)), level
    assert (p <= 0.2).mean() > 0.03, "and it is not blind"


def test_a_hash_is_the_same_in_every_process():
    assert hashed(["a", "", "ä", "record-1"]).tolist() == hashed(["a", "", "ä", "record-1"]).tolist()
    assert hashed(["record-1"])[0] != hashed(["record-2"])[0]


def test_without_one_of_two_there_is_none_of_both():
    one = sketch(ids(0, 5))
    assert both(one, None) is None and both(None, one) is None
    assert both(one, one).to_text() == (one | one).to_text()
