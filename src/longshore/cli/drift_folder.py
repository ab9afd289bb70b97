"""A folder of reports made on a schedule: their names, how many stay, and the page that lists them.

A report is two files, written whole: the JSON first, so that where the page is, both are. Only files named as these are
ever deleted.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from longshore.cli.drift_page import Made
from longshore.cli.whole_file import write_whole
from longshore.errors import DataError
from longshore.pages import document
from longshore.pages.markup import Markup, tag
from longshore.pages.wording import count_text
from longshore.slots import SCHEDULES, Slot

TIME = "[0-9]{8}T[0-9]{4}Z"
NAMED = re.compile(rf"(?P<name>.+)-(?P<schedule>{'|'.join(SCHEDULES)})-(?P<start>{TIME})-(?P<end>{TIME})")


@dataclass(frozen=True, slots=True)
class ReportFolder:
    """The reports of one stream set in a folder; `keep` of each schedule stay."""

    folder: Path
    name: str
    keep: int

    def prepare(self) -> None:
        """Make the folder where there is none.

        Raises:
            DataError: it cannot be made, or is a file.

        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise DataError(
                f"{self.folder} cannot be made: {error.strerror}", mend="name a folder with --to"
            ) from error

    def page(self, slot: Slot) -> Path:
        """Where a slot's page stands."""
        return self.folder / f"{self.name}-{slot.name}.html"

    def has(self, slot: Slot) -> bool:
        """Whether it was made."""
        return self.page(slot).exists()

    def put(self, slot: Slot, made: Made, made_at: str) -> Path:
        """Write a slot's report, let the oldest beyond `keep` go, and list what there is.

        Raises:
            DataError: the folder cannot be written.

        """
        page = self.page(slot)
        values = {"schedule": slot.schedule, "made": made_at, **made.values}
        write_whole(page.with_suffix(".json"), msgspec.json.format(msgspec.json.encode(values), indent=2) + b"\n")
        write_whole(page, made.html.encode())
        for old in self._pages(slot.schedule)[: -self.keep]:
            old.unlink(missing_ok=True)
            old.with_suffix(".json").unlink(missing_ok=True)
        write_whole(self.folder / "index.html", self._index(made_at).encode())
        return page

    def _pages(self, schedule: str | None = None) -> list[Path]:
        """This stream set's pages, oldest first."""
        found = []
        for path in self.folder.glob("*.html"):
            named = NAMED.fullmatch(path.stem)
            if named and named["name"] == self.name and schedule in (None, named["schedule"]):
                found.append((named["start"], path.name, path))
        return [path for _, _, path in sorted(found)]

    def _index(self, made_at: str) -> str:
        title = f"Drift reports of {self.name}"
        pages = self._pages()[::-1]
        heads = ("report", "range (event time, UTC)", "state", "alerts", "faults last", "in a sentence", "")
        table = document.table("Newest first.", heads, [_row(path) for path in pages])
        header = document.header(
            title, f"{count_text(len(pages), 'report')}, the newest {self.keep} of each kind", "", ""
        )
        return document.document(title, STYLE, header, [tag("section", table)], f"Made by longshore {made_at}.")


STYLE = "td.said { white-space: normal; min-width: 260px; } header .pill { display: none; }"


def _row(page: Path) -> Markup:
    named, values = NAMED.fullmatch(page.stem), _values(page)
    kind = named["schedule"] if named else ""
    between = f"{_moment(named['start'])} to {_moment(named['end'])}" if named else ""
    alerts = values.get("alerts")
    faults = (values.get("quality") or {}).get("faults") or []
    return tag(
        "tr",
        tag("th", tag("a", kind, href=page.name), scope="row"),
        tag("td", between, class_="left"),
        tag("td", str(values.get("state") or "–"), class_="left"),
        tag("td", "–" if alerts is None else str(alerts), class_="over" if alerts else None),
        tag("td", str(len(faults)), class_="over" if faults else None),
        tag("td", str(values.get("sentence") or "–"), class_="left said"),
        tag("td", tag("a", "JSON", href=page.with_suffix(".json").name)),
    )


def _values(page: Path) -> dict[str, Any]:
    """A report's plain values; none where its file is gone or damaged."""
    try:
        found = json.loads(page.with_suffix(".json").read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _moment(text: str) -> str:
    """`20261129T0600Z` as a person writes it."""
    return f"{text[:4]}-{text[4:6]}-{text[6:8]} {text[9:11]}:{text[11:13]}"
