"""Writes the lock anew, when Kafka's version is raised: `python -m longshore.local.relock`.

Only this resolves dependencies; the program itself fetches what the lock says. The logging binding is resolved apart:
in one endpoint its parent's managed versions would win over Kafka's own, and pair a broker with an old client jar.
"""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

from longshore.local.jars import KAFKA, LOCK_FILE

KAFKA_VERSION = "4.3.1"
BINDING = "org.apache.logging.log4j:log4j-slf4j-impl"  # for slf4j 1.7, which Kafka ships; it stays silent without one


def main() -> int:
    """Resolve, download, sum, and replace the lock."""
    import jgo  # noqa: PLC0415  # an optional dependency

    artifacts = list(jgo.resolve(f"{KAFKA}:{KAFKA_VERSION}"))
    log4j = next(artifact.version for artifact in artifacts if artifact.artifactId == "log4j-core")
    artifacts.append(jgo.resolve(f"{BINDING}:{log4j}")[0])
    lines = ["# Every jar of the embedded broker: coordinate, sha256, size. Written by longshore.local.relock."]
    for artifact in artifacts:
        content = Path(artifact.resolve()).read_bytes()
        coordinate = f"{artifact.groupId}:{artifact.artifactId}:{artifact.version}"
        lines.append(f"{coordinate} {hashlib.sha256(content).hexdigest()} {len(content)}")
    LOCK_FILE.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
