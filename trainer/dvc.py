"""A dataset as DVC knows it: the text of its .dvc file, in DVC's documented form, so that DVC can track it.

https://dvc.org/doc/user-guide/project-structure/dvc-files: `outs` with `md5` of the content, `size`, `hash`, `path`.
"""

from __future__ import annotations

import hashlib
import json
import re


def dvc_file(name: str, data: bytes) -> bytes:
    """The .dvc file of a file called `name` beside it, with this content."""
    md5 = hashlib.md5(data, usedforsecurity=False).hexdigest()
    # As DVC itself writes it; a JSON string is a YAML string, whatever the name holds.
    path = name if re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]*\.[a-z]+", name) else json.dumps(name)
    return f"outs:\n- md5: {md5}\n  size: {len(data)}\n  hash: md5\n  path: {path}\n".encode()
