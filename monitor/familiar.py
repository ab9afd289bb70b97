"""Texts that come again and again in predictions: versions, routes, categories. Each is decoded to one object.

What a decoder has to find only, it need not make; and a text that is always the same object has its hash, and is equal
to itself at a glance. Nothing but speed depends on what is known here: whoever meets another text decodes plainly.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal

MOST = 64
"""Texts of one field that are known at most. A field with more is no longer looked at: it is not of a few kinds."""

LONGEST = 200
"""Characters of a text that is known."""

Many = Callable[[Sequence[bytes]], list[Any]]
"""Decodes several values."""


class Familiar:
    """Makes decoders of predictions in which the texts seen before are known.

    `make` gives the decoder of predictions for types of the outer fields and of the record's; `outer` and `inner` name
    those that hold text, the record's with whether they are nullable.
    """

    def __init__(
        self, make: Callable[[Mapping[str, Any], Mapping[str, Any]], Many], outer: Iterable[str], inner: dict[str, bool]
    ) -> None:
        self._make, self._outer = make, tuple(outer)
        self._inner = {name: nullable for name, nullable in inner.items() if name not in self._outer}
        self._known: dict[str, set[str]] = {name: set() for name in (*self._outer, *self._inner)}
        self.decode: Many | None = None
        """None as long as nothing is known."""

    def learn(self, rows: list[Any]) -> None:
        """Know the texts of these rows, too, as they were decoded plainly."""
        changed = False
        for name in tuple(self._known):
            of_field = rows if name in self._outer else [row.record for row in rows]
            found = {getattr(row, name) for row in of_field} - {None} - self._known[name]
            if len(found) + len(self._known[name]) > MOST or max(map(len, found), default=0) > LONGEST:
                del self._known[name]
                changed = True
            elif found:
                self._known[name] |= found
                changed = True
        if changed:
            self.decode = self._make(*self._types())

    def _types(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Of every field of which texts are known: the type that is one of them."""
        types = {name: Literal[tuple(sorted(texts))] for name, texts in self._known.items() if texts}
        outer = {name: kind for name, kind in types.items() if name in self._outer}
        inner = {
            name: types[name] | None if nullable else types[name]
            for name, nullable in self._inner.items()
            if name in types
        }
        return outer, inner
