"""Packages that only `make extras-check` installs: there they must be there, elsewhere a test of theirs is left out."""

from __future__ import annotations

import importlib
import os
from typing import Any

import pytest


def extra(module: str) -> Any:
    """The module; without it the test is skipped, or fails where `make extras-check` runs it."""
    if os.environ.get("LONGSHORE_EXTRAS"):
        return importlib.import_module(module)
    return pytest.importorskip(module, reason=f"{module} is not installed: `make extras-check` has it")
