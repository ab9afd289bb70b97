"""The Open Inference Protocol's messages: a request's bytes to checked columns, predictions to a response's bytes.

Knows the protocol and the schema's feature names; knows nothing of HTTP but the one header of the binary extension.
https://github.com/open-inference/open-inference-protocol, binary data:
https://github.com/triton-inference-server/server/blob/main/docs/protocol/extension_binary_data.md
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np

from longshore.columns import Floats
from longshore.errors import LongshoreError
from longshore.records import UNREADABLE
from longshore.schema import Field, Kind, Schema
from longshore.scorer.serving import tensors
from longshore.scorer.serving.tensors import TensorError, Values

OUTPUT = "prediction"
EXTENSIONS = ["binary_tensor_data"]
JSON_LENGTH = "inference-header-content-length"
"""The header that says how much of a body with binary data is JSON."""

UNSUPPORTED = ("classification", "shared_memory_region")
"""Parameters of tensors that change what comes back: better refused than passed over."""


class RefusedError(LongshoreError):
    """A request that gets an answer other than 200: its status, what was found, and the bad rows where it has any."""

    def __init__(self, status: int, message: str, *, rejects: list[dict[str, Any]] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.rejects = rejects or []


class _Input(msgspec.Struct):
    name: str
    shape: list[int]
    datatype: str
    parameters: dict[str, Any] | None = None
    data: Any = msgspec.UNSET


class _Output(msgspec.Struct):
    name: str
    parameters: dict[str, Any] | None = None


class _Request(msgspec.Struct):
    inputs: list[_Input]
    id: str | None = None
    parameters: dict[str, Any] | None = None
    outputs: list[_Output] | None = None


@dataclass(frozen=True, slots=True)
class Inference:
    """A request as the scorer needs it: `rows` values for each feature that was given, and the form of the answer."""

    rows: int
    columns: dict[str, Values]
    id: str | None = None
    shape: tuple[int, ...] = ()
    binary: bool = False


_decoder = msgspec.json.Decoder(_Request)


def parse(body: bytes, json_length: str | None, schema: Schema, max_rows: int) -> Inference:
    """A request's body as columns.

    Raises:
        RefusedError: it is not the protocol's, or not this schema's.

    """
    head, rest = _split(body, json_length)
    try:
        request = _decoder.decode(head)
    except UNREADABLE as error:
        raise RefusedError(400, f"the request is not the protocol's JSON: {error}") from error
    rows, shape = _rows(request.inputs, max_rows)
    return Inference(rows, _columns(request.inputs, rest, schema), request.id, shape, _binary(request))


def _split(body: bytes, json_length: str | None) -> tuple[bytes, memoryview]:
    if json_length is None:
        return body, memoryview(b"")
    digits = json_length.isascii() and json_length.isdigit() and len(json_length) <= 10
    if not (digits and int(json_length) <= len(body)):
        raise RefusedError(
            400, f"Inference-Header-Content-Length is {json_length[:20]!r}, the body has {len(body)} bytes"
        )
    return body[: int(json_length)], memoryview(body)[int(json_length) :]


def _rows(inputs: list[_Input], max_rows: int) -> tuple[int, tuple[int, ...]]:
    if not inputs:
        raise RefusedError(400, "the request has no inputs")
    for tensor in inputs:
        if len(tensor.shape) not in (1, 2) or tensor.shape[1:] not in ([], [1]):
            raise RefusedError(400, f"input {tensor.name!r} has shape {tensor.shape}, not [N] or [N, 1]")
        if tensor.shape[0] != inputs[0].shape[0]:
            names = f"{inputs[0].name!r} has {inputs[0].shape[0]} rows and {tensor.name!r} {tensor.shape[0]}"
            raise RefusedError(400, f"inputs of one request have the same rows; {names}")
    rows = inputs[0].shape[0]
    if rows < 1:
        raise RefusedError(400, f"the request has {rows} rows, it needs one at least")
    if rows > max_rows:
        raise RefusedError(413, f"the request has {rows} rows, {max_rows} is the most; send it in parts")
    return rows, tuple(inputs[0].shape)


def _columns(inputs: list[_Input], rest: memoryview, schema: Schema) -> dict[str, Values]:
    fields = {field.name: field for field in schema.fields}
    columns: dict[str, Values] = {}
    at = 0
    for tensor in inputs:
        field = fields.get(tensor.name)
        if field is None:
            raise RefusedError(400, f"there is no input {tensor.name!r}; there are {', '.join(fields)}")
        if tensor.name in columns:
            raise RefusedError(400, f"input {tensor.name!r} is there twice")
        size = _check(tensor, field)
        try:
            if size is None:
                columns[tensor.name] = tensors.from_json(tensor.data, tensor.datatype, tensor.shape)
            else:
                columns[tensor.name] = tensors.from_bytes(rest[at : at + size], tensor.datatype, tensor.shape[0])
                at += size
        except TensorError as error:
            raise RefusedError(400, f"input {tensor.name!r}: {error}") from error
    if at != len(rest):
        raise RefusedError(400, f"the body has {len(rest)} bytes of binary data, its inputs account for {at}")
    missing = [field.name for field in schema.fields if not field.nullable and field.name not in columns]
    if missing:
        raise RefusedError(400, f"the request lacks the inputs {', '.join(missing)}")
    return columns


def _check(tensor: _Input, field: Field) -> int | None:
    """The datatype fits the field; the size of the binary data, None where the data is JSON."""
    allowed = list(tensors.NUMBERS) if field.kind is Kind.NUMERIC else [tensors.TEXT]
    if tensor.datatype not in allowed:
        raise RefusedError(
            400, f"input {tensor.name!r} has datatype {tensor.datatype!r}, it takes {', '.join(allowed)}"
        )
    parameters = tensor.parameters or {}
    _refuse_unsupported(tensor.name, parameters)
    size = parameters.get("binary_data_size")
    if size is None:
        if tensor.data is msgspec.UNSET:
            raise RefusedError(400, f"input {tensor.name!r} has neither data nor binary_data_size")
        return None
    if type(size) is not int or size < 0 or tensor.data is not msgspec.UNSET:
        raise RefusedError(400, f"input {tensor.name!r} has binary_data_size {size!r}, or data besides it")
    return size


def _refuse_unsupported(name: str, parameters: dict[str, Any]) -> None:
    for parameter in UNSUPPORTED:
        if parameter in parameters:
            raise RefusedError(400, f"{name!r}: the parameter {parameter} is not supported")


def _binary(request: _Request) -> bool:
    """Whether the prediction goes back as binary data."""
    binary = bool((request.parameters or {}).get("binary_data_output", False))
    for output in request.outputs or []:
        if output.name != OUTPUT:
            raise RefusedError(400, f"there is no output {output.name!r}; there is {OUTPUT}")
        parameters = output.parameters or {}
        _refuse_unsupported(output.name, parameters)
        binary = bool(parameters.get("binary_data", binary))
    return binary


def response(
    inference: Inference, predictions: Floats, *, name: str, version: str, generation: int
) -> tuple[bytes, int | None]:
    """The response's body, and the length of its JSON where binary data follows it."""
    output: dict[str, Any] = {"name": OUTPUT, "datatype": "FP64", "shape": inference.shape}
    data = b""
    if inference.binary:
        data = np.ascontiguousarray(predictions, dtype="<f8").tobytes()
        output["parameters"] = {"binary_data_size": len(data)}
    else:
        output["data"] = predictions.tolist()
    answer: dict[str, Any] = {"model_name": name, "model_version": version}
    if inference.id is not None:
        answer["id"] = inference.id
    head = msgspec.json.encode(answer | {"parameters": {"generation": generation}, "outputs": [output]})
    return head + data, len(head) if inference.binary else None


def model_metadata(schema: Schema, name: str, version: str) -> dict[str, Any]:
    """What `GET /v2/models/<name>` says."""
    inputs = [
        {"name": field.name, "datatype": "FP64" if field.kind is Kind.NUMERIC else tensors.TEXT, "shape": [-1]}
        for field in schema.fields
    ]
    outputs = [{"name": OUTPUT, "datatype": "FP64", "shape": [-1]}]
    return {"name": name, "versions": [version], "platform": "onnxruntime_onnx", "inputs": inputs, "outputs": outputs}
