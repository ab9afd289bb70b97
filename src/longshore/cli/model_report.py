"""`longshore model report`: the pages that were made with a version, as files for a person to open."""

from __future__ import annotations

from pathlib import Path

import click

from longshore.cli.app import App, output_option, pass_app, print_json
from longshore.cli.model_names import opened, resolve
from longshore.cli.whole_file import check_place, write_whole
from longshore.errors import DataError
from longshore.trainer.pages.names import CARD, EXPLORATION, REPORT

PAGES = {"report": REPORT, "exploration": EXPLORATION, "card": CARD}


@click.command("report")
@click.argument("version", default="champion")
@click.option(
    "--to",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The file to write; an older one is replaced [VERSION-report.html].",
)
@click.option(
    "--page",
    type=click.Choice(list(PAGES)),
    default="report",
    show_default=True,
    help="report: how good it is, where, and for what; card: the same as Markdown; exploration: its training set.",
)
@click.option("--open", "show", is_flag=True, help="Open it in the browser.")
@output_option
@pass_app
def report(app: App, *, version: str, to: Path | None, page: str, show: bool, output: str) -> None:
    """Write the page that was made with a version. VERSION: v1, v2, …, or champion (the default), challenger, previous.

    \b
    longshore model report
    longshore model report v3 --page exploration --to v3-data.html

    A page is one file that needs no network, no script and no other file. It was made before the gate decided on the
    version, so the decision is told here, beside it.
    """
    registry = opened(app)
    version, _ = resolve(registry, version)
    name = PAGES[page]
    if name not in registry.manifest(version)["files"]:
        raise DataError(f"{version} has no {name}: an older program made it", mend="train a version with this program")
    to = to or Path(f"{version}-{name}")
    check_place(to)
    data = registry.read(version, name)
    write_whole(to, data)
    decided = [
        {"champion": each.champion, "decision": each.decision, "reason": each.reason}
        for each in registry.notes.judgements(version)
    ]
    if output == "json":
        written = {"path": str(to.absolute()), "bytes": len(data)}
        print_json({"version": version, "page": page, **written, "decided": decided})
    else:
        click.echo(f"{to}: {len(data):,} bytes")
        for each in decided:
            click.echo(f"the gate, against {each['champion'] or 'no champion'}: {each['decision']}: {each['reason']}")
    if show:
        click.launch(str(to.absolute()))
