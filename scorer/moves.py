"""Whether the move that a pointer claims was ever made: the registry knows, when it can be asked."""

from __future__ import annotations

from collections.abc import Callable

from longshore.errors import UnavailableError
from longshore.scorer.checks import Candidate, Reason, RefusedError
from longshore.scorer.waits import Wait

OBJECTIONS = 3
"""In as many rounds, and a model in use was never made champion: a registry on a network may show a move late."""


class Moves:
    """Confirms candidates by the registry; what was taken while it was away is looked up once it answers.

    `objection` says what the registry has against a candidate (None: nothing; UnavailableError: it cannot be asked).
    """

    def __init__(self, objection: Callable[[Candidate], str | None]) -> None:
        self._objection = objection
        self._unconfirmed: Candidate | None = None
        self._objections = 0

    @property
    def disowned(self) -> bool:
        """Whether the registry has denied the model in use often enough: any other will do."""
        return self._objections >= OBJECTIONS

    def confirms(self, candidate: Candidate, wait: Wait) -> bool:
        """Whether the registry knows the move; False where it cannot be asked, and has not objected before.

        Raises:
            RefusedError: it objects, or did.

        """
        try:
            objection = self._objection(candidate)
        except UnavailableError as error:
            if wait.objected or (self.disowned and candidate == self._unconfirmed):
                raise RefusedError(Reason.UNCONFIRMED, f"the registry objected, and now: {error}") from error
            return False
        if objection:
            wait.objected = True
            raise RefusedError(Reason.UNCONFIRMED, objection)
        return True

    def used(self, candidate: Candidate, *, confirmed: bool) -> None:
        """Note which model is in use now."""
        self._unconfirmed, self._objections = None if confirmed else candidate, 0

    def look_again(self) -> tuple[Candidate, str] | None:
        """Look up the model in use, where that is still open; what it is and the objection when it becomes disowned."""
        if self._unconfirmed is None or self.disowned:
            return None
        try:
            found = self._objection(self._unconfirmed)
        except UnavailableError:
            return None
        if found is None:
            self._unconfirmed = None
            return None
        self._objections += 1
        return (self._unconfirmed, found) if self.disowned else None
