"""A fake of `longshore.stream.ExactlyOnceStream` for unit tests; it passes the real one's conformance suite."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from longshore.errors import AbortedError
from longshore.stream import Batch, Mark, Message, Partitions, PartitionsHook, Single


@dataclass(frozen=True, slots=True)
class Record:
    """One message at its coordinates."""

    _topic: str
    _partition: int
    _offset: int
    _key: bytes | None
    _value: bytes | None
    _headers: list[tuple[str, bytes]] | None = None
    _time: int = 1_000

    def topic(self) -> str:
        return self._topic

    def partition(self) -> int:
        return self._partition

    def offset(self) -> int:
        return self._offset

    def key(self) -> bytes | None:
        return self._key

    def value(self) -> bytes | None:
        return self._value

    def headers(self) -> list[tuple[str, bytes]] | None:
        return self._headers

    def timestamp(self) -> tuple[int, int]:
        return (1, self._time)


class MemoryStream:
    """Topics of one partition each in memory; `fail_next` aborts that many commits, when their outcome is asked for."""

    def __init__(self, topics: dict[str, list[Record]], inputs: list[str]) -> None:
        self.topics = topics
        self.fail_next = 0
        self._inputs = inputs
        self._committed = dict.fromkeys(inputs, 0)
        self._positions = dict(self._committed)
        self._sent: list[Batch | Single] = []
        self._before: Mark = {}
        self._held: set[str] = set()
        self._flight: tuple[list[Batch | Single], dict[str, int], Callable[[], None] | None] | None = None
        self.on_revoked: PartitionsHook | None = None
        self.transactions = 0

    def poll(self, max_records: int, timeout_s: float) -> list[Message]:
        del timeout_s
        self._settle()
        self._before = {(topic, 0): at for topic, at in self._positions.items()}
        batch: list[Message] = []
        for topic in self._inputs:
            if topic in self._held:
                continue
            at = self._positions[topic]
            taken = self.topics.get(topic, [])[at : at + max_records - len(batch)]
            self._positions[topic] = at + len(taken)
            batch += taken
        return batch

    def send(self, outputs: Sequence[Batch | Single]) -> None:
        self._settle()
        self._sent += outputs

    def settle(self, within_s: float | None = None) -> None:
        del within_s
        self._settle()

    def mark(self) -> Mark:
        return self._before

    def commit(
        self,
        outputs: Sequence[Batch | Single] = (),
        *,
        upto: Mark | None = None,
        wait: bool = True,
        then: Callable[[], None] | None = None,
    ) -> None:
        self.send(outputs)
        positions = dict(self._positions) if upto is None else {topic: at for (topic, _), at in upto.items()}
        self._flight = (self._sent, positions, then)
        self._sent = []
        if wait:
            self._settle()

    def _settle(self) -> None:
        if self._flight is None:
            return
        (outputs, positions, then), self._flight = self._flight, None
        if self.fail_next:
            self.fail_next -= 1
            self._positions, self._sent = dict(self._committed), []
            raise AbortedError("told to fail")
        for output in outputs:
            self._append(output)
        self._committed |= positions
        self.transactions += 1
        if then is not None:
            then()

    def hold(self, places: Partitions) -> None:
        self._held = {topic for topic, _ in places}

    def positions(self) -> Mark:
        return {(topic, 0): at for topic, at in self._positions.items()}

    def backlog(self) -> int:
        return sum(len(self.topics.get(t, [])) - self._positions[t] for t in self._inputs)

    def assignment(self) -> Partitions:
        return {(topic, 0) for topic in self._inputs}

    def at_end(self) -> dict[tuple[str, int], bool]:
        return {(t, 0): self._positions[t] >= len(self.topics.get(t, [])) for t in self._inputs}

    def close(self) -> None:
        if self.on_revoked is not None:
            self.on_revoked(self.assignment())

    def _append(self, output: Batch | Single) -> None:
        topic = self.topics.setdefault(output.topic, [])
        if isinstance(output, Batch):
            for message in output.messages:
                topic.append(Record(output.topic, 0, len(topic), message.get("key"), message["value"]))
        else:
            topic.append(Record(output.topic, 0, len(topic), output.key, output.value, output.headers))
