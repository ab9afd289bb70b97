"""What was measured on which split, a line of JSON each as soon as it is there: a later call goes on where one stopped.

A line counts as long as its fingerprint does: of the code that is measured, its settings, the data and the libraries.
Lines of other machines count, too, but where time is judged.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.metadata
import importlib.util
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

LIBRARIES = ("scikit-learn", "numpy", "scipy")
Lines = dict[tuple[int, str, str], list[dict[str, Any]]]
"""By seed, part and fingerprint: what was found, with `machine`, `when` and `load`."""


def fingerprint(start: str, within: str, data: Path, settings: dict[str, Any]) -> str:
    """Of whatever the module `start` reaches in the package `within`, and of what it is given."""
    versions = [sys.version_info[:2], *(importlib.metadata.version(name) for name in LIBRARIES)]
    code = {name: hashlib.sha256(text.encode()).hexdigest() for name, text in sources(start, within).items()}
    known = [code, hashlib.sha256(data.read_bytes()).hexdigest(), settings, versions]
    return hashlib.sha256(json.dumps(known, sort_keys=True).encode()).hexdigest()[:16]


def sources(start: str, within: str) -> dict[str, str]:
    """The modules of `within` that `start` imports, directly or not, as syntax: without comments and docstrings."""
    found: dict[str, str] = {}
    waiting = [start]
    while waiting:
        name = waiting.pop()
        path = _path(name) if f"{name}.".startswith(f"{within}.") and name not in found else None
        if path is not None:
            tree = ast.parse(path.read_text("utf-8"))
            found[name] = code_of(tree)
            for node in ast.walk(tree):
                if isinstance(node, ast.ImportFrom) and node.module:
                    waiting += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
                elif isinstance(node, ast.Import):
                    waiting += [alias.name for alias in node.names]
    return found


def code_of(tree: ast.AST) -> str:
    """A module's syntax without what only people read."""
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list):
            node.body = [each for each in body if not _said(each)]  # type: ignore[attr-defined]
    return ast.dump(tree)


def read(path: Path) -> Lines:
    """Every line; one that a kill cut off is passed over."""
    found: Lines = {}
    for line in path.read_text("utf-8").splitlines() if path.exists() else []:
        try:
            one = json.loads(line)
        except ValueError:
            continue
        found.setdefault((one["seed"], one["part"], one["fingerprint"]), []).append(one)
    return found


def add(path: Path, line: dict[str, Any]) -> None:
    """Append a line, on the disk when this returns; several processes may."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab+") as file:
        file.seek(0, os.SEEK_END)
        whole = file.tell() == 0
        if not whole:
            file.seek(-1, os.SEEK_END)
            whole = file.read(1) == b"\n"
        file.write(b"" if whole else b"\n")
        file.write(json.dumps(line, default=float).encode() + b"\n")
        file.flush()
        os.fsync(file.fileno())


def known(lines: Lines, seed: int, part: str, print_of: str, machine: str | None = None) -> dict[str, Any] | None:
    """The newest line about it, None where there is none; `machine`: only of that one."""
    fitting = [one for one in lines.get((seed, part, print_of), []) if machine in (None, one["machine"])]
    return fitting[-1] if fitting else None


def numbers(text: str) -> list[int]:
    """`3,4,9-11` as [3, 4, 9, 10, 11]."""
    found: list[int] = []
    for part in text.split(","):
        first, _, last = part.partition("-")
        found += range(int(first), int(last or first) + 1)
    return found


def _path(name: str) -> Path | None:
    """A module's source; None for a name in a module."""
    try:
        spec = importlib.util.find_spec(name)
    except ModuleNotFoundError:
        return None
    return Path(spec.origin) if spec is not None and spec.origin else None


def _said(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def table(splits: Sequence[dict[str, Any]], profiles: Sequence[str]) -> list[str]:
    """Each split's RMSE as Markdown: the forest's, and every profile's with how much lower it is."""
    lines = [f"| split | forest | {' | '.join(f'{name} | lower by | seconds' for name in profiles)} |"]
    lines.append("|---" * (2 + 3 * len(profiles)) + "|")
    for split in splits:
        cells = [str(split["seed"]), f"{split['forest']['rmse']:,.0f}"]
        for name in profiles:
            one = split.get(name)
            lower = "" if one is None else f"{1 - one['rmse'] / split['forest']['rmse']:.1%}"
            cells += ["", "", ""] if one is None else [f"{one['rmse']:,.0f}", lower, f"{one['seconds']:,.0f}"]
        lines.append(f"| {' | '.join(cells)} |")
    return lines
