"""What was noted beside a version, which itself never changes: its gate, rejections, refusals, signatures, its end.

Each note is one exclusive creation under a name made of what it is about, so noting it again changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, cast

import msgspec

from longshore.errors import ConflictError
from longshore.registry.formats import (
    Approval,
    Collected,
    DetachedSignature,
    Judgement,
    RefusalRecord,
    Rejection,
    check_name,
    decode,
    encode,
)
from longshore.registry.store import Store
from longshore.signing import Signer

T = TypeVar("T", bound=msgspec.Struct)

REJECTIONS, REFUSALS, SIGNATURES, COLLECTED = "rejections", "refusals", "signatures", "collected"
JUDGEMENTS, APPROVALS = "judgements", "approvals"


class Notes:
    """The notes of one model's versions; every method may raise UnavailableError and FormatError."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._read: dict[str, msgspec.Struct] = {}

    def reject(self, record: Rejection) -> None:
        """Note that a version did not pass its gate, once for each trigger; no version: its data were refused."""
        # `+` is in no trigger id and in no version: it stands for none.
        name = check_name(record.trigger_id, "trigger id") if record.trigger_id else "+"
        version = check_name(record.version, "version") if record.version else "+"
        self._note(f"{REJECTIONS}/{version}/{name}.json", record)

    def refuse(self, record: RefusalRecord) -> None:
        """Note that a scorer refused a version, once for each generation and instance."""
        name = check_name(f"{record.generation}-{record.instance}", "instance")
        self._note(f"{REFUSALS}/{check_name(record.version, 'version')}/{name}.json", record)

    def sign(self, version: str, manifest: Mapping[str, Any], signer: Signer) -> bool:
        """Put a signature of its manifest beside a version; False where that key has signed it already."""
        record = msgspec.convert({"version": version, **signer.sign(manifest)}, DetachedSignature)
        place = f"{SIGNATURES}/{check_name(record.version, 'version')}"
        return self._note(f"{place}/{check_name(record.key_id, 'key id')}.json", record)

    def judge(self, record: Judgement) -> Judgement:
        """Note what the gate decided, once for each generation of the champion; the decision that counts: the first."""
        folder = f"{JUDGEMENTS}/{check_name(record.version, 'version')}"
        key = f"{folder}/{record.generation}.json"
        if self._note(key, record):
            return record
        return decode(self._store.read(key) or b"", Judgement, key)

    def judgements(self, version: str) -> list[Judgement]:
        """What the gate decided of a version, by the champion's generation."""
        folder = f"{JUDGEMENTS}/{check_name(version, 'version')}"
        keys = [f"{folder}/{name}" for name in self._store.names(folder)]
        found = [decode(self._store.read(key) or b"", Judgement, key) for key in keys]
        return sorted(found, key=lambda judged: judged.generation)

    def answer(self, record: Approval) -> Approval:
        """Note a person's answer; the one that counts: the first."""
        self._note(_approval(record.version), record)
        return self.approval(record.version) or record

    def approval(self, version: str) -> Approval | None:
        """What a person answered for a version, if anybody did."""
        data = self._store.read(_approval(version))
        return None if data is None else decode(data, Approval, _approval(version))

    def collect(self, record: Collected) -> None:
        """Note that a version's files go, once."""
        self._note(f"{COLLECTED}/{check_name(record.version, 'version')}/note.json", record)

    def spare(self, version: str) -> None:
        """Take back that a version's files go: somebody pointed an alias at it meanwhile."""
        key = f"{COLLECTED}/{check_name(version, 'version')}/note.json"
        self._store.remove(key)
        self._read.pop(key, None)

    def collected(self) -> dict[str, Collected]:
        """The versions whose files are gone or going."""
        return {record.version: record for record in self._all(COLLECTED, Collected)}

    def rejections(self) -> list[Rejection]:
        """Every rejection."""
        return self._all(REJECTIONS, Rejection)

    def refusals(self) -> list[RefusalRecord]:
        """Every refusal."""
        return self._all(REFUSALS, RefusalRecord)

    def count(self, folder: str) -> int:
        """How many notes of a kind there are (`REJECTIONS`, …): a listing."""
        return sum(len(self._store.names(f"{folder}/{version}")) for version in self._store.names(folder))

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


def _approval(version: str) -> str:
    return f"{APPROVALS}/{check_name(version, 'version')}/answer.json"
