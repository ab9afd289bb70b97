"""What a version must pass before it scores anything: pure, in an order in which nothing unproven is ever parsed.

1. the manifest: a format this program knows, and a trusted signature, wherever one is demanded (always for a pickled
   pipeline)
2. what it says: this model, this version, the pointer's bytes, columns that the schema has
3. the bytes: size and sha256 as the manifest says
4. only then the model is loaded, and tried: one row, a batch, the golden rows

Where manifest and bytes come from, and what a refusal leads to, is `longshore.scorer.models`' business.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from longshore.columns import Columns
from longshore.errors import FormatError, IntegrityError, LongshoreError, SignatureError, UnavailableError
from longshore.manifest import FILES, SERVING, Golden, Needs, Stated, as_columns, deviation, golden_columns
from longshore.schema import Schema
from longshore.served_model import Served, ServedModel, ServedPipeline
from longshore.signing import Keyring

TRIED_ROWS = 512
"""One call of so many rows takes the path that full slices take; more would cost the replicas' cores, all at once."""

LOADERS: Mapping[str, Callable[[bytes], Served]] = {"onnx": ServedModel.load, "joblib": ServedPipeline.load}


class Reason(StrEnum):
    """Why a version is not served: the label of the metric."""

    MISSING = "missing"
    UNCONFIRMED = "unconfirmed"
    FORMAT = "format"
    WRONG_VERSION = "wrong_version"
    UNSIGNED = "unsigned"
    UNKNOWN_KEY = "unknown_key"
    BAD_SIGNATURE = "bad_signature"
    SCHEMA = "schema"
    DAMAGED = "damaged"
    UNREADABLE = "unreadable"
    FAILED = "failed"
    GOLDEN = "golden"


class RefusedError(LongshoreError):
    """A check was not passed; `reason` is its class."""

    def __init__(self, reason: Reason, what: str) -> None:
        super().__init__(what)
        self.reason = reason

    @classmethod
    def of(cls, error: LongshoreError) -> RefusedError:
        """The same error as a refusal."""
        if isinstance(error, RefusedError):
            return error
        if isinstance(error, SignatureError):
            return cls(Reason(error.kind), str(error))
        kinds = {UnavailableError: Reason.MISSING, IntegrityError: Reason.DAMAGED, FormatError: Reason.FORMAT}
        return cls(next((kinds[kind] for kind in kinds if isinstance(error, kind)), Reason.FAILED), str(error))


@dataclass(frozen=True, slots=True)
class Refusal:
    """A version that a champion's move would have brought into use, and why it was not."""

    version: str
    generation: int
    reason: Reason
    text: str


@dataclass(frozen=True, slots=True)
class Candidate:
    """A pointer to the champion: enough to fetch it and to know whether it is news.

    `sha256` (of `file`) and `manifest` are empty where whoever found it does not know them.
    """

    version: str
    generation: int
    sha256: str
    manifest: str = ""
    file: str = FILES["onnx"]


@dataclass(frozen=True, slots=True)
class Admitted:
    """What may be loaded once its bytes are as said; `size` None where no manifest says it."""

    sha256: str
    size: int | None = None
    needs: Needs | None = None
    golden: Golden | None = None
    signed_by: str = ""
    half_width: float | None = None


@dataclass(frozen=True, slots=True)
class Rules:
    """What is asked of every version: the schema's columns, the model's name (empty: any) and the served format.

    `interval`: the level of the intervals to be published with predictions (None: none are).
    """

    schema: Schema
    model: str = ""
    format: str = "onnx"
    interval: float | None = None

    def admit(self, candidate: Candidate, stated: Stated | None, keyring: Keyring) -> Admitted:
        """What a manifest lets through to loading; without one the pointer's sha256 must do, where that is allowed.

        Raises:
            RefusedError: the version is not the pointer's, not for here, or not signed as it must be.

        """
        signed = self.format == "joblib" or keyring.enforced
        if stated is None:
            if candidate.manifest or not candidate.sha256:
                raise RefusedError(Reason.MISSING, "its manifest is nowhere")
            if signed:
                raise RefusedError(Reason.UNSIGNED, "there is no manifest, so nothing is signed")
            return Admitted(candidate.sha256)
        signer = keyring.verify(stated.document, stated.signatures) if signed else ""
        self._identity(candidate, stated)
        self._fits(stated.manifest.needs)
        entry = stated.manifest.files.get(FILES[self.format])
        if entry is None:
            raise RefusedError(Reason.FORMAT, f"version has no {FILES[self.format]}")
        found, half_width = stated.manifest, stated.manifest.half_width(self.interval)
        return Admitted(entry.sha256, entry.bytes, found.needs, found.golden, signer, half_width)

    def load(self, data: bytes, admitted: Admitted) -> Served:
        """The model of bytes that are what the manifest says, tried as it will be used.

        Raises:
            RefusedError: they are not, or the model cannot be loaded, does not answer or answers otherwise than it did.

        """
        check_bytes(data, admitted)
        try:
            model = LOADERS[self.format](data)
        except LongshoreError as error:
            raise RefusedError(Reason.UNREADABLE, str(error)) from error
        try:
            self._try_out(model, admitted)
        except RefusedError:
            raise
        except Exception as error:  # a model's library raises whatever it likes
            raise RefusedError(Reason.FAILED, f"{type(error).__name__}: {error}") from error
        return model

    def _identity(self, candidate: Candidate, stated: Stated) -> None:
        found, onnx = stated.manifest, stated.manifest.files.get(FILES["onnx"])
        if found.version != candidate.version:
            raise RefusedError(Reason.WRONG_VERSION, f"the manifest is of {found.version}, not of {candidate.version}")
        if self.model and found.model and found.model != self.model:
            raise RefusedError(Reason.WRONG_VERSION, f"the manifest is of model {found.model}, not of {self.model}")
        if candidate.sha256 and (onnx is None or onnx.sha256 != candidate.sha256):
            raise RefusedError(
                Reason.WRONG_VERSION, f"the pointer names other bytes ({candidate.sha256[:12]}…) than its manifest"
            )

    def _fits(self, needs: Needs | None) -> None:
        if needs is None:
            return
        if needs.serving > SERVING:
            raise RefusedError(
                Reason.FORMAT, f"version needs serving contract {needs.serving}, this program has {SERVING}: update it"
            )
        problems = [] if needs.target == self.schema.target else [f"it predicts {needs.target}"]
        for kind, wanted, there in (
            ("numeric", needs.numeric, self.schema.numeric),
            ("nominal", needs.nominal, self.schema.nominal),
        ):
            missing = sorted(set(wanted) - {field.name for field in there})
            problems += [f"it needs the {kind} columns {', '.join(missing)}"] if missing else []
        if problems:
            raise RefusedError(Reason.SCHEMA, f"{'; '.join(problems)}: not what schema {self.schema.name} has")

    def _try_out(self, model: Served, admitted: Admitted) -> None:
        """One row and a batch, so that the first real ones meet nothing new; the golden rows alone and in the batch."""
        golden = admitted.golden
        rows = golden_columns(golden, admitted.needs, self.schema) if golden and admitted.needs else self._nothing()
        for count in (1, max(TRIED_ROWS, len(rows))):
            answers = model.predict(rows.take(np.resize(np.arange(len(rows)), count)))
            if answers.shape != (count,) or not np.isfinite(answers).all():
                raise RefusedError(Reason.FAILED, "the model does not answer a finite number for every row")
        if golden and admitted.needs:
            apart = max(deviation(model.predict(rows), golden), deviation(answers[: len(rows)], golden))
            if not apart <= golden.tolerance:
                raise RefusedError(
                    Reason.GOLDEN,
                    f"answers differ by {apart:.2g} from those the version gave when it was made"
                    f" (allowed: {golden.tolerance:g}, on {len(rows)} rows)",
                )

    def _nothing(self) -> Columns:
        """A row of missing values: for versions without golden rows."""
        return as_columns(
            self.schema, np.full((1, len(self.schema.numeric)), np.nan), [[None]] * len(self.schema.nominal)
        )


def check_bytes(data: bytes, admitted: Admitted) -> None:
    """Refuse bytes that are not those the manifest (or the pointer) names."""
    if admitted.size is not None and len(data) != admitted.size:
        raise RefusedError(Reason.DAMAGED, f"{len(data)} bytes, not {admitted.size}")
    found = hashlib.sha256(data).hexdigest()
    if found != admitted.sha256:
        raise RefusedError(Reason.DAMAGED, f"sha256 is {found[:12]}…, not {admitted.sha256[:12]}…")
