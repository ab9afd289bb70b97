"""What a fault of the data is, and how sure one has to be of it."""

from __future__ import annotations

from enum import StrEnum

import msgspec

ALL = "(all)"
"""The stream of a fault that is not one stream's: duplicates, volume, records set aside."""


class FaultKind(StrEnum):
    """What is wrong with a stream, or with the records as a whole."""

    MISSING = "missing"
    UNSEEN = "unseen"
    TYPO = "typo"
    OUT_OF_RANGE = "out_of_range"
    FROZEN = "frozen"
    UNIT = "unit"
    DUPLICATES = "duplicates"
    VOLUME = "volume"
    LATE = "late"
    FUTURE = "future"
    UNREADABLE = "unreadable"


class Fault(msgspec.Struct, frozen=True):
    """One fault in one window.

    Attributes:
        kind: what is wrong.
        stream: whose values are; `ALL` where it is no single stream's.
        share: of the window's records (values, for `frozen`, `out_of_range`, `unit`), those concerned; `volume`: the
            rate over the usual one.
        expected: what that is without a fault.
        bound: what it has to exceed to be told.
        p_value: the chance of this or more without a fault; None where the bound is fixed and not a test's.
        text: a sentence for people.
        about: the factor of a unit, the category of a typo, the value of a frozen sensor, as text.

    """

    kind: FaultKind
    stream: str
    share: float
    expected: float
    bound: float
    p_value: float | None
    text: str
    about: str = ""

    @property
    def name(self) -> tuple[str, str]:
        """Kind and stream: what it is told apart by from one window to the next."""
        return self.kind.value, self.stream
