"""Dead letters on a terminal or as JSON, written as they come: memory stays flat in the topic's length.

Values, keys, headers and messages are strangers' bytes: no control character of theirs reaches a terminal.
"""

from __future__ import annotations

import base64
import json
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import click

from longshore.dead_letters import DeadLetter, Journal, Outcome, ReasonCounts
from longshore.dead_letters.letter import readable
from longshore.kafka.replay import Result

PICTURE = 60
"""Characters of a value or key in a list."""


def printable(text: str, limit: int | None = None) -> str:
    """Text with every character escaped that is not plainly visible (control, direction, format), cut to `limit`."""
    cut = text if limit is None else text[: limit + 1]
    safe = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in cut)
    return safe if limit is None or len(safe) <= limit else safe[: limit - 1] + "…"


def picture(value: bytes | None, limit: int = PICTURE) -> str:
    """A value in few characters; `(null)` for none."""
    return "(null)" if value is None else printable(readable(value[: 4 * limit + 4]), limit)


def as_json(value: Any, indent: int | None = None) -> str:
    """JSON in ASCII alone: what a terminal would act on stays an escape."""
    return json.dumps(value, indent=indent).replace("\x7f", "\\u007f")


def _when(at_ms: int | None) -> str:
    if at_ms is None:
        return "-"
    try:
        moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=at_ms)
    except OverflowError:
        return str(at_ms)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _text(value: bytes | None) -> dict[str, Any]:
    """Bytes as JSON can hold them: as text where they are UTF-8, else in base64."""
    if value is None:
        return {"text": None}
    try:
        return {"text": value.decode("utf-8")}
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(value).decode()}


def _place(letter: DeadLetter) -> str:
    return f"{letter.place.partition}/{letter.place.offset}"


def _row(letter: DeadLetter, journal: Journal) -> dict[str, Any]:
    replayed = letter.origin in journal
    target = journal.replayed_as(letter.origin) if replayed and letter.origin else None
    return {
        "dead_letter": _place(letter),
        "origin": str(letter.origin) if letter.origin else None,
        "timestamp": letter.timestamp_ms,
        "reason": letter.reason,
        "message": letter.message,
        "key": None if letter.key is None else readable(letter.key),
        "value": picture(letter.value),
        "size": None if letter.value is None else len(letter.value),
        "attempt": letter.attempt,
        "replayed": replayed,
        "replayed_as": str(target) if target else None,
        "problem": letter.problem,
    }


class Stream:
    """One JSON object whose list of rows is written row by row; nothing before the first row or the end."""

    def __init__(self, name: str) -> None:
        self._before = f'{{"{name}": [\n'

    def add(self, row: dict[str, Any]) -> None:
        """Write one row."""
        click.echo(self._before + as_json(row), nl=False)
        self._before = ",\n"

    def end(self, rest: dict[str, Any]) -> None:
        """Write the other fields and close the object."""
        opening = "" if self._before == ",\n" else self._before
        click.echo(f"{opening}\n]," + as_json(rest)[1:])


class ListView:
    """`dlq list`: at most `limit` rows, then counts by reason over all that were added."""

    def __init__(self, journal: Journal, *, limit: int | None, as_json: bool) -> None:
        self._journal = journal
        self._limit = limit
        self._counts = ReasonCounts()
        self._matching = 0
        self._json = Stream("dead_letters") if as_json else None

    def add(self, letter: DeadLetter) -> None:
        """Count a dead letter, and show it if the limit is not reached."""
        self._counts.add(letter, replayed=letter.origin in self._journal)
        self._matching += 1
        if self._limit is not None and self._matching > self._limit:
            return
        row = _row(letter, self._journal)
        if self._json:
            self._json.add(row)
            return
        if self._matching == 1:
            click.echo(f"{'place':>10}  {'sent':24}  {'reason':20}  {'origin':32}  {'replayed':9}  value")
        state = "yes" if row["replayed"] else f"attempt {letter.attempt}" if letter.attempt else "no"
        origin = row["origin"] or "?"
        click.echo(
            f"{row['dead_letter']:>10}  {_when(letter.timestamp_ms):24}  {printable(letter.reason, 20):20}"
            f"  {origin:32}  {state:9}  {row['value']}"
        )
        click.echo(
            f"{'':12}{printable(letter.message)}" + (f" [{printable(letter.problem)}]" if letter.problem else "")
        )

    def end(self) -> None:
        """The counts."""
        rows = self._counts.rows()
        if self._json:
            named = [{name: getattr(row, name) for name in row.__slots__} for row in rows]
            self._json.end({"matching": self._matching, "reasons": named})
            return
        if not rows:
            click.echo("no dead letters", err=True)
            return
        if self._limit is not None and self._matching > self._limit:
            click.echo(f"… and {self._matching - self._limit:,} more (--limit 0 shows all)")
        click.echo(f"\n{'reason':32}  {'count':>9}  {'replayed':>9}  {'first':24}  last")
        for row in rows:
            click.echo(
                f"{printable(row.reason, 32):32}  {row.count:>9,}  {row.replayed:>9,}"
                f"  {_when(row.first_seen):24}  {_when(row.last_seen)}"
            )


def print_letter(letter: DeadLetter, journal: Journal, *, as_json: bool) -> None:
    """`dlq show`: everything there is."""
    if as_json:
        headers = [{"name": name} | _text(value) for name, value in letter.headers]
        shown = _row(letter, journal) | {
            "root": str(letter.root) if letter.root else None,
            "key": _text(letter.key),
            "value": _text(letter.value),
            "headers": headers,
        }
        click.echo(_pretty(shown))
        return
    row = _row(letter, journal)
    for name in ("dead_letter", "origin", "reason", "message", "problem", "attempt", "replayed_as"):
        click.echo(f"{name:12} {printable(str(row[name])) if row[name] not in (None, '') else '-'}")
    click.echo(f"{'sent':12} {_when(letter.timestamp_ms)}")
    click.echo(f"{'key':12} {'(null)' if letter.key is None else printable(readable(letter.key))}")
    for header, value in letter.headers:
        click.echo(f"{'header':12} {printable(header)}: {'(null)' if value is None else printable(readable(value))}")
    click.echo(f"{'value':12} {'(null)' if letter.value is None else printable(readable(letter.value))}")


def _pretty(value: Any) -> str:
    return as_json(value, indent=2)


class ReplayView:
    """`dlq replay`: one row for each dead letter that was meant, then how many came to which end."""

    def __init__(self, *, as_json: bool, dry_run: bool) -> None:
        self._counts: Counter[Outcome] = Counter()
        self._dry_run = dry_run
        self._json = Stream("dead_letters") if as_json else None

    @property
    def failed(self) -> bool:
        """Whether one that was meant stays unreplayed."""
        return any(outcome.failed for outcome in self._counts)

    def add(self, result: Result) -> None:
        """Show one: in a table only those that are not as hoped for."""
        self._counts[result.outcome] += 1
        letter = result.letter
        row = {
            "dead_letter": _place(letter),
            "origin": str(letter.origin) if letter.origin else None,
            "outcome": result.outcome.value,
            "detail": result.detail,
            "replayed_as": str(result.target) if result.target else None,
        }
        if self._json:
            self._json.add(row)
        elif self._dry_run or result.outcome.failed:
            detail = printable(result.detail)
            click.echo(f"{row['dead_letter']:>10}  {row['origin'] or '?'}  {result.outcome.value}: {detail}")

    def end(self) -> None:
        """The counts by outcome."""
        counts = {outcome.value: self._counts[outcome] for outcome in Outcome if self._counts[outcome]}
        if self._json:
            self._json.end({"dry_run": self._dry_run, "outcomes": counts})
        elif counts:
            click.echo(", ".join(f"{count:,} {name.replace('_', ' ')}" for name, count in counts.items()))
        else:
            click.echo("no dead letter matches", err=True)
