"""The protocol over HTTP without a process: each tensor form, each refusal and its reason, the stream's verdicts.

The application is the real one; the model is a sum, so that each answer tells which row it belongs to.
"""

from __future__ import annotations

import asyncio
import functools
import json
import math
import struct
import threading
from collections.abc import Iterator
from typing import Any

import httpx
import numpy as np
import pytest
import uvicorn
from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs
from uvicorn.server import ServerState

from longshore.codec import Codec
from longshore.columns import Columns, Floats
from longshore.config import ServeSettings
from longshore.profile import Profile, StreamProfile
from longshore.schema import Field, Kind, Schema, districts
from longshore.scorer.models import Active
from longshore.scorer.score import score
from longshore.scorer.serving import limits, protocol
from longshore.scorer.serving.answers import Answer, Answers, Job
from longshore.scorer.serving.app import Parts, Server
from longshore.scorer.serving.batching import Batcher, BusyError
from longshore.scorer.serving.page import coordinates, describe
from longshore.scorer.serving.protocol import RefusedError

SCHEMA = Schema(
    name="wells",
    topic="wells",
    key="well",
    target="depth",
    fields=(
        Field("east", Kind.NUMERIC, minimum=-180, maximum=180),
        Field("level", Kind.NUMERIC, nullable=False, minimum=0),
        Field("soil", Kind.NOMINAL),
    ),
)
LIMITS = ServeSettings(max_body_bytes=20_000, max_request_rows=50)


class Sum:
    """East, 0 where missing, and 1,000 × level, and 1 where the soil is known."""

    def predict(self, columns: Columns) -> Floats:
        known = np.array([bool(value) for value in columns.nominal[0]], dtype=float)  # "" is "missing", as in ONNX
        found: Floats = np.nan_to_num(columns.numeric[:, 0]) + 1_000 * columns.numeric[:, 1] + known
        return found


ACTIVE: Any = Active("v3", 7, Sum())  # type: ignore[arg-type]


class Client:
    """The application without a socket, in one event loop."""

    def __init__(self, server: Server, *, raising: bool = True) -> None:
        transport = httpx.ASGITransport(server.app, raise_app_exceptions=raising)
        self._client = httpx.AsyncClient(transport=transport, base_url="http://serve")
        self._loop = asyncio.Runner()

    def request(self, method: str, path: str, **given: Any) -> httpx.Response:
        return self._loop.run(self._client.request(method, path, **given))

    def get(self, path: str) -> httpx.Response:
        return self.request("GET", path)

    def post(self, path: str, **given: Any) -> httpx.Response:
        return self.request("POST", path, **given)

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *args: object) -> None:
        self._loop.close()


def parts(active: Any = ACTIVE, schema: Schema = SCHEMA) -> Parts:
    def page() -> dict[str, Any]:
        return describe(schema, "default", active, None, None)

    def good() -> tuple[bool, str]:
        return active is not None, "as it is"

    return Parts(
        "default", schema, LIMITS, lambda: active, page, {"/": ("text/html", b"page")}, lambda: (True, ""), good
    )


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    with Client(Server(parts())) as client:
        yield client


def tensor(name: str, datatype: str, data: Any, shape: list[int] | None = None) -> dict[str, Any]:
    return {"name": name, "datatype": datatype, "shape": shape or [len(data)], "data": data}


LEVEL = tensor("level", "FP64", [2, 3])


def infer(client: Client, *inputs: dict[str, Any], **more: Any) -> Any:
    return client.post("/v2/models/default/infer", json={"inputs": list(inputs), **more})


def test_metadata_and_health_have_the_protocols_shapes(client: Client) -> None:
    server = client.get("/v2").json()
    assert (server["name"], server["extensions"]) == ("longshore", ["binary_tensor_data"])
    assert server["version"]
    assert client.get("/v2/health/live").json() == {"live": True}
    assert client.get("/v2/health/ready").json() == {"ready": True}
    for path in ("/v2/models/default", "/v2/models/default/versions/v3"):
        assert client.get(path).json() == {
            "name": "default",
            "versions": ["v3"],
            "platform": "onnxruntime_onnx",
            "inputs": [
                {"name": "east", "datatype": "FP64", "shape": [-1]},
                {"name": "level", "datatype": "FP64", "shape": [-1]},
                {"name": "soil", "datatype": "BYTES", "shape": [-1]},
            ],
            "outputs": [{"name": "prediction", "datatype": "FP64", "shape": [-1]}],
        }
        assert client.get(f"{path}/ready").json() == {"name": "default", "ready": True}


def test_an_answer_names_its_request_its_model_and_the_generation(client: Client) -> None:
    answer = infer(client, tensor("east", "FP32", [1.5, None]), LEVEL, tensor("soil", "BYTES", ["clay", ""]), id="q1")
    assert answer.status_code == 200
    assert answer.json() == {
        "model_name": "default",
        "model_version": "v3",
        "id": "q1",
        "parameters": {"generation": 7},
        "outputs": [{"name": "prediction", "datatype": "FP64", "shape": [2], "data": [2_002.5, 3_000.0]}],
    }


@pytest.mark.parametrize(
    ("data", "shape"), [([2, 3], [2]), ([2, 3], [2, 1]), ([[2], [3]], [2, 1])], ids=["[N]", "[N,1] flat", "nested"]
)
def test_data_may_be_flat_or_nested(client: Client, data: Any, shape: list[int]) -> None:
    (output,) = infer(client, tensor("level", "INT64", data, shape)).json()["outputs"]
    assert output == {"name": "prediction", "datatype": "FP64", "shape": shape, "data": [2_000.0, 3_000.0]}


def test_a_binary_request_gets_a_binary_answer_where_it_asks(client: Client) -> None:
    soil = b"".join(struct.pack("<I", len(text)) + text for text in (b"clay", b""))
    level, east = np.array([2, 3], "<u2").tobytes(), np.array([np.nan, 0.5], "<f4").tobytes()
    inputs = [
        {"name": name, "datatype": datatype, "shape": [2], "parameters": {"binary_data_size": len(data)}}
        for name, datatype, data in (("soil", "BYTES", soil), ("level", "UINT16", level), ("east", "FP32", east))
    ]
    outputs = [{"name": "prediction", "parameters": {"binary_data": True}}]
    head = json.dumps({"inputs": inputs, "outputs": outputs}).encode()
    answer = client.post(
        "/v2/models/default/versions/v3/infer",
        content=head + soil + level + east,
        headers={"Inference-Header-Content-Length": str(len(head))},
    )
    length = int(answer.headers["Inference-Header-Content-Length"])
    (output,) = json.loads(answer.content[:length])["outputs"]
    assert output["parameters"] == {"binary_data_size": 16}
    assert np.frombuffer(answer.content[length:], "<f8").tolist() == [2_001.0, 3_000.5]


REFUSED = {
    "not JSON": ({"content": b"{"}, 400, "not the protocol's JSON"),
    "nothing": ({"content": b""}, 400, "not the protocol's JSON"),
    "not UTF-8": ({"content": b'{"inputs": [], "id": "\xff"}'}, 400, "not the protocol's JSON"),
    "nested deeply": ({"content": b'{"inputs": ' + b"[" * 9_000 + b"]" * 9_000 + b"}"}, 400, "not the protocol's JSON"),
    "a list": ({"json": []}, 400, "not the protocol's JSON"),
    "NaN in JSON": ({"content": json.dumps({"inputs": [tensor("level", "FP64", [math.nan])]})}, 400, "JSON"),
    "no inputs": ({"json": {"inputs": []}}, 400, "no inputs"),
    "unknown input": ({"json": {"inputs": [LEVEL, tensor("depth", "FP64", [1, 2])]}}, 400, "no input 'depth'"),
    "twice": ({"json": {"inputs": [LEVEL, LEVEL]}}, 400, "'level' is there twice"),
    "lacking": ({"json": {"inputs": [tensor("east", "FP64", [1])]}}, 400, "lacks the inputs level"),
    "no rows": ({"json": {"inputs": [tensor("level", "FP64", [], [0])]}}, 400, "0 rows"),
    "a negative shape": ({"json": {"inputs": [tensor("level", "FP64", [], [-1])]}}, 400, "-1 rows"),
    "a matrix": ({"json": {"inputs": [tensor("level", "FP64", [1, 2], [1, 2])]}}, 400, "not [N] or [N, 1]"),
    "other rows": ({"json": {"inputs": [LEVEL, tensor("east", "FP64", [1])]}}, 400, "same rows"),
    "too few": ({"json": {"inputs": [tensor("level", "FP64", [1], [2])]}}, 400, "has 1 elements"),
    "badly nested": ({"json": {"inputs": [tensor("level", "FP64", [[1, 2]], [2, 1])]}}, 400, "nested"),
    "unknown datatype": ({"json": {"inputs": [tensor("level", "FP8", [1])]}}, 400, "datatype 'FP8'"),
    "text for a number": ({"json": {"inputs": [tensor("level", "BYTES", ["1"])]}}, 400, "datatype 'BYTES'"),
    "text in numbers": ({"json": {"inputs": [tensor("level", "FP64", ["1"])]}}, 400, "row 0 is '1'"),
    "true in numbers": ({"json": {"inputs": [tensor("level", "FP64", [True])]}}, 400, "row 0 is True"),
    "a fraction": ({"json": {"inputs": [tensor("level", "INT8", [1.5])]}}, 400, "not an integer"),
    "beyond INT8": ({"json": {"inputs": [tensor("level", "INT8", [1, 200])]}}, 400, "row 1 is 200"),
    "beyond all": (
        {"content": b'{"inputs":[{"name":"level","datatype":"FP64","shape":[1],"data":[1e999]}]}'}, 400, "JSON",
    ),
    "many digits": (
        {"content": b'{"inputs":[{"name":"level","datatype":"FP64","shape":[1],"data":[1' + b"0" * 400 + b"]}]}"},
        400,
        "",
    ),
    "a number as text": ({"json": {"inputs": [LEVEL, tensor("soil", "BYTES", ["a", 3])]}}, 400, "row 1 is 3"),
    "half a surrogate": (
        {"content": b'{"inputs":[{"name":"soil","datatype":"BYTES","shape":[1],"data":["\\ud800"]}]}'}, 400, "JSON",
    ),
    "too many rows": ({"json": {"inputs": [tensor("level", "FP64", [1] * 51)]}}, 413, "50 is the most"),
    "too large": ({"content": b"x" * 20_001}, 413, "20000 bytes"),
    "compressed": ({"content": b"x", "headers": {"Content-Encoding": "gzip"}}, 415, "gzip"),
    "unknown output": ({"json": {"inputs": [LEVEL], "outputs": [{"name": "price"}]}}, 400, "no output 'price'"),
    "classes": (
        {"json": {"inputs": [LEVEL], "outputs": [{"name": "prediction", "parameters": {"classification": 2}}]}},
        400, "classification is not supported",
    ),
    "no data": ({"json": {"inputs": [{"name": "level", "datatype": "FP64", "shape": [1]}]}}, 400, "neither data"),
    "a length beyond": ({"json": {}, "headers": {"Inference-Header-Content-Length": "999"}}, 400, "has 2 bytes"),
    "a length of nonsense": ({"json": {}, "headers": {"Inference-Header-Content-Length": "-1"}}, 400, "'-1'"),
    "binary data left over": (
        {"content": b'{"inputs":[{"name":"level","datatype":"FP64","shape":[1],"data":[1]}]}??',
         "headers": {"Inference-Header-Content-Length": "70"}}, 400, "account for 0",
    ),
    "below the minimum": ({"json": {"inputs": [tensor("level", "FP64", [1, -1])]}}, 400, "row 1, level = -1.0"),
    "null where none may be": ({"json": {"inputs": [tensor("level", "FP64", [None])]}}, 400, "row 0, level = None"),
}  # fmt: skip


@pytest.mark.parametrize("kind", REFUSED)
def test_what_is_wrong_is_refused_with_its_reason(client: Client, kind: str) -> None:
    request, status, reason = REFUSED[kind]
    answer = client.post("/v2/models/default/infer", **request)
    assert answer.status_code == status, answer.text
    assert reason in answer.json()["error"]


def test_infinity_in_binary_data_is_refused_as_the_stream_refuses_it(client: Client) -> None:
    """In a nullable field: JSON has no infinity, and an encoder that wrote null would make it a missing value."""
    data = np.array([1, np.inf], "<f8").tobytes()
    inputs = [LEVEL, {"name": "east", "datatype": "FP64", "shape": [2], "parameters": {"binary_data_size": 16}}]
    head = json.dumps({"inputs": inputs}).encode()
    headers = {"Inference-Header-Content-Length": str(len(head))}
    answer = client.post("/v2/models/default/infer", content=head + data, headers=headers)
    assert answer.status_code == 400
    assert "row 1, east = 'inf'" in answer.json()["error"]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v2/models/other", 404),
        ("POST", "/v2/models/other/infer", 404),
        ("POST", "/v2/models/default/versions/v2/infer", 404),
        ("GET", "/v2/models/default/versions/v2/ready", 404),
        ("GET", "/v2/nothing", 404),
        ("GET", "/v2/models/default/infer", 405),
        ("DELETE", "/v2", 405),
    ],
)
def test_errors_are_json_with_the_status_that_fits(client: Client, method: str, path: str, status: int) -> None:
    answer = client.request(method, path, json={"inputs": [LEVEL]})
    assert answer.status_code == status
    assert answer.json()["error"]


def test_another_version_is_told_which_one_is_served(client: Client) -> None:
    error = client.post("/v2/models/default/versions/v2/infer", json={"inputs": [LEVEL]}).json()["error"]
    assert "v2" in error and "v3 is" in error


def test_before_there_is_a_model_everything_says_so() -> None:
    with Client(Server(parts(None))) as client:
        for answer in (infer(client, LEVEL), client.get("/v2/health/ready"), client.get("/v2/models/default/ready")):
            assert answer.status_code == 503
        assert infer(client, LEVEL).headers["Retry-After"] == "1"
        assert client.get("/v2/health/live").status_code == 200


def test_a_bug_is_a_500_in_json_and_the_next_request_is_served() -> None:
    class Broken(Sum):
        broken = True

        def predict(self, columns: Columns) -> Floats:
            if self.broken:
                raise ZeroDivisionError
            return super().predict(columns)

    model = Broken()
    with capture_logs() as logs, Client(Server(parts(Active("v3", 7, model))), raising=False) as client:  # type: ignore[arg-type]
        assert infer(client, LEVEL).status_code == 500
        assert infer(client, LEVEL).json()["error"].startswith("internal error")
        assert isinstance(logs[0]["exc_info"], ZeroDivisionError)
        model.broken = False
        assert infer(client, LEVEL).status_code == 200


def test_the_page_takes_nothing_from_elsewhere(client: Client) -> None:
    answer = client.get("/")
    policy = answer.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'")
    assert "unsafe" not in policy and "http" not in policy and "*" not in policy
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_requests_are_counted_by_route_and_code(client: Client) -> None:
    def count(code: str) -> float:
        name = f'longshore_serve_requests_total{{code="{code}",route="infer"}} '
        lines = client.get("/metrics").text.splitlines()
        return next((float(line.removeprefix(name)) for line in lines if line.startswith(name)), 0.0)

    before = count("200"), count("400")
    infer(client, LEVEL)
    infer(client)
    assert (count("200"), count("400")) == (before[0] + 1, before[1] + 1)
    assert 'longshore_serve_seconds_bucket{le="0.01",route="infer"}' in client.get("/metrics").text


# What is refused here is what would be a dead letter there.

VALUES = {
    Kind.NUMERIC: st.one_of(
        st.none(), st.floats(), st.floats(-200, 200), st.sampled_from([-180.0, 180.0, 180.5, math.inf, math.nan])
    ),
    Kind.NOMINAL: st.one_of(st.none(), st.text(st.characters(exclude_categories=["Cs"]), max_size=5)),
}


@given(
    st.lists(st.fixed_dictionaries({field.name: VALUES[field.kind] for field in SCHEMA.fields}), min_size=1, max_size=4)
)
@settings(max_examples=100)
def test_a_row_is_refused_exactly_where_its_record_would_be_a_dead_letter(rows: list[dict[str, Any]]) -> None:
    """The record is written by another JSON encoder; NaN, which is "missing" here, is null there."""
    records = []
    for row in rows:
        nulled = {
            name: None if isinstance(value, float) and math.isnan(value) else value for name, value in row.items()
        }
        records.append(json.dumps({"record_id": "r", "well": "w", "event_time": 1, **nulled}).encode())
    scored = score(records, Codec(SCHEMA), Sum())
    dead = {reject.position for reject in scored.rejects}
    head, body = binary(rows)
    answers = Server(parts()).batcher._work
    inference = protocol.parse(head + body, str(len(head)), SCHEMA, 50)
    (answer,) = answers([Job(inference)])
    found = {told["row"] for told in answer.rejects} if isinstance(answer, RefusedError) else set()
    assert found == dead
    assert dead or (isinstance(answer, Answer) and answer.predictions.tolist() == scored.predictions.tolist())


def binary(rows: list[dict[str, Any]]) -> tuple[bytes, bytes]:
    inputs, body = [], b""
    for field in SCHEMA.fields:
        values = [row[field.name] for row in rows]
        if field.kind is Kind.NUMERIC:
            data = np.array([math.nan if value is None else value for value in values], "<f8").tobytes()
        else:
            texts = [(value or "").encode() for value in values]
            data = b"".join(struct.pack("<I", len(text)) + text for text in texts)
        datatype = "FP64" if field.kind is Kind.NUMERIC else "BYTES"
        parameters = {"binary_data_size": len(data)}
        inputs.append({"name": field.name, "datatype": datatype, "shape": [len(rows)], "parameters": parameters})
        body += data
    return json.dumps({"inputs": inputs}).encode(), body


GOOD_BODY = json.dumps(
    {"id": "a", "inputs": [LEVEL, tensor("soil", "BYTES", ["a", "é"])], "outputs": [{"name": "prediction"}]}
).encode()


@given(st.data())
@settings(max_examples=250)
def test_any_body_is_parsed_or_refused(data: st.DataObject) -> None:
    """Mutations of a good body, and JSON of every shape in every place: never another exception than a refusal."""
    json_values = st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=3),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
        max_leaves=6,
    )
    if data.draw(st.booleans()):
        document = json.loads(GOOD_BODY)
        target = document["inputs"][data.draw(st.integers(0, 1))]
        target[data.draw(st.sampled_from(["name", "shape", "datatype", "data", "parameters"]))] = data.draw(json_values)
        body = json.dumps(document).encode()
    else:
        at, length = data.draw(st.integers(0, len(GOOD_BODY))), data.draw(st.integers(0, 5))
        body = GOOD_BODY[:at] + data.draw(st.binary(max_size=4)) + GOOD_BODY[at + length :]
    header = data.draw(st.none() | st.sampled_from(["0", "10", str(len(body)), "x", "٣", "1e3"]))
    try:
        inference = protocol.parse(body, header, SCHEMA, 50)
    except RefusedError as error:
        assert error.status in (400, 413)
    else:
        assert {len(values) for values in inference.columns.values()} == {inference.rows}


# Joining.


def test_what_waits_while_the_model_is_busy_is_joined_and_what_comes_alone_is_not() -> None:
    busy, calls = threading.Event(), list[list[int]]()

    def work(jobs: list[int]) -> list[int]:
        calls.append(jobs)
        assert busy.wait(10)
        return [job * 10 for job in jobs]

    async def scene() -> list[int]:
        batcher = Batcher(work, max_rows=3, queue_rows=100)
        first = asyncio.create_task(batcher.submit(1, 1))
        while not calls:
            await asyncio.sleep(0.001)
        rest = [asyncio.create_task(batcher.submit(job, 1)) for job in range(2, 7)]
        await asyncio.sleep(0)
        busy.set()
        found = await asyncio.gather(first, *rest)
        batcher.close()
        return found

    assert asyncio.run(scene()) == [10, 20, 30, 40, 50, 60]
    assert calls == [[1], [2, 3, 4], [5, 6]]


def test_a_full_queue_refuses_at_once_and_one_large_job_still_passes() -> None:
    busy = threading.Event()

    def work(jobs: list[int]) -> list[int]:
        assert busy.wait(10)
        return jobs

    async def scene() -> None:
        batcher = Batcher(work, max_rows=4, queue_rows=5)
        running = asyncio.create_task(batcher.submit(1, 1))
        await asyncio.sleep(0.01)
        large = asyncio.create_task(batcher.submit(2, 9))
        await asyncio.sleep(0)
        with pytest.raises(BusyError):
            await batcher.submit(3, 1)
        busy.set()
        assert await asyncio.gather(running, large) == [1, 2]
        busy.clear()
        again = [asyncio.create_task(batcher.submit(4, 1))]
        await asyncio.sleep(0.01)
        again += [asyncio.create_task(batcher.submit(job, rows)) for job, rows in ((5, 4), (6, 1))]
        await asyncio.sleep(0)
        busy.set()
        assert await asyncio.gather(*again) == [4, 5, 6], "the queue is free again"
        batcher.close()

    asyncio.run(scene())


def test_what_a_call_raises_its_jobs_raise_and_the_next_call_works() -> None:
    def work(jobs: list[int]) -> list[int]:
        if 0 in jobs:
            raise ZeroDivisionError
        return jobs

    async def scene() -> None:
        batcher = Batcher(work, max_rows=1, queue_rows=5)
        with pytest.raises(ZeroDivisionError):
            await batcher.submit(0, 1)
        assert await batcher.submit(5, 1) == 5
        batcher.close()

    asyncio.run(scene())


def test_a_bad_row_refuses_its_own_request_only() -> None:
    def job(levels: list[float], version: str | None = None) -> Job:
        return Job(protocol.Inference(len(levels), {"level": levels}), version)

    answers = Answers(SCHEMA, parts().active)
    good, bad, other, last = answers([job([1, 2]), job([3, -4, -5]), job([6], "v1"), job([7], "v3")])
    assert isinstance(good, Answer) and good.predictions.tolist() == [1_000, 2_000]
    assert isinstance(bad, RefusedError) and [told["row"] for told in bad.rejects] == [1, 2]
    assert isinstance(other, RefusedError) and other.status == 404
    assert isinstance(last, Answer) and last.predictions.tolist() == [7_000]


# The page's form.


def test_a_pair_of_fields_with_the_bounds_of_the_globe_is_a_place() -> None:
    assert coordinates(districts()) == {"east": "longitude", "north": "latitude"}
    assert coordinates(SCHEMA) is None


def test_the_form_is_made_of_the_schema_and_without_a_profile_has_no_hints() -> None:
    told = describe(SCHEMA, "default", None, None, {"outlines": []})
    assert [field["name"] for field in told["fields"]] == ["east", "level", "soil"]
    assert told["land"] is None and told["version"] is None
    assert told["fields"][1] == {
        "name": "level", "label": "Level", "kind": "numeric", "nullable": False, "minimum": 0, "maximum": None,
        "description": "", "example": None, "usual": None,
    }  # fmt: skip


def test_hints_are_the_references_quantiles() -> None:
    edges = np.arange(0.5, 200.5)  # 0.5, 1.5, … each bin with one value, the last, open one and "missing" with ten
    numeric = stream("level", Kind.NUMERIC, edges, [1] * len(edges) + [10, 10], ())
    nominal = stream("soil", Kind.NOMINAL, np.empty(0), [5, 3, 0, 1], ("sand", "clay"))
    profile = Profile(220, (numeric, nominal), None)  # type: ignore[arg-type]
    _, level, soil = describe(SCHEMA, "m", None, profile, None)["fields"]
    assert (level["example"], level["usual"]) == (104, [4.5, 200])
    assert (soil["example"], soil["categories"]) == ("sand", ["clay", "sand"])


def stream(name: str, kind: Kind, edges: Floats, counts: list[int], categories: tuple[str, ...]) -> StreamProfile:
    none = np.zeros(len(counts), dtype=np.int64)
    return StreamProfile(name, kind, edges, none, none, categories, np.array(counts), none, 1.0, 0.0, 1.0)


LATER = b"<when that is answered>"


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"GET / HTTP/1.1\r\nHost: a\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\n\r\nGET /",
        b"POST / HTTP/1.1\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\n\r\n" + LATER + b"\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n" + LATER + b"x",
    ],
)
def test_who_does_not_end_a_head_is_let_go(monkeypatch: pytest.MonkeyPatch, sent: bytes) -> None:
    monkeypatch.setattr(limits, "HEAD_TIMEOUT_S", 0.2)
    answered = asyncio.run(asyncio.wait_for(talk(sent), 20))
    assert answered.count(b"HTTP/1.1 200") == sent.count(b"\r\n\r\n")


async def talk(sent: bytes) -> bytes:
    """What a server says until it hangs up."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        del scope, receive
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body", "body": b""})

    config = uvicorn.Config(app, lifespan="off", log_config=None, timeout_keep_alive=60)
    config.load()
    made = functools.partial(limits.BoundedHttp, config=config, server_state=ServerState(), app_state={})
    server = await asyncio.get_running_loop().create_server(made, "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    try:
        first, _, later = sent.partition(LATER)
        writer.write(first)
        answered = await reader.readuntil(b"\r\n\r\n") if later else b""
        writer.write(later)
        return answered + await reader.read()
    finally:
        writer.close()
        server.close()
