"""`longshore serve` and `longshore score --input` as processes: a public client, swaps, overload, nonsense, the end."""

from __future__ import annotations

import http.client
import json
import re
import signal
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
from pydantic import SecretStr
from tests.services import COMMAND, Services, services
from tests.waiting import eventually
from tritonclient import http as triton
from tritonclient.utils import InferenceServerException

from longshore.cli.main import cli
from longshore.config import Settings
from longshore.errors import LongshoreError
from longshore.local.stack import Endpoints
from longshore.producers.generator import districts_frame
from longshore.registry import Registry
from longshore.schema import Kind, districts

pytestmark = [pytest.mark.integration, pytest.mark.slow]

DATABASE = 12
NAMES = list(districts().feature_names)
BODY = json.dumps({"inputs": [{"name": "latitude", "datatype": "FP64", "shape": [1], "data": [37.5]}]}).encode()


@dataclass
class World:
    """A trained model, and servers for it."""

    run: Services
    folder: Path
    registry: Registry
    port: int = 0

    def serve(self, **variables: str) -> tuple[subprocess.Popen[bytes], int]:
        """One more server, ready to answer."""
        known = set(self.folder.glob("*-serve.log"))
        process = self.run.start("serve", "--port", "0", **variables)
        (log,) = set(self.folder.glob("*-serve.log")) - known

        def port() -> int:
            assert process.poll() is None, log.read_text()
            found = re.search(r"http://127\.0\.0\.1:(\d+)/", log.read_text())
            return int(found[1]) if found else 0

        found = eventually(port, 60, what="the server's start")
        eventually(lambda: ask(found, "GET", "/readyz")[0] == 200, 30, what="readiness")
        return process, found


@pytest.fixture(scope="module")
def world(stack: Endpoints, tmp_path_factory: pytest.TempPathFactory, trained: Path) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("serve")
    settings = Settings(
        bootstrap_servers=stack.bootstrap_servers,
        redis_url=SecretStr(stack.redis_url),
        topic_prefix="serve.",
        home=folder,
        registry_url=str(folder / "registry"),
    )
    with services(settings, stack, folder, DATABASE) as (run, _cache):
        run.adopt(trained)
        world = World(run, folder, Registry.open(settings.registry(), settings.model))
        _, world.port = world.serve()
        yield world


def ask(port: int, method: str, path: str, body: bytes | None = None, **headers: str) -> tuple[int, bytes]:
    """One request on a connection of its own."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def rows(count: int, seed: int = 3) -> pd.DataFrame:
    frame = districts_frame(count, seed)[NAMES]
    frame.loc[frame.index[1], "total_bedrooms"] = np.nan
    return frame


def inputs(frame: pd.DataFrame, *, binary: bool) -> list[Any]:
    """A frame as the public client's tensors."""
    made = []
    for field in districts().fields:
        values = frame[field.name].to_numpy()
        numeric = field.kind is Kind.NUMERIC
        values = values.astype(np.float64) if numeric else values.astype(object)
        tensor = triton.InferInput(field.name, [len(frame)], "FP64" if numeric else "BYTES")
        tensor.set_data_from_numpy(values, binary_data=binary)
        made.append(tensor)
    return made


def expected(world: World, frame: pd.DataFrame, version: str = "v1") -> Any:
    pipeline = joblib.load(world.registry.path(version, "pipeline.joblib"))
    return np.asarray(pipeline.predict(frame), dtype=float).reshape(-1)


def test_a_public_client_gets_what_scikit_learn_says(world: World) -> None:
    frame = rows(20)
    with triton.InferenceServerClient(f"127.0.0.1:{world.port}") as client:
        assert client.is_server_live() and client.is_server_ready()
        assert client.is_model_ready("default") and client.is_model_ready("default", "v1")
        server = client.get_server_metadata()
        assert server["name"] == "longshore" and "binary_tensor_data" in server["extensions"]
        metadata = client.get_model_metadata("default", "v1")
        assert metadata["versions"] == ["v1"]
        assert [tensor["name"] for tensor in metadata["inputs"]] == NAMES
        by_default = client.infer("default", inputs(frame, binary=True), request_id="7")
        assert by_default.get_response()["id"] == "7"
        assert by_default.get_response()["model_version"] == "v1"
        champion = world.registry.alias()
        assert champion is not None
        assert by_default.get_response()["parameters"]["generation"] == champion.generation
        np.testing.assert_allclose(by_default.as_numpy("prediction"), expected(world, frame), rtol=1e-5)
        known = frame.dropna()  # the client cannot write null
        plain = client.infer(
            "default",
            inputs(known, binary=False),
            model_version="v1",
            outputs=[triton.InferRequestedOutput("prediction", binary_data=False)],
        )
        np.testing.assert_array_equal(
            plain.as_numpy("prediction"), by_default.as_numpy("prediction")[~frame.isna().any(axis=1).to_numpy()]
        )


def test_a_public_client_is_told_what_is_wrong(world: World) -> None:
    frame = rows(3)
    with triton.InferenceServerClient(f"127.0.0.1:{world.port}") as client:
        with pytest.raises(InferenceServerException, match="v9 of default is not served; v1 is") as refused:
            client.infer("default", inputs(frame, binary=True), model_version="v9")
        assert refused.value.status() == "404"
        with pytest.raises(InferenceServerException, match="no model 'other'"):
            client.get_model_metadata("other")
        assert not client.is_model_ready("other")
        with pytest.raises(InferenceServerException, match=r"row 2, latitude = 91\.0: InvalidRecord") as refused:
            client.infer("default", inputs(frame.assign(latitude=[37.0, 38.0, 91.0]), binary=True))
        assert refused.value.status() == "400"


def test_a_promotion_is_served_at_once_and_no_answer_mixes_versions(world: World) -> None:
    """Each answer's version is the one that made it: v2 learned from other rows, so the two predict differently."""
    seen: list[tuple[str, float]] = []
    stop = threading.Event()

    def keep_asking() -> None:
        while not stop.is_set():
            status, body = ask(world.port, "POST", "/v2/models/default/infer", BODY)
            answer = json.loads(body)
            assert status == 200, answer
            stop.wait(0.01)  # the training beside it is to end
            seen.append((answer["model_version"], answer["outputs"][0]["data"][0]))

    with ThreadPoolExecutor(2) as pool:
        asking = [pool.submit(keep_asking) for _ in range(2)]
        try:
            world.run.once("train", "--rows", "1500", "--seed", "9")
            promote(world, "v2")  # the gate may have refused it, and it is v1's turn again for the other tests
            eventually(lambda: seen and seen[-1][0] == "v2", 15, what="v2")
        finally:
            stop.set()
            [each.result(30) for each in asking]
            promote(world, "v1")
    assert len({value for version, value in seen if version == "v1"}) == 1
    assert len({value for version, value in seen if version == "v2"}) == 1
    assert len(set(seen)) == 2
    eventually(lambda: ask(world.port, "GET", "/v2/models/default/versions/v1/ready")[0] == 200, 15, what="v1 again")


def promote(world: World, version: str) -> None:
    champion = world.registry.alias()
    assert champion is not None
    if champion.version != version:
        world.registry.move_alias(
            "champion", version, expected_generation=champion.generation, trigger_id="", actor="test", reason="test"
        )


def test_many_waiting_requests_are_joined_and_too_many_are_told_to_come_again(world: World) -> None:
    """With a queue of two rows every answer is either right or an honest 503, and memory is not the buffer."""
    _, port = world.serve(LONGSHORE_SERVE__QUEUE_ROWS="2", LONGSHORE_SERVE__MAX_BATCH_ROWS="2")

    def one(_: int) -> int:
        status, body = ask(port, "POST", "/v2/models/default/infer", large)
        assert status in (200, 503), body
        assert status == 200 or "wait already" in json.loads(body)["error"]
        return status

    data = [37.5] * 4_000
    large = json.dumps({"inputs": [{"name": "latitude", "datatype": "FP64", "shape": [4_000], "data": data}]}).encode()
    with ThreadPoolExecutor(12) as pool:
        found = list(pool.map(one, range(60)))
    assert {200, 503} == set(found)
    assert ask(port, "POST", "/v2/models/default/infer", BODY)[0] == 200
    metrics = ask(port, "GET", "/metrics")[1].decode()
    assert 'longshore_serve_requests_total{code="200",route="infer"}' in metrics
    assert "longshore_model_generation" in metrics and "longshore_score_seconds_bucket" in metrics


NONSENSE = {
    "not HTTP": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "an endless header": b"GET /v2 HTTP/1.1\r\nX: " + b"x" * 400_000,
    "many headers": b"GET /v2 HTTP/1.1\r\n" + b"A: b\r\n" * 60_000,
    "a bad chunk": b"POST /v2/models/default/infer HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    "too long a length": b"POST /v2/models/default/infer HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999\r\n\r\n",
    "chunks without end": b"POST /v2/models/default/infer HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    + (b"10000\r\n" + b"x" * 65_536 + b"\r\n") * 80,
}


@pytest.mark.parametrize("kind", NONSENSE)
def test_nonsense_on_the_wire_is_answered_and_forgotten(world: World, kind: str) -> None:
    with socket.create_connection(("127.0.0.1", world.port), timeout=20) as peer:
        try:
            peer.sendall(NONSENSE[kind])
            answer = peer.recv(4_096)
        except (BrokenPipeError, ConnectionResetError):
            answer = b""  # it hung up while we were still sending
    assert answer == b"" or re.match(rb"HTTP/1\.1 4\d\d", answer), answer
    assert ask(world.port, "POST", "/v2/models/default/infer", BODY)[0] == 200


def test_sigterm_answers_what_was_accepted_and_ends_with_0(world: World) -> None:
    """Requests are in flight when it comes; with a drain time the port stays open while /readyz already says no."""
    process, port = world.serve(LONGSHORE_SERVE__DRAIN_S="1")
    slow = socket.create_connection(("127.0.0.1", port), timeout=20)
    head = b"POST /v2/models/default/infer HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(BODY)
    slow.sendall(head + BODY[:20])
    eventually(lambda: b"longshore_serve_in_flight 2.0" in ask(port, "GET", "/metrics")[1], 10, what="its arrival")
    process.send_signal(signal.SIGTERM)
    eventually(lambda: ask(port, "GET", "/readyz")[0] == 503, 5, what="the readiness to go")
    assert ask(port, "POST", "/v2/models/default/infer", BODY)[0] == 200, "still draining"
    eventually(lambda: refused(port), 10, what="the listener to close")
    slow.sendall(BODY[20:])
    assert slow.recv(4_096).startswith(b"HTTP/1.1 200")
    slow.close()
    assert process.wait(30) == 0


def refused(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
    except OSError:
        return True
    return False


def test_a_port_that_is_taken_is_one_line_and_exit_2(world: World) -> None:
    command = [*COMMAND, "serve", "--port", str(world.port)]
    done = subprocess.run(command, env=world.run.environment, cwd=world.folder, capture_output=True, check=False)
    assert done.returncode == 2
    assert f"serve.port = {world.port}" in done.stderr.decode().splitlines()[-1]


# Files.


@pytest.fixture
def scoring(world: World, tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    def score(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [*COMMAND, "score", *arguments]
        return subprocess.run(
            command, env=world.run.environment, cwd=tmp_path, capture_output=True, text=True, check=False
        )

    return score


def test_a_file_is_scored_as_the_stream_is(world: World, scoring: Any, tmp_path: Path) -> None:
    frame = rows(500).assign(note="a,b")
    frame.loc[frame.index[7], "latitude"] = 95
    frame.to_csv(tmp_path / "in.csv", index=False)
    frame.to_parquet(tmp_path / "in.parquet", index=False)
    for kind, read in (("csv", pd.read_csv), ("parquet", pd.read_parquet)):
        done = scoring("--input", f"in.{kind}", "--to", f"out.{kind}", "--model-version", "v1")
        assert done.returncode == 0, done.stderr
        assert f"499 of 500 rows scored with v1 into out.{kind}, 1 rejected (out.rejects.{kind})" in done.stdout
        assert "scoring in" in done.stderr, "progress"
        found, rejects = read(tmp_path / f"out.{kind}"), read(tmp_path / f"out.rejects.{kind}")
        assert [*found.columns] == [*NAMES, "note", "prediction", "model_version"]
        assert rejects[["row", "latitude"]].to_numpy().tolist() == [[8, 95]]
        good = frame.drop(frame.index[7])
        np.testing.assert_allclose(found["prediction"], expected(world, good[NAMES]), rtol=1e-5)
        assert set(found["model_version"]) == {"v1"}


def test_rejects_fail_the_command_only_where_that_is_asked_for(scoring: Any, tmp_path: Path) -> None:
    rows(20).assign(latitude=95).to_csv(tmp_path / "in.csv", index=False)
    done = scoring("--input", "in.csv", "--to", "out.csv", "--fail-on-reject")
    assert done.returncode == 1
    assert "20 rows were rejected" in done.stderr.splitlines()[-1]
    assert (tmp_path / "out.csv").exists() and (tmp_path / "out.rejects.csv").exists()


@pytest.mark.parametrize(
    ("arguments", "failure"),
    [
        (["--input", "in.csv", "--to", "in.parquet"], (2, "format")),
        (["--input", "in.csv", "--to", "there.csv"], (1, "there.csv exists")),
        (["--input", "none.csv", "--to", "o.csv"], (1, "none.csv")),
        (["--input", "in.csv", "--to", "o.csv", "--model-version", "v77"], (2, "no version 'v77'")),
        (["--input", "in.csv"], (2, "--to is not")),
        (["--to", "o.csv"], (2, "needs --input")),
    ],
)
def test_what_cannot_be_done_with_a_file_is_an_error_of_ours(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], failure: tuple[int, str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LONGSHORE_REGISTRY_URL", world.run.environment["LONGSHORE_REGISTRY_URL"])
    rows(20).to_csv("in.csv", index=False)
    Path("there.csv").write_text("precious")
    with pytest.raises(LongshoreError, match=failure[1]) as refused:
        cli.main(["score", *arguments], standalone_mode=False)
    assert refused.value.exit_code == failure[0]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.csv", "there.csv"]


WELLS = """
name = "wells"
key = "well"
target = "depth"
fields = [
  { name = "level", kind = "numeric", nullable = false, minimum = 0 },
  { name = "flow", kind = "numeric" },
  { name = "soil", kind = "nominal" },
]
"""


def test_another_schema_is_served_and_its_files_are_scored(world: World, tmp_path: Path) -> None:
    """Both ways to a prediction say the same, to the last bit."""
    (tmp_path / "wells.toml").write_text(WELLS)
    chance = np.random.default_rng(1)
    level, flow = chance.uniform(0, 50, 1_000).round(3), chance.normal(5, 2, 1_000).round(3)
    soil = chance.choice(["clay", "sand"], 1_000)
    frame = pd.DataFrame({"level": level, "flow": np.where(flow < 2, np.nan, flow), "soil": soil})
    frame.assign(depth=level * 2 + (soil == "clay") * 30).to_csv(tmp_path / "in.csv", index=False)
    variables = {
        "LONGSHORE_SCHEMA_FILE": str(tmp_path / "wells.toml"),
        "LONGSHORE_REGISTRY_URL": str(tmp_path / "registry"),
        "LONGSHORE_REDIS_URL": "",
        "LONGSHORE_BOOTSTRAP_SERVERS": "",
    }
    for arguments in (["train", "--data", "in.csv"], ["score", "--input", "in.csv", "--to", "out.csv"]):
        done = subprocess.run(
            [*COMMAND, *arguments],
            env=world.run.environment | variables,
            cwd=tmp_path,
            capture_output=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr.decode()[-2_000:]
    scored = pd.read_csv(tmp_path / "out.csv")
    assert len(scored) == 1_000
    _, port = world.serve(**variables)
    data = {"level": ("FP64", level[:50]), "flow": ("FP64", frame["flow"][:50]), "soil": ("BYTES", soil[:50])}
    inputs = [
        {
            "name": name,
            "datatype": datatype,
            "shape": [50],
            "data": [None if value != value else value for value in np.asarray(values).tolist()],  # noqa: PLR0124  (NaN)
        }
        for name, (datatype, values) in data.items()
    ]
    status, body = ask(port, "POST", "/v2/models/default/infer", json.dumps({"inputs": inputs}).encode())
    assert status == 200, body
    assert json.loads(body)["outputs"][0]["data"] == scored["prediction"][:50].tolist()
    assert np.corrcoef(scored["prediction"], scored["depth"])[0, 1] > 0.95
