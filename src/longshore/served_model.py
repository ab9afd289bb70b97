"""A model as it is served: ONNX bytes that say which columns they want, or a pickled pipeline; one call a batch.

The contract with whoever exports a model: inputs `numeric` (float32 [N, k], NaN = missing) and `nominal`
(string [N, c], "" = missing), either absent where it has no columns; one output `prediction` (float32 [N, 1]); the
column names, in order, as JSON lists in the metadata `longshore.numeric` and `longshore.nominal`.
"""

from __future__ import annotations

import hashlib
import io
from typing import Any, Protocol

import joblib
import msgspec
import numpy as np
import onnxruntime
import structlog
from threadpoolctl import ThreadpoolController  # type: ignore[import-untyped]

from longshore.columns import Columns, Floats
from longshore.errors import FormatError
from longshore.flat_trees import flattened

log = structlog.get_logger()

SLICE_ROWS, FLAT_SLICE_ROWS = 4_096, 2_048
"""Rows in one call: large enough to amortise it, and the interpreter's lock, small enough for what it holds meanwhile:
of flat trees 13 to 30 MB."""
FLAT_FROM = 256
"""Rows: with fewer, trees that are walked answer sooner than flat ones (`longshore.flat_trees`)."""


class Served(Protocol):
    """Whatever answers a batch of records. It is immutable and may be shared between threads."""

    sha256: str

    def predict(self, columns: Columns) -> Floats:
        """Predictions, float64[n], in the order of `columns`."""


class ServedModel:
    """A loaded model. It is immutable and may be shared between threads.

    `flat`: the same model for large batches, where there is one.
    """

    def __init__(self, session: Any, sha256: str, flat: Any = None) -> None:
        self.sha256 = sha256
        self._session = session
        self._flat = flat
        metadata = session.get_modelmeta().custom_metadata_map
        self.numeric: tuple[str, ...] = _names(metadata, "longshore.numeric")
        self.nominal: tuple[str, ...] = _names(metadata, "longshore.nominal")

    @classmethod
    def load(cls, data: bytes) -> ServedModel:
        """Load ONNX bytes, whose sha256 the caller has checked.

        Raises:
            FormatError: they are not a model that keeps the contract above.

        """
        try:
            session = _session(data)
        except Exception as error:  # onnxruntime's exceptions share no base class but Exception
            raise FormatError(f"model is not ONNX that can be served: {error}", mend="retrain or roll back") from error
        model = cls(session, hashlib.sha256(data).hexdigest(), _flat(data))
        model._check_contract()
        return model

    def predict(self, columns: Columns) -> Floats:
        """Predictions, float64[n], in the order of `columns`.

        Raises:
            FormatError: the model wants a column that the schema does not have.

        """
        inputs = self._inputs(columns)
        count = len(columns)
        parts, step = [], FLAT_SLICE_ROWS if self._flat else SLICE_ROWS
        for at in range(0, count, step):
            session = self._session if self._flat is None or count - at < FLAT_FROM else self._flat
            part = {name: values[at : at + step] for name, values in inputs.items()}
            parts.append(session.run(["prediction"], part)[0])
        return np.concatenate(parts).reshape(count).astype(np.float64) if parts else np.empty(0)

    def _inputs(self, columns: Columns) -> dict[str, Any]:
        inputs: dict[str, Any] = {}
        if self.numeric:
            order = _positions(self.numeric, [field.name for field in columns.schema.numeric])
            with np.errstate(over="ignore"):  # beyond float32 a number is infinite to the model, which then says so
                inputs["numeric"] = np.ascontiguousarray(columns.numeric[:, order], dtype=np.float32)
        if self.nominal:
            order = _positions(self.nominal, [field.name for field in columns.schema.nominal])
            values = np.empty((len(columns), len(order)), dtype=object)
            for i, position in enumerate(order):
                values[:, i] = ["" if value is None else value for value in columns.nominal[position]]
            inputs["nominal"] = values
        return inputs

    def _check_contract(self) -> None:
        wanted = {name for name, columns in (("numeric", self.numeric), ("nominal", self.nominal)) if columns}
        found = {item.name for item in self._session.get_inputs()}
        outputs = {item.name for item in self._session.get_outputs()}
        if found != wanted or "prediction" not in outputs:
            raise FormatError(
                f"model has inputs {sorted(found)} and outputs {sorted(outputs)}, not {sorted(wanted)} and prediction",
                mend="export it with `longshore train`",
            )


def _flat(data: bytes) -> Any:
    """The same with flat trees; None where that cannot be, for whatever reason: then they are walked."""
    try:
        flat = flattened(data)
        return None if flat is None else _session(flat)
    except Exception as error:  # of onnx, numpy or onnxruntime, at a form that nobody has thought of
        log.warning("trees are walked in large batches, too", error=f"{type(error).__name__}: {error}")
        return None


def _session(data: bytes) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    # Patterns are remembered for each number of rows, and each holds twice what the nodes need one after the other.
    options.enable_mem_pattern = False
    # The further levels rewrite neural networks: for trees they bring nothing, and a quarter of the time to load.
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    return onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])


class ServedPipeline:
    """A scikit-learn pipeline as the trainer made it: slower than ONNX, and exactly what was fitted."""

    def __init__(self, pipeline: Any, sha256: str) -> None:
        self.sha256 = sha256
        self.pipeline = pipeline
        self._threads = ThreadpoolController()

    @classmethod
    def load(cls, data: bytes) -> ServedPipeline:
        """Unpickle a pipeline. **This runs whatever code the bytes name**: the caller has verified who signed them.

        Raises:
            FormatError: they are no pipeline that this program's libraries can load.

        """
        try:
            pipeline = joblib.load(io.BytesIO(data))
        except Exception as error:  # unpickling raises whatever the objects raise
            raise FormatError(
                f"pipeline cannot be loaded ({type(error).__name__}: {error})",
                mend="serve it with the libraries named in its manifest, or serve ONNX",
            ) from error
        if not hasattr(pipeline, "predict"):
            raise FormatError(f"pipeline is a {type(pipeline).__name__}", mend="make it with `longshore train`")
        return cls(pipeline, hashlib.sha256(data).hexdigest())

    def predict(self, columns: Columns) -> Floats:
        """What the pipeline answers; on one thread, as ONNX does (OpenMP's threads would wait for the scoring loop)."""
        if not len(columns):
            return np.empty(0)
        with self._threads.limit(limits=1, user_api="openmp"):
            return np.asarray(self.pipeline.predict(columns.frame()), dtype=np.float64)


def _names(metadata: dict[str, str], key: str) -> tuple[str, ...]:
    try:
        return tuple(msgspec.json.decode(metadata.get(key, ""), type=list[str]))
    except msgspec.MsgspecError as error:
        raise FormatError(
            f"model's metadata {key} is not a list of names", mend="export it with `longshore train`"
        ) from error


def _positions(wanted: tuple[str, ...], available: list[str]) -> list[int]:
    missing = [name for name in wanted if name not in available]
    if missing:
        raise FormatError(
            f"model wants columns the schema lacks: {missing}", mend="serve it with the schema it was trained on"
        )
    return [available.index(name) for name in wanted]
