"""The edges DESIGN.md allows (contracts <- adapters <- services <- cli), read from the syntax trees.

Each rule is a function from one module to the problems it finds, so that each is also shown a snippet it must refuse.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import pytest

from longshore.schema import districts

ROOT = Path(__file__).resolve().parents[1]
SERVICES = ("producers", "scorer", "monitor", "trainer")
ADAPTERS = ("kafka", "redis_store", "local")

SHELLS = {
    "producers/archive.py": "downloads the public archive",
    "producers/csv_source.py": "reads a CSV file",
    "producers/progress.py": "draws on the terminal",
    "producers/service.py": "the producing loop",
    "monitor/alerts/configured.py": "reads secrets from their files",
    "monitor/alerts/post.py": "the one HTTP request by which an alert leaves",
    "monitor/service.py": "wires the roles",
    "monitor/service_count.py": "the counting loop",
    "monitor/service_decide.py": "the deciding loop",
    "monitor/service_notify.py": "the notifying loop",
    "monitor/service_join.py": "the joining loop",
    "monitor/service_relay.py": "the loop that sends labels on",
    "monitor/join_store.py": "the file in which a partition's join waits",
    "scorer/files/csv_file.py": "reads and writes CSV files",
    "scorer/files/parquet_file.py": "reads and writes Parquet files",
    "scorer/files/replacing.py": "renames a whole file into its place",
    "scorer/files/run.py": "from file to file",
    "scorer/places.py": "where models come from: the cache and the registry",
    "scorer/service.py": "the scoring loop",
    "scorer/serving/service.py": "the HTTP server's process",
    "trainer/dataset_stream.py": "reads the labelled predictions from their topics",
    "trainer/datasets.py": "versions of training sets in a folder",
    "trainer/judging.py": "loads both models from the registry and times one",
    "trainer/run.py": "one run's steps through the registry: claim, register, gate, promote",
    "trainer/schedule.py": "fixes a slot's request in the registry and sends it",
    "trainer/search/running.py": "fits in processes, timed, and kept in files until the search is over",
    "trainer/service.py": "the loop that serves requests",
}
"""The only service modules that may touch Kafka, Redis, the clock, the environment or files."""

LONG_FILES: dict[str, str] = {}
"""Files over the limit, each with the reason why a split would make it worse."""

HOUSING = {"src/longshore/schema.py": "the built-in schema", "trainer/housing.py": "the ratio features"}
"""Besides producers/: where a housing column may be named."""

MAX_LINES = 300
FORBIDDEN_NAMES = {"utils", "util", "helpers", "helper", "manager", "managers", "common", "misc"}
OUTSIDE_WORLD = {
    "os", "time", "socket", "pathlib", "subprocess", "tempfile", "shutil", "urllib", "http", "glob", "signal",
    "requests",
    "longshore.kafka", "longshore.redis_store", "longshore.registry", "longshore.projector", "longshore.service",
    "longshore.local", "longshore.instance", "longshore.dataset", "longshore.key_files",
}  # fmt: skip
CLOCKS = {"now", "utcnow", "today"}
COLUMNS = {*districts().feature_names, districts().key, districts().target}
ENGLISH = {"population"}
"""Columns that are also a statistician's word: named only by a string that is nothing else."""


@dataclass(frozen=True)
class Module:
    """One source file: `path` from the root of the project, and what is in it."""

    path: str
    source: str

    @property
    def tree(self) -> ast.Module:
        return ast.parse(self.source)

    @property
    def name(self) -> str:
        """The dotted name it is imported by."""
        parts = list(PurePosixPath(self.path.removeprefix("src/longshore/")).with_suffix("").parts)
        return ".".join(["longshore", *(parts[:-1] if parts[-1] == "__init__" else parts)])

    @property
    def part(self) -> str:
        """What it belongs to: a service, an adapter, `cli`, or `contracts`."""
        top = [*self.name.split("."), ""][1]
        return top if top in (*SERVICES, *ADAPTERS, "cli") else "contracts"

    def imports(self) -> Iterator[str]:
        """Every module it imports, at any depth, by its full name."""
        package = self.name if self.path.endswith("__init__.py") else self.name.rpartition(".")[0]
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                yield from (alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                above = package.rsplit(".", node.level - 1)[0] if node.level else ""
                base = ".".join(part for part in (above, node.module or "") if part)
                yield from (f"{base}.{alias.name}" for alias in node.names)


def _within(name: str, module: str) -> bool:
    return name == module or name.startswith(f"{module}.")


def _part_of(imported: str) -> str | None:
    """Which part an imported longshore name belongs to, None for anything else."""
    if not _within(imported, "longshore"):
        return None
    return Module(f"src/{imported.replace('.', '/')}.py", "").part


def edges(module: Module) -> list[str]:
    """Contracts import contracts; an adapter itself and contracts; a service those and itself; only cli imports all."""
    part = module.part
    if part == "cli":
        return []
    allowed = {"contracts", part}
    if part in SERVICES:
        allowed |= {"kafka", "redis_store"}
    found = {(name, _part_of(name)) for name in module.imports()}
    return [f"{part} imports {name}" for name, target in sorted(found, key=str) if target and target not in allowed]


def client_libraries(module: Module) -> list[str]:
    """`confluent_kafka`, `redis`, `cryptography` and the HTTP server each have one door."""
    doors = {
        "confluent_kafka": module.part == "kafka",
        "redis": module.path == "src/longshore/redis_store.py",
        "cryptography": module.path == "src/longshore/signing.py",
        "starlette": module.name.startswith("longshore.scorer.serving."),
        "uvicorn": module.name.startswith("longshore.scorer.serving."),
    }
    return [
        f"imports {name} outside its adapter"
        for name in module.imports()
        for library, inside in doors.items()
        if _within(name, library) and not inside
    ]


def purity(module: Module) -> list[str]:
    """A service's arithmetic and decisions know no Kafka, Redis, clock, environment or files."""
    if module.part not in SERVICES or module.path in SHELLS:
        return []
    problems = [
        f"a pure module imports {name}" for name in module.imports() if any(_within(name, m) for m in OUTSIDE_WORLD)
    ]
    for node in ast.walk(module.tree):
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Name)
            and node.func.id in ("open", "input", "print")
        ):
            problems.append(f"a pure module calls {node.func.id}() on line {node.lineno}")
        if isinstance(node, ast.Attribute) and node.attr in CLOCKS and "date" in ast.unparse(node.value):
            problems.append(f"a pure module reads the clock on line {node.lineno}")
    return problems


def housing_columns(module: Module) -> list[str]:
    """The engine knows a schema, not housing: no column as an identifier or in a string but a docstring."""
    if module.part == "producers" or module.path in HOUSING:
        return []
    names = "|".join(sorted(COLUMNS - ENGLISH))
    word = re.compile(rf"(?<![A-Za-z0-9_])(?:{names})(?![A-Za-z0-9_])")
    problems = []
    for node in _without_docstrings(module.tree):
        texts = [value for _, value in ast.iter_fields(node) if isinstance(value, str)]
        problems += [
            f"names a housing column on line {getattr(node, 'lineno', 0)}: {text[:60]!r}"
            for text in texts
            if word.search(text) or (isinstance(node, ast.Constant) and text in ENGLISH)
        ]
    return problems


def _without_docstrings(tree: ast.Module) -> Iterator[ast.AST]:
    bare = {id(n.value) for n in ast.walk(tree) if isinstance(n, ast.Expr) and isinstance(n.value, ast.Constant)}
    return (node for node in ast.walk(tree) if id(node) not in bare)


def naming(module: Module) -> list[str]:
    """A name that says nothing hides two reasons to change."""
    parts = module.name.split(".")
    return [f"is named {part}" for part in parts if set(part.split("_")) & FORBIDDEN_NAMES]


def length(module: Module) -> list[str]:
    """Files stay under the limit, or are listed with a reason."""
    lines = module.source.count("\n")
    return [f"has {lines} lines, {MAX_LINES} or more"] if lines >= MAX_LINES and module.path not in LONG_FILES else []


def two_names(module: Module) -> list[str]:
    """`import scorer` beside `longshore.scorer` would make two module objects."""
    return [f"imports {name}, not longshore.{name}" for name in module.imports() if name.split(".")[0] in SERVICES]


RULES: tuple[Callable[[Module], list[str]], ...] = (
    edges, client_libraries, purity, housing_columns, naming, length, two_names,
)  # fmt: skip


def modules() -> list[Module]:
    """Every source file of the product."""
    folders = [ROOT / "src" / "longshore", *(ROOT / service for service in SERVICES)]
    paths = sorted(path for folder in folders for path in folder.rglob("*.py"))
    return [Module(path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8")) for path in paths]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_every_module_keeps_the_rule(rule: Callable[[Module], list[str]]) -> None:
    found = [f"{module.path}: {problem}" for module in modules() for problem in rule(module)]
    assert not found, "\n".join(found)


BAD = [
    (edges, "src/longshore/codec.py", "from longshore.kafka.writer import Writer"),
    (edges, "src/longshore/codec.py", "def f():\n    from longshore import redis_store"),
    (edges, "src/longshore/registry/store.py", "import longshore.local.stack"),
    (edges, "src/longshore/kafka/writer.py", "from longshore.redis_store import ModelCache"),
    (edges, "src/longshore/kafka/writer.py", "from longshore.scorer import score"),
    (edges, "scorer/score.py", "from longshore.monitor.report import Report"),
    (edges, "scorer/score.py", "from ..trainer import gate"),
    (edges, "monitor/service.py", "from longshore.cli.app import App"),
    (edges, "trainer/service.py", "from longshore.local.stack import LocalStack"),
    (client_libraries, "scorer/service.py", "from confluent_kafka import Producer"),
    (client_libraries, "src/longshore/local/stack.py", "import redis"),
    (client_libraries, "src/longshore/kafka/admin.py", "from redis import Redis"),
    (client_libraries, "scorer/checks.py", "from cryptography.exceptions import InvalidSignature"),
    (client_libraries, "scorer/service.py", "from starlette.routing import Route"),
    (purity, "monitor/distances.py", "import time"),
    (purity, "monitor/distances.py", "from os import environ"),
    (purity, "monitor/distances.py", "from longshore import registry"),
    (purity, "scorer/score.py", "from longshore.kafka.writer import Writer"),
    (purity, "scorer/checks.py", "from longshore.key_files import Trust"),
    (purity, "trainer/gate.py", "from datetime import datetime\nNOW = datetime.now()"),
    (purity, "trainer/gate.py", "TEXT = open('x').read()"),
    (housing_columns, "monitor/decide.py", "column = 'median_income'"),
    (housing_columns, "monitor/decide.py", "def f(frame):\n    return frame.total_rooms"),
    (housing_columns, "monitor/decide.py", "def f(*, ocean_proximity):\n    pass"),
    (housing_columns, "src/longshore/cli/demo.py", "f(longitude=1)"),
    (housing_columns, "src/longshore/cli/demo.py", "text = f'{x} households moved'"),
    (housing_columns, "trainer/split.py", "key = row['district_id']"),
    (housing_columns, "trainer/split.py", "column = 'population'"),
    (naming, "monitor/utils.py", ""),
    (naming, "src/longshore/kafka/consumer_helpers.py", ""),
    (naming, "trainer/common/__init__.py", ""),
    (length, "monitor/decide.py", "x = 1\n" * MAX_LINES),
    (two_names, "src/longshore/cli/score.py", "import scorer"),
    (two_names, "src/longshore/cli/score.py", "from monitor.report import Report"),
]


@pytest.mark.parametrize(("rule", "path", "source"), BAD, ids=lambda value: getattr(value, "__name__", str(value)[:40]))
def test_each_rule_refuses_what_it_is_for(rule: Callable[[Module], list[str]], path: str, source: str) -> None:
    assert rule(Module(path, source))


GOOD = [
    (
        edges,
        "scorer/service.py",
        "from longshore.kafka.exactly_once import ExactlyOnce\nfrom longshore import telemetry",
    ),
    (edges, "src/longshore/cli/demo.py", "import longshore.scorer.service, longshore.local.stack"),
    (client_libraries, "src/longshore/kafka/writer.py", "import confluent_kafka"),
    (client_libraries, "src/longshore/redis_store.py", "import redis"),
    (purity, "scorer/service.py", "import time"),
    (housing_columns, "producers/price.py", "column = 'median_income'"),
    (housing_columns, "monitor/report.py", "text = 'the population standard deviation'"),
    (housing_columns, "monitor/report.py", '"""As with median_income."""'),
]


@pytest.mark.parametrize(
    ("rule", "path", "source"), GOOD, ids=lambda value: getattr(value, "__name__", str(value)[:40])
)
def test_each_rule_lets_the_rest_pass(rule: Callable[[Module], list[str]], path: str, source: str) -> None:
    assert rule(Module(path, source)) == []


def test_the_exceptions_are_still_needed() -> None:
    found = {module.path: module for module in modules()}
    stale = [path for path in (*SHELLS, *LONG_FILES, *HOUSING) if path not in found]
    stale += [path for path in LONG_FILES if path in found and found[path].source.count("\n") < MAX_LINES]
    assert not stale, f"listed as exceptions, but no longer there or no longer needing it: {stale}"


def test_every_service_and_contract_is_read() -> None:
    parts = {module.part for module in modules()}
    assert parts == {*SERVICES, *ADAPTERS, "cli", "contracts"}
