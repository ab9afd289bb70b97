"""Dead letters as values: what they say, which are meant, how they are mended, and which were replayed. Pure.

Reading them and writing replays is `longshore.kafka`'s work (`dead_letters`, `replay`); header formats are in
docs/dead-letters.md.
"""

from __future__ import annotations

from longshore.dead_letters.journal import Entry, Journal
from longshore.dead_letters.letter import Coordinates, DeadLetter
from longshore.dead_letters.mending import Patch, PatchError
from longshore.dead_letters.planning import Outcome, Plan, Planner, Refusal
from longshore.dead_letters.selection import Filter, ReasonCounts
from longshore.records import CONTEXT

__all__ = [
    "CONTEXT",
    "Coordinates",
    "DeadLetter",
    "Entry",
    "Filter",
    "Journal",
    "Outcome",
    "Patch",
    "PatchError",
    "Plan",
    "Planner",
    "ReasonCounts",
    "Refusal",
]
