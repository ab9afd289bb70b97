"""The wheel is what the tree is: every module and nothing else, data files, the command; and it imports from itself."""

from __future__ import annotations

import configparser
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SERVICES = ("producers", "scorer", "monitor", "trainer")
SOURCES = ("pyproject.toml", "setup.py", "README.md", "LICENSE", "src", *SERVICES)

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy, so that neither an earlier build's leavings go in nor this one's stay in the tree."""
    copy, dist = tmp_path_factory.mktemp("tree"), tmp_path_factory.mktemp("dist")
    leavings = shutil.ignore_patterns("__pycache__", "*.egg-info")
    for name in SOURCES:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, copy / name, ignore=leavings)
        else:
            shutil.copy(source, copy / name)
    _run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", dist, cwd=copy)
    (built,) = dist.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("site")
    _run(sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target", target, wheel)
    return target


def _run(*command: object, cwd: Path = ROOT, **environment: str) -> str:
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr or done.stdout
    return done.stdout


def _names(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return {name for name in archive.namelist() if ".dist-info/" not in name}


def _expected(suffixes: tuple[str, ...]) -> set[str]:
    places = {ROOT / "src" / "longshore": "longshore"} | {ROOT / name: f"longshore/{name}" for name in SERVICES}
    return {
        f"{inside}/{path.relative_to(folder).as_posix()}"
        for folder, inside in places.items()
        for path in folder.rglob("*")
        if path.is_file() and path.suffix in suffixes
    }


def test_the_wheel_holds_every_module_of_the_tree_and_no_other(wheel: Path) -> None:
    assert {name for name in _names(wheel) if name.endswith(".py")} == _expected((".py",))


def test_the_wheel_holds_every_data_file_of_the_tree(wheel: Path) -> None:
    """What is not Python in the packages goes along too, or it would be missing only from the installed program."""
    data = {name for name in _names(wheel) if not name.endswith(".py")}
    kinds = (".toml", ".lock", ".typed", ".json", ".html", ".css", ".js", ".svg", ".j2", ".csv", ".properties")
    tree = _expected(kinds)
    tree |= {"longshore/py.typed"}
    assert data == tree


def test_the_wheel_names_the_command_and_the_licence(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        (entry,) = (name for name in names if name.endswith(".dist-info/entry_points.txt"))
        points = configparser.ConfigParser()
        points.read_string(archive.read(entry).decode())
    assert dict(points["console_scripts"]) == {"longshore": "longshore.cli.main:main"}
    assert any(name.endswith("licenses/LICENSE") for name in names)


def test_the_installed_wheel_imports_from_itself(installed: Path) -> None:
    """Not from the tree: an editable install's hook is beaten by the path, and the module's file says so."""
    modules = ["longshore", *(f"longshore.{name}" for name in SERVICES), "longshore.cli.main", "longshore.codec"]
    program = f"import importlib\nfor name in {modules}: print(importlib.import_module(name).__file__)"
    files = _run(sys.executable, "-c", program, cwd=installed, PYTHONPATH=str(installed)).split()
    assert len(files) == len(modules)
    assert all(Path(file).is_relative_to(installed) for file in files), files


def test_the_installed_command_answers(installed: Path) -> None:
    script = installed / "bin" / "longshore"
    assert "Score Kafka streams" in _run(sys.executable, script, "--help", cwd=installed, PYTHONPATH=str(installed))
