"""What may be a registry's address and what may be a name in it, and what the message says otherwise."""

from __future__ import annotations

from pathlib import Path

import pytest

from longshore.errors import ConfigurationError
from longshore.redis_store import ModelCache
from longshore.registry import Registry


@pytest.mark.parametrize("url", ["nonsense://bucket/models", "nonsense://user:hunter2@host/x"])
def test_an_unknown_scheme_is_refused_and_named_without_its_password(url: str) -> None:
    """With fsspec, as an unknown protocol; without it, as something that needs fsspec."""
    with pytest.raises(ConfigurationError, match=r"registry_url = nonsense://.*local folder") as caught:
        Registry.open(url, "m")
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("url", ["file://host/folder", "file://", " "])
def test_an_address_without_a_folder_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError):
        Registry.open(url, "m")


def test_a_path_and_its_file_url_are_one_registry(tmp_path: Path) -> None:
    folder = tmp_path / "with space"
    version = Registry.open(str(folder), "m").register({"model.onnx": b"x"}, {})
    assert Registry.open(folder.as_uri(), "m").versions() == [version]
    assert Registry.open(f"{folder}/", "m").versions() == [version]


def test_opening_creates_nothing(tmp_path: Path) -> None:
    registry = Registry.open(str(tmp_path / "r"), "m")
    assert (registry.versions(), registry.alias(), registry.history(), registry.events()) == ([], None, [], [])
    assert list(tmp_path.iterdir()) == []


def test_a_file_where_the_folder_should_be_is_named(tmp_path: Path) -> None:
    (tmp_path / "r").write_text("")
    with pytest.raises(ConfigurationError, match="is not a folder"):
        Registry.open(str(tmp_path / "r"), "m")


@pytest.mark.parametrize("name", ["", ".", "..", "../x", "a/b", ".hidden", "a\\b", "a\n", "x" * 129, "é"])
def test_no_name_leaves_its_folder(tmp_path: Path, name: str) -> None:
    registry = Registry.open(str(tmp_path), "m")
    version = registry.register({"model.onnx": b"x"}, {})
    for attempt in (
        lambda: Registry.open(str(tmp_path), name),
        lambda: registry.register({name: b"x"}, {}),
        lambda: registry.claim(name, owner="o", ttl_s=1),
        lambda: registry.outcome(name),
        lambda: registry.alias(name),
        lambda: registry.manifest(name),
        lambda: registry.path(version, name),
        lambda: registry.move_alias(name, version, expected_generation=0, trigger_id="t", actor="a", reason="r"),
        lambda: registry.record_rejection(version, trigger_id=name or "/", actor="a", reason="r"),
    ):
        with pytest.raises(ConfigurationError):
            attempt()
    assert registry.versions() == ["v1"]


@pytest.mark.parametrize(
    "url", ["http://u:hunter2@h", "redis://u:hunter2@h:port", "redis://h/x?socket_timeout=hunter2"]
)
def test_a_bad_redis_url_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        ModelCache(url)
    assert "hunter2" not in str(caught.value)
    assert "redis_url" in str(caught.value)
