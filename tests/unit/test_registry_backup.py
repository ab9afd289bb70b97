"""Backup and restore: everything comes back to the byte, damage is refused, nothing is overwritten, kills survived."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import signal
import tarfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from tests.faults.forking import in_child
from tests.faults.promoting_process import Steps

from longshore.cli.app import App
from longshore.cli.model import model
from longshore.config import Settings
from longshore.errors import ConfigurationError, ConflictError, FormatError, IntegrityError
from longshore.registry import Registry
from longshore.registry.backup import INDEX, back_up, restore
from longshore.registry.formats import RefusalRecord, encode
from longshore.signing import Signer


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Two models; one with versions, a note of each kind, moves enough for two digits, an open and an ended claim."""
    folder = tmp_path / "source"
    registry = Registry.open(str(folder), "m")
    for number in range(3):
        registry.register({"model.onnx": b"%d" % number, "profile": b""}, {"trigger_id": f"t{number}"})
    for generation in range(11):
        registry.move_alias(
            "champion", f"v{generation % 3 + 1}", expected_generation=generation, trigger_id="", actor="a", reason="r"
        )
    registry.record_rejection("v2", trigger_id="", actor="gate", reason="worse")
    registry.notes.refuse(RefusalRecord(version="v1", generation=1, instance="s0", reason="damaged", time=1))
    registry.notes.sign("v1", registry.manifest("v1"), Signer.generate())
    assert registry.claim("open", owner="me", ttl_s=600) is not None
    ended = registry.claim("ended", owner="me", ttl_s=600)
    assert ended is not None
    ended.finish({"promoted": False})
    Registry.open(str(folder), "other").register({"model.onnx": b"other"}, {})
    return folder


@pytest.fixture
def file(tmp_path: Path, source: Path) -> Path:
    back_up(str(source), tmp_path / "b.tar.gz")
    return tmp_path / "b.tar.gz"


def contents(folder: Path) -> dict[str, bytes]:
    """Every file that is not aside."""
    paths = [path for path in folder.rglob("*") if path.is_file() and ".incoming" not in path.parts]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def rewritten(file: Path, change: Callable[[dict[str, bytes]], None]) -> Path:
    """The same archive with other members."""
    with tarfile.open(file) as archive:
        members = {member.name: archive.extractfile(member).read() for member in archive}  # type: ignore[union-attr]
    change(members)
    other = file.with_name("changed.tar.gz")
    with tarfile.open(other, "w:gz") as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return other


def test_everything_comes_back_to_the_byte(tmp_path: Path, source: Path, file: Path) -> None:
    target = tmp_path / "target"
    copied = restore(str(target), file)
    assert contents(target) == contents(source)
    assert (copied.files, copied.there, copied.models) == (len(contents(source)), 0, ["m", "other"])
    before, after = (Registry.open(str(folder), "m") for folder in (source, target))
    assert before.events() == after.events()
    assert before.history() == after.history()
    assert after.open_requests() == ["open"]
    assert after.claim("open", owner="thief", ttl_s=1) is None
    assert restore(str(target), file).files == 0


def test_a_backup_is_a_new_whole_file(tmp_path: Path, source: Path, file: Path) -> None:
    with pytest.raises(ConfigurationError, match="exists"):
        back_up(str(source), file)
    with pytest.raises(ConfigurationError, match="empty"):
        back_up(str(tmp_path / "nothing"), tmp_path / "empty.tar.gz")
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == [file.name]


def test_a_registry_with_something_else_is_left_alone(tmp_path: Path, file: Path) -> None:
    target = tmp_path / "target"
    registry = Registry.open(str(target), "m")
    registry.register({"model.onnx": b"mine"}, {})
    before = contents(target)
    with pytest.raises(ConflictError, match=r"does not: m/versions/v1/manifest.json.*empty registry"):
        restore(str(target), file)
    assert contents(target) == before


def test_a_registry_that_went_on_is_left_alone(source: Path, file: Path) -> None:
    Registry.open(str(source), "m").move_alias(
        "champion", "v1", expected_generation=11, trigger_id="", actor="a", reason="r"
    )
    with pytest.raises(ConflictError, match=r"champion/12.json"):
        restore(str(source), file)


def test_what_was_lost_since_comes_back(source: Path, file: Path) -> None:
    before = contents(source)
    for name in ("m/versions/v2/model.onnx", "m/aliases/champion/11.json"):
        (source / name).unlink()
    copied = restore(str(source), file)
    assert (contents(source), copied.files) == (before, 2)


def damage(members: dict[str, bytes]) -> None:
    members["m/versions/v1/model.onnx"] = b"other"


def lose(members: dict[str, bytes]) -> None:
    del members["m/aliases/champion/3.json"]


def smuggle(members: dict[str, bytes]) -> None:
    members["m/aliases/champion/99.json"] = b"{}"


def no_index(members: dict[str, bytes]) -> None:
    del members[INDEX]


@pytest.mark.parametrize("change", [damage, lose, smuggle, no_index])
def test_a_damaged_backup_writes_nothing(
    tmp_path: Path, file: Path, change: Callable[[dict[str, bytes]], None]
) -> None:
    with pytest.raises(IntegrityError):
        restore(str(tmp_path / "target"), rewritten(file, change))
    assert not (tmp_path / "target").exists()


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
def test_a_cut_off_backup_writes_nothing(tmp_path: Path, file: Path, share: float) -> None:
    data = file.read_bytes()
    file.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(IntegrityError):
        restore(str(tmp_path / "target"), file)
    file.write_bytes(gzip.compress(b"no archive"))
    with pytest.raises(IntegrityError):
        restore(str(tmp_path / "target"), file)
    assert not (tmp_path / "target").exists()


@pytest.mark.parametrize("name", ["../outside", "m/../../x", "/etc/x", "m/.incoming/x", "README", "m\\x/y"])
def test_no_member_leaves_the_registry(tmp_path: Path, file: Path, name: str) -> None:
    def stray(members: dict[str, bytes]) -> None:
        members.clear()
        described = {name: {"sha256": hashlib.sha256(b"x").hexdigest(), "bytes": 1}}
        members |= {name: b"x", INDEX: encode({"files": described, "created": 0.0, "format": 1})}

    with pytest.raises((FormatError, IntegrityError)):
        restore(str(tmp_path / "target"), rewritten(file, stray))
    assert not (tmp_path / "target").exists()


def killed_after(step: int, work: Callable[[], Any], told: Path) -> int:
    def dying() -> None:
        steps = Steps(step, told)
        for name in ("link", "rename"):
            steps.watch(os, name)
        work()

    return in_child(dying)


def test_a_restore_killed_after_any_step_leaves_a_usable_registry(tmp_path: Path, source: Path, file: Path) -> None:
    """Whole versions only, aliases a beginning of the history; the same command then ends it."""
    wanted, step, ended = contents(source), 0, -signal.SIGKILL
    generations = set()
    while ended:
        step += 3
        target = tmp_path / f"target{step}"
        ended = killed_after(step, partial(restore, str(target), file), tmp_path / "told")
        assert ended in (0, -signal.SIGKILL)
        registry = Registry.open(str(target), "m")
        assert [registry.verify(version) for version in registry.versions()] == [[]] * len(registry.versions())
        moves = registry.history()
        assert [move.generation for move in moves] == list(range(1, len(moves) + 1))
        assert {move.version for move in moves} <= set(registry.versions())
        generations.add(len(moves))
        restore(str(target), file)
        assert contents(target) == wanted
    assert {0, 11} < generations


def test_the_commands_tell_what_they_did_and_what_is_damaged(tmp_path: Path, source: Path) -> None:
    def run(registry: Path, *arguments: str, code: int = 0) -> Any:
        app = App(Settings(home=tmp_path, registry_url=str(registry), bootstrap_servers=None, redis_url=None))
        result = CliRunner().invoke(model, [*arguments, "--output", "json"], obj=app)
        assert result.exit_code == code, result.output
        return json.loads(result.stdout)

    files = len(contents(source))
    assert run(source, "backup", "--to", str(tmp_path / "a.tar.gz"))["files"] == files
    done = run(tmp_path / "target", "restore", str(tmp_path / "a.tar.gz"))
    assert (done["files"], done["there"], done["problems"]) == (files, 0, [])
    path = Registry.open(str(source), "m").path("v2", "model.onnx")
    path.chmod(0o644)
    path.write_bytes(b"damaged")
    (problem,) = run(source, "backup", "--to", str(tmp_path / "b.tar.gz"), code=1)["problems"]
    assert "v2/model.onnx is not what its sha256 says" in problem
