"""The registry's files as values: their names' alphabet, their JSON, their format number.

A newer program's files are refused with a `FormatError`, never guessed at. Where the files lie is `catalog`'s and
`claims`' decision.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Annotated, Any, TypeVar

import msgspec

from longshore.errors import ConfigurationError, FormatError, NewerFormatError
from longshore.records import UNREADABLE, ModelEventKind
from longshore.signing import SIGNATURE, Signer

FORMAT = 1
"""Of manifests, alias records, claims and rejections; a reader accepts this and lower."""

T = TypeVar("T")

_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}")
_NUMBERED = re.compile(r"(0|[1-9][0-9]{0,17})\.json")
_VERSION = re.compile(r"v([1-9][0-9]{0,17})")


class AliasRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One move of an alias: which version, by whom and why; `time` in ms since epoch."""

    alias: str
    model: str
    version: str
    generation: int
    kind: ModelEventKind
    trigger_id: str
    actor: str
    reason: str
    time: int
    format: int = FORMAT


class _File(msgspec.Struct):
    sha256: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]
    bytes: int


class _Manifest(msgspec.Struct):
    """What every manifest has; the rest is the trainer's."""

    version: str
    created: datetime
    files: dict[str, _File]


class Rejection(msgspec.Struct, frozen=True, kw_only=True):
    """A version that did not pass its gate, or (`version` empty) a run whose data were refused; `time` in ms."""

    version: str
    trigger_id: str
    actor: str
    reason: str
    time: int
    format: int = FORMAT


class RefusalRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A scorer that would not serve a version when a generation made it champion; `time` in ms since epoch."""

    version: str
    generation: int
    instance: str
    reason: str
    time: int
    format: int = FORMAT


class Judgement(msgspec.Struct, frozen=True, kw_only=True):
    """What the gate decided of a version against one generation of the champion (0: there was none), check by check.

    `decision`: promote, reject or ask. A check has `name`, `status`, `detail` and `figures`. `time`: ms since epoch.
    """

    version: str
    champion: str
    generation: int
    trigger_id: str
    actor: str
    decision: str
    reason: str
    checks: list[dict[str, Any]]
    time: int
    format: int = FORMAT


class Approval(msgspec.Struct, frozen=True, kw_only=True):
    """A person's answer for a version that waited for it; `time` in ms since epoch."""

    version: str
    approved: bool
    actor: str
    reason: str
    time: int
    format: int = FORMAT


class Collected(msgspec.Struct, frozen=True, kw_only=True):
    """A version whose files were deleted to make room; `time` in ms since epoch."""

    version: str
    actor: str
    reason: str
    time: int
    format: int = FORMAT


class Slot(msgspec.Struct, frozen=True, kw_only=True):
    """A scheduled retraining's slot of time, and the one request of it; `time` in ms since epoch."""

    name: str
    trigger_id: str
    model_version: str
    time: int
    format: int = FORMAT


class DetachedSignature(msgspec.Struct, frozen=True, kw_only=True):
    """A signature of a version's manifest by a further key, beside the version, which never changes."""

    version: str
    scheme: str
    key_id: str
    value: str
    format: int = FORMAT


class ClaimRecord(msgspec.Struct, frozen=True, kw_only=True):
    """Who works on a request until when (`expires_at`: s since epoch); `token` grows with each new holder."""

    trigger_id: str
    owner: str
    token: int
    expires_at: float
    format: int = FORMAT


class OutcomeRecord(msgspec.Struct, frozen=True, kw_only=True):
    """How a request ended, written once."""

    trigger_id: str
    owner: str
    token: int
    outcome: dict[str, Any]
    format: int = FORMAT


def check_name(name: str, thing: str) -> str:
    """The name itself, if it can be a file's name everywhere and cannot leave its folder.

    Raises:
        ConfigurationError: it has other characters, starts with a dot, is empty or longer than 128.

    """
    if not _NAME.fullmatch(name):
        raise ConfigurationError(
            f"{thing} {name!r} cannot be used", mend="up to 128 letters, digits, and . _ - (no dot in front)"
        )
    return name


def version_number(version: str) -> int | None:
    """7 for `v7`; None for anything else."""
    match = _VERSION.fullmatch(version)
    return int(match[1]) if match else None


def numbers(names: Iterable[str]) -> list[int]:
    """The numbers of `<n>.json` among names, growing."""
    return sorted(int(match[1]) for name in names if (match := _NUMBERED.fullmatch(name)))


def encode(record: Any) -> bytes:
    """Indented JSON: these files are read by people too."""
    return msgspec.json.format(msgspec.json.encode(record), indent=2) + b"\n"


def encode_manifest(
    given: Mapping[str, Any], version: str, created: datetime, files: Mapping[str, bytes], signer: Signer | None
) -> bytes:
    """A version's manifest: what is given, and what is so of every version, which wins; signed where there is a key."""
    described = {name: {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)} for name, data in files.items()}
    ours = {"format": FORMAT, "version": version, "created": created.isoformat(timespec="milliseconds")}
    document = {**given, **ours, "files": described}
    return encode(document if signer is None else {**document, SIGNATURE: signer.sign(document)})


def decode(data: bytes, form: type[T], where: str) -> T:
    """A record from its JSON.

    Raises:
        FormatError: it is damaged; NewerFormatError: a newer program wrote it.

    """
    try:
        raw = msgspec.json.decode(data, type=dict[str, Any])
        found = raw.get("format")
        if isinstance(found, int) and found > FORMAT:
            raise NewerFormatError(
                f"{where} has format {found}, this program reads up to {FORMAT}", mend="update longshore here"
            )
        return msgspec.convert(raw, form)
    except UNREADABLE as error:
        raise FormatError(
            f"{where} is damaged ({error})", mend="restore the file from a copy of the registry"
        ) from error


def decode_manifest(data: bytes, where: str) -> dict[str, Any]:
    """A manifest as plain values; see `decode` for the errors."""
    decode(data, _Manifest, where)
    return decode(data, dict[str, Any], where)
