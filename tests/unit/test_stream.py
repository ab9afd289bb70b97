"""Batches by partition: every message once, in its order, however the partitions are mixed."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from tests.memory_stream import Record

from longshore.stream import by_partition, last_of_each

PLACES = st.tuples(st.sampled_from(["a", "b"]), st.integers(0, 3))
BATCHES = st.lists(PLACES, max_size=30) | st.lists(st.tuples(st.just("a"), st.integers(0, 3)), max_size=30)


@given(BATCHES)
def test_every_message_is_with_its_partition_once_and_in_order(places: list[tuple[str, int]]) -> None:
    batch = [Record(topic, number, offset, None, b"") for offset, (topic, number) in enumerate(places)]
    found = by_partition(batch)
    assert {place: [m.offset() for m in members] for place, members in found.items()} == {
        place: [at for at, other in enumerate(places) if other == place] for place in places
    }
    assert list(found) == list(dict.fromkeys(places))
    assert last_of_each(batch) == {place: members[-1] for place, members in found.items()}
