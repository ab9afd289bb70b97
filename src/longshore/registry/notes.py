"""What was noted beside a version, which itself never changes: gate rejections, scorers' refusals, further signatures.

Each note is one exclusive creation under a name made of what it is about, so noting it again changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, cast

import msgspec

from longshore.errors import ConflictError
from longshore.registry.formats import DetachedSignature, RefusalRecord, Rejection, check_name, decode, encode
from longshore.registry.store import Store
from longshore.signing import Signer

T = TypeVar("T", bound=msgspec.Struct)

REJECTIONS, REFUSALS, SIGNATURES = "rejections", "refusals", "signatures"


class Notes:
    """The notes of one model's versions; every method may raise UnavailableError and FormatError."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._read: dict[str, msgspec.Struct] = {}

    def reject(self, record: Rejection) -> None:
        """Note that a version did not pass its gate, once for each trigger."""
        # `+` is in no trigger id: it stands for none.
        name = check_name(record.trigger_id, "trigger id") if record.trigger_id else "+"
        self._note(f"{REJECTIONS}/{check_name(record.version, 'version')}/{name}.json", record)

    def refuse(self, record: RefusalRecord) -> None:
        """Note that a scorer refused a version, once for each generation and instance."""
        name = check_name(f"{record.generation}-{record.instance}", "instance")
        self._note(f"{REFUSALS}/{check_name(record.version, 'version')}/{name}.json", record)

    def sign(self, version: str, manifest: Mapping[str, Any], signer: Signer) -> bool:
        """Put a signature of its manifest beside a version; False where that key has signed it already."""
        record = msgspec.convert({"version": version, **signer.sign(manifest)}, DetachedSignature)
        place = f"{SIGNATURES}/{check_name(record.version, 'version')}"
        return self._note(f"{place}/{check_name(record.key_id, 'key id')}.json", record)

    def rejections(self) -> list[Rejection]:
        """Every rejection."""
        return self._all(REJECTIONS, Rejection)

    def refusals(self) -> list[RefusalRecord]:
        """Every refusal."""
        return self._all(REFUSALS, RefusalRecord)

    def signatures(self, version: str) -> list[dict[str, Any]]:
        """A version's detached signatures, read afresh; its manifest may hold one more."""
        folder = f"{SIGNATURES}/{version}"
        keys = [f"{folder}/{name}" for name in self._store.names(folder)]
        found = [decode(self._store.read(key) or b"", DetachedSignature, key) for key in keys]
        return [msgspec.to_builtins(signature) for signature in found]

    def _note(self, key: str, record: msgspec.Struct) -> bool:
        try:
            self._store.create(key, encode(record))
        except ConflictError:
            return False
        return True

    def _all(self, folder: str, form: type[T]) -> list[T]:
        found = []
        for version in self._store.names(folder):
            for name in self._store.names(f"{folder}/{version}"):
                key = f"{folder}/{version}/{name}"
                if key not in self._read:
                    self._read[key] = decode(self._store.read(key) or b"", form, key)
                found.append(cast("T", self._read[key]))
        return found
