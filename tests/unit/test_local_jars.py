"""The jars: only what the lock says, byte for byte, and a folder that is whole or not there."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import pytest

from longshore.errors import ConfigurationError, FormatError, IntegrityError, UnavailableError
from longshore.local import fetch, jars
from longshore.local.jars import Jar, provide, read_lock

CONTENT = b"a jar"
COORDINATES = ("org.apache.kafka:kafka_2.13:9.9.9", "org.example:other:1")


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    path = tmp_path / "jars.lock"
    digest = hashlib.sha256(CONTENT).hexdigest()
    path.write_text("# comment\n" + "".join(f"{name} {digest} {len(CONTENT)}\n" for name in COORDINATES))
    return path


def honest(wanted: Sequence[Jar], folder: Path) -> None:
    for jar in wanted:
        (folder / jar.name).write_bytes(CONTENT)


def tampered(wanted: Sequence[Jar], folder: Path) -> None:
    honest(wanted, folder)
    (folder / wanted[-1].name).write_bytes(CONTENT[::-1])


def never(wanted: Sequence[Jar], folder: Path) -> None:
    raise AssertionError(f"fetched {len(wanted)} jars into {folder}")


def kept(cache: Path) -> list[str]:
    return [path.name for path in cache.iterdir() if path.name != "kafka.lock"]


def test_the_shipped_lock_pins_one_kafka_and_its_logging_binding() -> None:
    locked = read_lock()
    versions = {jar.coordinate.split(":")[2] for jar in locked if jar.coordinate.startswith("org.apache.kafka:")}
    assert versions == {jars.kafka_version(locked)}
    assert any("log4j-slf4j-impl" in jar.coordinate for jar in locked)
    assert all(len(jar.sha256) == 64 and jar.size > 0 for jar in locked)
    assert len({jar.name for jar in locked}) == len(locked)


def test_jars_are_fetched_once(lock: Path, tmp_path: Path) -> None:
    first = provide(honest, lock=lock, cache=tmp_path / "cache")
    assert [path.name for path in first] == ["kafka_2.13-9.9.9.jar", "other-1.jar"]
    assert provide(never, lock=lock, cache=tmp_path / "cache") == first


def test_a_tampered_jar_is_refused_and_nothing_is_kept(lock: Path, tmp_path: Path) -> None:
    with pytest.raises(IntegrityError, match=r"other-1\.jar has sha256"):
        provide(tampered, lock=lock, cache=tmp_path / "cache")
    assert kept(tmp_path / "cache") == []


def test_a_jar_cut_short_later_is_fetched_again(lock: Path, tmp_path: Path) -> None:
    first = provide(honest, lock=lock, cache=tmp_path / "cache")
    first[0].write_bytes(CONTENT[:2])
    provide(honest, lock=lock, cache=tmp_path / "cache")
    assert first[0].read_bytes() == CONTENT


def test_what_a_killed_download_left_is_removed(lock: Path, tmp_path: Path) -> None:
    (tmp_path / "cache" / "part-dead").mkdir(parents=True)
    folder = provide(honest, lock=lock, cache=tmp_path / "cache")[0].parent
    assert kept(tmp_path / "cache") == [folder.name]


def test_another_lock_gets_another_folder(lock: Path, tmp_path: Path) -> None:
    first = provide(honest, lock=lock, cache=tmp_path / "cache")
    lock.write_text(lock.read_text() + "# raised\n")
    assert provide(honest, lock=lock, cache=tmp_path / "cache")[0].parent != first[0].parent


def test_an_unwritable_cache_is_named(lock: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError, match=r"cache folder .*file/cache.*XDG_CACHE_HOME"):
        provide(honest, lock=lock, cache=tmp_path / "file" / "cache")


def test_a_damaged_lock_names_its_line(tmp_path: Path) -> None:
    (tmp_path / "lock").write_text("group:artifact:1 abc 12\nnonsense\n")
    with pytest.raises(FormatError, match="line 2"):
        read_lock(tmp_path / "lock")


def test_a_failed_download_is_one_line_with_the_mend(
    lock: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "jgo.conf"
    config.write_text("[repositories]\ncentral = http://127.0.0.1:1/nobody-listens-here\n")
    monkeypatch.setenv("JGO_CONFIG_FILE", str(config))
    monkeypatch.setattr(fetch, "ATTEMPTS", 1)
    with pytest.raises(UnavailableError) as failure:
        provide(fetch.fetch_with_jgo, lock=lock, cache=tmp_path / "cache")
    message = str(failure.value)
    assert "\n" not in message
    assert "LONGSHORE_BOOTSTRAP_SERVERS" in message
    assert "download of" in message
    assert kept(tmp_path / "cache") == []
    assert "fetching Apache Kafka" in capsys.readouterr().err
