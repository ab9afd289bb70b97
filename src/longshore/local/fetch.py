"""Fetches locked jars through jgo's Python resolver (no Java, no Maven), a few at once, and shows how far it is.

Where from is jgo's business: Maven Central, or what the user's own jgo configuration file names. Whether the bytes are
the right ones is left to `jars`.
"""

from __future__ import annotations

import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from longshore.errors import ConfigurationError, UnavailableError
from longshore.local.jars import Jar

WORKERS = 6
ATTEMPTS = 3
STALL_TIMEOUT_S = 20
INSTALL_MEND = "pip install 'longshore[local]'"
OFFLINE_MEND = (
    "run once with network access, or set LONGSHORE_BOOTSTRAP_SERVERS to a running Kafka "
    "(a mirror goes under [repositories] of jgo's configuration file)"
)


def fetch_with_jgo(jars: Sequence[Jar], folder: Path) -> None:
    """Download every jar into `folder`.

    Raises:
        ConfigurationError: jgo is not installed.
        UnavailableError: a download failed for good.

    """
    try:
        import jgo.config  # noqa: PLC0415  # an optional dependency, and slow to import
        import jgo.maven  # noqa: PLC0415
    except ImportError as error:
        raise ConfigurationError("Kafka's jars are not here and jgo is not installed", mend=INSTALL_MEND) from error
    with _progress(f"fetching Apache Kafka (once): {len(jars)} files", sum(jar.size for jar in jars)) as advance:

        @contextmanager
        def one_file(_name: str, _size: int) -> Iterator[Callable[[int], None]]:
            yield advance

        repositories = jgo.config.GlobalSettings.load().repositories
        context = jgo.maven.MavenContext(
            resolver=jgo.maven.PythonResolver(progress_callback=one_file),
            repo_cache=folder / "maven",
            remote_repos={**jgo.maven.MavenContext(repo_cache=folder).remote_repos, **repositories},
            timeout=STALL_TIMEOUT_S,
        )
        _fetch_all(context, jars, folder)
        shutil.rmtree(folder / "maven")  # only its empty folders are left


def _fetch_all(context: Any, jars: Sequence[Jar], folder: Path) -> None:
    pool = ThreadPoolExecutor(WORKERS, thread_name_prefix="fetch")
    try:
        largest_first = sorted(jars, key=lambda jar: -jar.size)
        futures = [pool.submit(_fetch_one, context, jar, folder) for jar in largest_first]
        for future in wait(futures, return_when=FIRST_EXCEPTION).done:
            future.result()
    finally:
        pool.shutdown(cancel_futures=True)


def _fetch_one(context: Any, jar: Jar, folder: Path) -> None:
    group, artifact, version = jar.coordinate.split(":")
    wanted = context.project(group, artifact).at_version(version).artifact()
    for attempt in range(1, ATTEMPTS + 1):
        try:
            wanted.resolve().rename(folder / jar.name)
        except (OSError, RuntimeError) as error:  # requests' errors are OSErrors; jgo's "not found" is a RuntimeError
            wanted.cached_path.unlink(missing_ok=True)  # half a file would be taken for a whole one
            if attempt == ATTEMPTS:
                reason = _reason(error)
                raise UnavailableError(f"download of {jar.name} failed: {reason}", mend=OFFLINE_MEND) from error
            time.sleep(attempt)
        else:
            return


def _reason(error: BaseException) -> str:
    """The innermost cause in a few words: libraries wrap a refused connection in four layers of their own."""
    while (inner := error.__cause__ or error.__context__) is not None:
        error = inner
    return f"{type(error).__name__}: {' '.join(str(error).split())[:160]}"


@contextmanager
def _progress(title: str, total_bytes: int) -> Iterator[Callable[[int], None]]:
    """A bar on a terminal, a line per quarter elsewhere; always on stderr, stdout belongs to the answer."""
    if sys.stderr.isatty():
        from rich import progress  # noqa: PLC0415  # only where there is something to draw
        from rich.console import Console  # noqa: PLC0415

        columns = progress.TextColumn("{task.description}"), progress.BarColumn(), progress.DownloadColumn()
        with progress.Progress(*columns, console=Console(stderr=True)) as bar:
            task = bar.add_task(title, total=total_bytes)
            yield lambda count: bar.advance(task, count)
        return
    yield _Lines(title, total_bytes).advance


class _Lines:
    """Progress for logs; `advance` is called from several threads."""

    def __init__(self, title: str, total_bytes: int) -> None:
        self._total = total_bytes
        self._done = 0
        self._told = 0
        self._lock = threading.Lock()
        sys.stderr.write(f"{title}, {total_bytes / 1e6:.0f} MB\n")

    def advance(self, count: int) -> None:
        with self._lock:
            self._done += count
            quarters = 4 * self._done // self._total
            if quarters > self._told:
                self._told = quarters
                sys.stderr.write(f"  {25 * quarters} %\n")
