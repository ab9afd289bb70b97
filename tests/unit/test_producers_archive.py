"""The download: kept only with the right sum, whole or not at all, from a server of the test's own."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest
from click.testing import CliRunner

from longshore.cli.data import data
from longshore.errors import ConfigurationError, IntegrityError, UnavailableError
from longshore.producers import archive

CONTENT = b"longitude,latitude\n-122.23,37.88\n"
SUM = hashlib.sha256(CONTENT).hexdigest()


def tgz(*files: tuple[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, content in files:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


class Site(BaseHTTPRequestHandler):
    pages: ClassVar[dict[str, bytes]] = {}
    asked: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        self.asked.append(self.path)
        page = self.pages.get(self.path)
        self.send_response(200 if page is not None else 404)
        cut = self.path.endswith("cut.tgz")
        self.send_header("Content-Length", str(len(page or b"") + (1_000 if cut else 0)))
        self.end_headers()
        self.wfile.write(page or b"")

    def log_message(self, format: str, *args: object) -> None:
        """Quiet."""


@pytest.fixture(scope="module")
def site() -> Iterator[str]:
    link = tarfile.TarInfo("housing/housing.csv")
    link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
    linked = io.BytesIO()
    with tarfile.open(fileobj=linked, mode="w:gz") as tar:
        tar.addfile(link)
    good = tgz(("../../evil.txt", b"evil"), ("housing/housing.csv", CONTENT))
    Site.pages = {
        "/good.tgz": good,
        "/cut.tgz": good,
        "/other.tgz": tgz(("housing/housing.csv", b"other")),
        "/empty.tgz": tgz(("readme.txt", b"nothing")),
        "/page.tgz": b"<html>not an archive</html>",
        "/torn.tgz": good[:60],
        "/link.tgz": linked.getvalue(),
    }
    with ThreadingHTTPServer(("127.0.0.1", 0), Site) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_the_file_arrives_whole_and_nothing_else_of_the_archive_is_written(site: str, tmp_path: Path) -> None:
    path = tmp_path / "cache" / "housing.csv"
    heard: list[int] = []

    archive.fetch(f"{site}/good.tgz", path, SUM, heard.append)

    assert path.read_bytes() == CONTENT
    assert [found.name for found in tmp_path.rglob("*")] == ["cache", "housing.csv"]
    assert sum(heard) == len(Site.pages["/good.tgz"])


@pytest.mark.parametrize(
    ("page", "error", "expected"),
    [
        ("other", IntegrityError, "nothing was kept"),
        ("empty", IntegrityError, "holds no housing.csv"),
        ("page", IntegrityError, "not a tar.gz archive"),
        ("torn", IntegrityError, "torn.tgz"),
        ("link", IntegrityError, "holds no housing.csv"),
        ("cut", UnavailableError, "cut.tgz"),
        ("none", UnavailableError, "HTTP 404"),
    ],
)
def test_what_is_not_the_file_is_refused_and_what_was_there_stays(
    site: str, tmp_path: Path, page: str, error: type[Exception], expected: str
) -> None:
    path = tmp_path / "housing.csv"
    path.write_bytes(b"before")

    with pytest.raises(error, match=expected) as caught:
        archive.fetch(f"{site}/{page}.tgz", path, SUM, lambda _bytes: None)

    assert "--data PATH" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert path.read_bytes() == b"before"
    assert list(tmp_path.iterdir()) == [path]


def test_a_bomb_is_not_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "LARGEST_CONTENT", 100_000)

    with pytest.raises(IntegrityError, match="holds more than 100,000 bytes"):
        archive.extract(gzip.compress(bytes(10_000_000)), "bomb")


def test_offline_names_the_mend(tmp_path: Path) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), Site) as server:
        port = server.server_port

    with pytest.raises(UnavailableError, match="--data PATH, or go without"):
        archive.fetch(f"http://127.0.0.1:{port}/good.tgz", tmp_path / "housing.csv", SUM, lambda _bytes: None)


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://127.0.0.1/x", "nonsense"])
def test_only_http_is_fetched(tmp_path: Path, url: str) -> None:
    with pytest.raises(ConfigurationError, match="not an http or https address"):
        archive.fetch(url, tmp_path / "housing.csv", SUM, lambda _bytes: None)


def test_a_folder_that_cannot_be_written_is_named(site: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    path = tmp_path / "file" / "housing.csv"

    with pytest.raises(ConfigurationError, match="cannot be written"):
        archive.fetch(f"{site}/good.tgz", path, SUM, lambda _bytes: None)


def test_the_command_fetches_once_and_says_so(site: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    command = ["fetch", "--url", f"{site}/good.tgz", "--sha256", SUM.upper(), "--output", "json"]
    first, asked = CliRunner().invoke(data, command, catch_exceptions=False), len(Site.asked)
    second = CliRunner().invoke(data, command, catch_exceptions=False)
    told = CliRunner().invoke(data, command[:-2], catch_exceptions=False)

    assert json.loads(first.stdout)["fetched"] is True
    assert json.loads(second.stdout) == {
        "path": str(tmp_path / "longshore" / "housing.csv"), "sha256": SUM, "fetched": False
    }  # fmt: skip
    assert "is already there" in told.stdout
    assert len(Site.asked) == asked


def test_generated_data_is_a_file_that_can_be_read_back(tmp_path: Path) -> None:
    from longshore.dataset import read_csv
    from longshore.producers.generator import history_frame
    from longshore.schema import districts

    path = tmp_path / "districts.csv"
    CliRunner().invoke(data, ["generate", "--rows", "50", "--seed", "3", "--to", str(path)], catch_exceptions=False)

    frame, expected = read_csv(path, districts(), require_target=True), history_frame(50, seed=3)

    for name in expected.columns:
        assert frame[name].astype(object).fillna(-1).tolist() == expected[name].astype(object).fillna(-1).tolist()
