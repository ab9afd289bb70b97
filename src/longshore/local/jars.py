"""Kafka's jars: which ones (the lock file beside this module), whether they are ours byte for byte, and where they lie.

The lock names every jar by coordinate, sha256 and size, so nothing is resolved at run time: what is not in the lock is
never put on the class path, and a registry cannot slip in another version. A jar folder appears by one rename, after
every sum was checked, and is never written again. How a jar is fetched is left to `fetch`.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from longshore.errors import ConfigurationError, FormatError, IntegrityError

LOCK_FILE = Path(__file__).with_name("kafka-jars.lock")
KAFKA = "org.apache.kafka:kafka_2.13"

Fetch = Callable[[Sequence["Jar"], Path], None]
"""Puts every jar of the sequence, under its `name`, into the folder."""


@dataclass(frozen=True, slots=True)
class Jar:
    """One line of the lock."""

    coordinate: str  # group:artifact:version
    sha256: str
    size: int

    @property
    def name(self) -> str:
        """The file's name, as Maven's layout gives it."""
        _, artifact, version = self.coordinate.split(":")
        return f"{artifact}-{version}.jar"


def read_lock(path: Path = LOCK_FILE) -> list[Jar]:
    """Every jar the lock names, in its order; `#` starts a comment.

    Raises:
        FormatError: a line is not `group:artifact:version sha256 size`.

    """
    jars = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        if not line.strip() or line.startswith("#"):
            continue
        try:
            coordinate, sha256, size = line.split()
            jar = Jar(coordinate, sha256, int(size))
            jar.name  # noqa: B018  # a coordinate of other than three parts fails here, not at the download
        except ValueError as error:
            raise FormatError(f"{path} line {number} is damaged", mend="reinstall longshore") from error
        jars.append(jar)
    return jars


def kafka_version(jars: Sequence[Jar]) -> str:
    """The broker's version, as locked."""
    return next(jar.coordinate.split(":")[2] for jar in jars if jar.coordinate.startswith(f"{KAFKA}:"))


def cache_folder() -> Path:
    """The user's cache: shared by all homes, so the jars are fetched once per machine."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "longshore"


def provide(fetch: Fetch, *, lock: Path = LOCK_FILE, cache: Path | None = None) -> list[Path]:
    """The verified jars, for a class path; fetched through `fetch` where the cache lacks them.

    Raises:
        ConfigurationError: the cache cannot be written.
        IntegrityError: a jar is not what the lock says; nothing is kept.

    """
    jars = read_lock(lock)
    cache = cache or cache_folder()
    fingerprint = hashlib.sha256(lock.read_bytes()).hexdigest()[:12]
    folder = cache / f"kafka-{kafka_version(jars)}-{fingerprint}"
    if not _complete(folder, jars):
        try:
            with _alone(cache):
                if not _complete(folder, jars):  # somebody else may have filled it while we waited
                    _fill(folder, jars, fetch)
        except OSError as error:
            raise ConfigurationError(
                f"cache folder {cache} cannot be written: {error.strerror or error}",
                mend="free space there, or point XDG_CACHE_HOME to a writable folder",
            ) from error
    return [folder / jar.name for jar in jars]


def verify(path: Path, jar: Jar) -> None:
    """Read `path` and compare it with the lock.

    Raises:
        IntegrityError: another sha256.

    """
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != jar.sha256:
        raise IntegrityError(
            f"{jar.name} has sha256 {found[:16]}…, the lock says {jar.sha256[:16]}…",
            mend="nothing of it was kept; try again, and if it stays so distrust the mirror it came from",
        )


def _complete(folder: Path, jars: Sequence[Jar]) -> bool:
    """A size check: sums were checked before the folder got its name, so only later damage is looked for."""
    try:
        return all((folder / jar.name).stat().st_size == jar.size for jar in jars)
    except OSError:
        return False


def _fill(folder: Path, jars: Sequence[Jar], fetch: Fetch) -> None:
    for stale in folder.parent.glob("part-*"):  # of a killed run: we hold the lock, so nobody writes there
        shutil.rmtree(stale, ignore_errors=True)
    shutil.rmtree(folder, ignore_errors=True)
    part = Path(tempfile.mkdtemp(prefix="part-", dir=folder.parent))
    try:
        fetch(jars, part)
        for jar in jars:
            verify(part / jar.name, jar)
        part.chmod(0o755)
        part.rename(folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)


@contextmanager
def _alone(cache: Path) -> Iterator[None]:
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "kafka.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
