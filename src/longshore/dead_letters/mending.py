"""Mending a dead letter's value by a JSON patch (RFC 6902)."""

from __future__ import annotations

import json
from typing import Any

import jsonpatch
import jsonpointer

from longshore.errors import ConfigurationError

_FAILURES = (
    jsonpatch.JsonPatchException,
    jsonpointer.JsonPointerException,
    # What the library lets through where a path runs into a value of another type.
    ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError,
)  # fmt: skip

_NEEDED = {"add": "value", "replace": "value", "test": "value", "move": "from", "copy": "from"}


class PatchError(Exception):
    """The patch does not fit this value; the text says why."""


class Patch:
    """A list of operations, all of which apply to a value or none."""

    def __init__(self, text: str) -> None:
        """Read the operations.

        Raises:
            ConfigurationError: the text is not a JSON patch.

        """
        try:
            operations = json.loads(text)
            if not isinstance(operations, list) or not operations:
                raise ValueError("it must be a list of operations, with one at least")
            self._patch = jsonpatch.JsonPatch(operations)
            for operation in operations:  # the library looks for these only when it applies them
                needed = _NEEDED.get(operation["op"])
                if needed and needed not in operation:
                    raise ValueError(f"the operation {operation['op']} needs {needed!r}")
        except _FAILURES as error:
            raise ConfigurationError(
                f"--patch is not a JSON patch: {error}",
                mend='give a list such as [{"op": "replace", "path": "/FIELD", "value": null}] (RFC 6902)',
            ) from error

    def apply(self, value: bytes | None) -> bytes:
        """The mended value. NaN and Infinity, which are not JSON, may be read, so that they can be replaced.

        Raises:
            PatchError: the value is not JSON, an operation does not apply, or the result is not JSON.

        """
        if value is None:
            raise PatchError("the record has no value")
        try:
            document = json.loads(value.decode("utf-8"))
        except (ValueError, RecursionError) as error:
            raise PatchError(f"the value is not JSON: {_line(error)}") from error
        try:
            mended = self._patch.apply(document)
        except _FAILURES as error:
            raise PatchError(f"the patch does not apply: {_line(error)}") from error
        return _encoded(mended)


def _encoded(document: Any) -> bytes:
    try:
        return json.dumps(document, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
    except (ValueError, RecursionError) as error:
        raise PatchError(f"the mended value is not JSON: {_line(error)}") from error


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__
