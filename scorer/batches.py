"""What the scoring loop has under way: batches with their predictions to come, and the open transaction's content."""

from __future__ import annotations

from concurrent.futures import Future
from dataclasses import dataclass, field

from longshore.codec import Decoded
from longshore.scorer.models import Active
from longshore.scorer.score import Answer
from longshore.stream import Batch, Mark, Message, Single


@dataclass(slots=True)
class Pending:
    """What the open transaction holds."""

    active: Active
    opened: float
    outputs: list[Batch | Single] = field(default_factory=list)
    """Made and not handed over yet."""
    predictions: int = 0
    bytes: int = 0
    reasons: list[str] = field(default_factory=list)

    def take(self) -> list[Batch | Single]:
        """The outputs, to be handed over now: nothing holds them here any longer."""
        taken, self.outputs = self.outputs, []
        return taken


Timed = tuple[Answer, int]
"""What the model said of a batch, and when (ms since epoch)."""


@dataclass(frozen=True, slots=True)
class Begun:
    """A batch that the model works on, or has: `before` are the stream's positions without it."""

    batch: list[Message]
    bytes: int
    decoded: Decoded
    active: Active
    before: Mark
    coming: Future[Timed]
