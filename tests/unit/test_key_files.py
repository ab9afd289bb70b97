"""Keys make themselves where nobody made any, exactly once, and trust never falls back to trusting everybody."""

from __future__ import annotations

import json
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from longshore.cli.app import App
from longshore.cli.model import model
from longshore.config import Settings, SigningSettings
from longshore.errors import ConfigurationError, FormatError, IntegrityError, LongshoreError
from longshore.key_files import Trust, create, read_trusted, signer
from longshore.registry import Registry
from longshore.signing import Keyring, Signer


def settings(home: Path, **signing: Any) -> Settings:
    return Settings(home=home, signing=SigningSettings(**signing))


def test_the_first_who_signs_makes_a_pair_that_who_shares_the_home_trusts(tmp_path: Path) -> None:
    shared = settings(tmp_path)
    assert not read_trusted(shared).enforced
    made = signer(shared)
    assert signer(shared).key_id == made.key_id
    assert list(read_trusted(shared).keys) == [made.key_id]
    private = tmp_path / "keys" / "signing.pem"
    assert stat.S_IMODE(private.stat().st_mode) == 0o600
    assert sorted(path.name for path in (tmp_path / "keys").iterdir()) == [f"{made.key_id}.pub", "signing.pem"]


def test_of_two_trainers_that_start_at_once_the_second_takes_the_first_s_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second has seen that there is no key, and is making one, when the first's appears."""
    real, first = Signer.generate, []

    def overtaken() -> Signer:
        monkeypatch.setattr(Signer, "generate", real)
        first.append(create(tmp_path / "keys").key_id)
        return real()

    monkeypatch.setattr(Signer, "generate", overtaken)
    second = create(tmp_path / "keys")
    assert [second.key_id] == first == list(read_trusted(settings(tmp_path)).keys)
    assert signer(settings(tmp_path)).key_id == first[0]


def test_a_rotation_keeps_the_old_public_key_until_it_is_deleted(tmp_path: Path) -> None:
    shared = settings(tmp_path)
    old = signer(shared)
    trust = Trust(shared)
    new = create(tmp_path / "keys", replace=True)
    assert signer(shared).key_id == new.key_id != old.key_id
    assert set(trust.keyring().keys) == {old.key_id, new.key_id}
    (tmp_path / "keys" / f"{old.key_id}.pub").unlink()
    assert set(trust.keyring().keys) == {new.key_id}


def test_configured_keys_take_the_place_of_those_under_home(tmp_path: Path) -> None:
    signer(settings(tmp_path))
    mine = create(tmp_path / "mine")
    key, public = tmp_path / "mine" / "signing.pem", tmp_path / "mine" / f"{mine.key_id}.pub"
    assert list(read_trusted(settings(tmp_path, key=key)).keys) == [mine.key_id]
    assert list(read_trusted(settings(tmp_path, trusted=public)).keys) == [mine.key_id]
    assert list(read_trusted(settings(tmp_path, trusted=tmp_path / "mine")).keys) == [mine.key_id]
    assert signer(settings(tmp_path, key=key, trusted=public)).key_id == mine.key_id


def test_a_named_place_that_is_empty_trusts_nobody_and_not_everybody(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert read_trusted(settings(tmp_path, trusted=tmp_path / "empty")).enforced
    assert read_trusted(settings(tmp_path, require=True)).enforced


def test_who_would_sign_what_everybody_refuses_is_told(tmp_path: Path) -> None:
    other = create(tmp_path / "other")
    create(tmp_path / "keys")
    public = tmp_path / "other" / f"{other.key_id}.pub"
    with pytest.raises(ConfigurationError, match=r"signing\.trusted"):
        signer(settings(tmp_path, trusted=public))


@pytest.mark.parametrize("name", ["key", "trusted"])
def test_a_named_file_that_is_not_there_or_no_key_is_an_error_at_once(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigurationError, match="absent"):
        Trust(settings(tmp_path, **{name: tmp_path / "absent"}))
    (tmp_path / "text").write_text("no key")
    with pytest.raises(FormatError, match="text"):
        Trust(settings(tmp_path, **{name: tmp_path / "text"}))


def test_a_running_process_never_goes_back_to_trusting_everybody(tmp_path: Path) -> None:
    shared = settings(tmp_path)
    trust = Trust(shared)
    assert trust.keyring() == Keyring({}, enforced=False)
    made = signer(shared)
    assert list(trust.keyring().keys) == [made.key_id]
    public = tmp_path / "keys" / f"{made.key_id}.pub"
    public.write_text("overwritten by mistake")
    assert list(trust.keyring().keys) == [made.key_id]
    public.unlink()
    assert trust.keyring() == Keyring({}, enforced=True)


# the commands


Run = Callable[..., Any]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    def invoke(*arguments: str, code: int = 0) -> Any:
        result = CliRunner().invoke(model, [*arguments, "--output", "json"], obj=App(settings(tmp_path)))
        if isinstance(result.exception, LongshoreError):
            raise result.exception
        assert result.exit_code == code, result.output
        assert "PRIVATE KEY" not in result.output
        return json.loads(result.stdout)

    return invoke


def test_keygen_makes_one_pair_and_replaces_it_only_when_told(run: Run, tmp_path: Path) -> None:
    first = run("keygen")
    assert Path(first["private"]).is_file() and Path(first["public"]).is_file()
    with pytest.raises(ConfigurationError, match="--rotate"):
        run("keygen")
    second = run("keygen", "--rotate")
    assert run("keys") == {"trusted": sorted([first["key_id"], second["key_id"]]), "enforced": True}
    apart = run("keygen", "--to", str(tmp_path / "apart"))
    assert apart["key_id"] not in run("keys")["trusted"]


def test_rotation_step_by_step_as_documented(run: Run, tmp_path: Path) -> None:
    shared = settings(tmp_path)
    registry = Registry.open(shared.registry(), "default")
    old = signer(shared).key_id
    for _ in range(2):
        registry.register({"model.onnx": b"x"}, {}, signer=signer(shared))
    run("keygen", "--rotate")
    assert run("sign", "--all")["signed"] == ["v1", "v2"]
    (tmp_path / "keys" / f"{old}.pub").unlink()
    assert [row["ok"] for row in run("verify")] == [True, True]
    run("promote", "v1")
    assert run("show", "v1")["signature"]["key_id"] == old


def test_what_scorers_would_refuse_is_shown_and_not_promoted(run: Run, tmp_path: Path) -> None:
    registry = Registry.open(settings(tmp_path).registry(), "default")
    registry.register({"model.onnx": b"x"}, {})
    assert run("verify")[0]["ok"]
    run("keygen")
    assert run("verify", code=1)[0]["problems"] == ["the manifest is not signed"]
    with pytest.raises(IntegrityError, match="longshore model sign v1"):
        run("promote", "v1")
    run("sign", "v1")
    assert run("promote", "v1")["changed"]


def test_all_takes_over_what_a_trusted_key_has_signed_and_nothing_else(run: Run, tmp_path: Path) -> None:
    shared = settings(tmp_path)
    registry = Registry.open(shared.registry(), "default")
    registry.register({"model.onnx": b"x"}, {}, signer=signer(shared))
    registry.register({"model.onnx": b"planted"}, {})
    registry.register({"model.onnx": b"planted"}, {}, signer=Signer.generate())
    run("keygen", "--rotate")
    told = run("sign", "--all", code=1)
    assert told["signed"] == ["v1"]
    assert sorted(told["refused"]) == ["v2", "v3"]
    assert "sign it by name" in told["refused"]["v2"][0]
    assert run("sign", "v2", "v3")["signed"] == ["v2", "v3"]


def test_damaged_versions_are_not_signed(run: Run, tmp_path: Path) -> None:
    registry = Registry.open(settings(tmp_path).registry(), "default")
    registry.register({"model.onnx": b"x"}, {})
    path = registry.path("v1", "model.onnx")
    path.chmod(0o644)
    path.write_bytes(b"y")
    assert run("sign", "v1", code=1)["signed"] == []
    assert registry.notes.signatures("v1") == []
