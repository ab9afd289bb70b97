"""`longshore serve` under load: latency at a fixed rate of single rows, and what it can do with and without joining.

    .venv/bin/python benchmarks/serve.py [--seconds 20] [--rate 500] [--connections 64]

The server is the real command with a model it trained itself; the client is another process with plain sockets.
Latency is counted from the instant a request was due, not from when it was sent: a stall is paid by everybody who was
due during it. Saturation is what `--connections` clients get who each send the next request when they have the answer.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import uvloop

COMMAND = [sys.executable, "-m", "longshore.cli.main"]
WARM_S = 2.0
NO_JOINING = {"LONGSHORE_SERVE__MAX_BATCH_ROWS": "1"}


class Client(asyncio.Protocol):
    """One connection: a request at a time, each answered before the next."""

    def __init__(self) -> None:
        self._received = b""
        self._answer: asyncio.Future[int] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, found, body = self._received.partition(b"\r\n\r\n")
        if not found:
            return
        length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
        if len(body) >= length and self._answer is not None:
            self._received = body[length:]
            self._answer.set_result(int(head[9:12]))

    def connection_lost(self, exc: Exception | None) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(ConnectionError(str(exc)))

    async def ask(self, request: bytes) -> int:
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(request)  # type: ignore[attr-defined]
        return await self._answer


def requests(port: int, metadata: dict[str, list[dict[str, str]]], count: int = 500) -> list[bytes]:
    """Rows of different numbers, as JSON."""
    chance = random.Random(7)
    made = []
    for _ in range(count):
        inputs = [
            {
                "name": each["name"],
                "datatype": each["datatype"],
                "shape": [1],
                "data": ["INLAND" if each["datatype"] == "BYTES" else round(chance.uniform(1, 80), 3)],
            }
            for each in metadata["inputs"]
        ]
        body = json.dumps({"inputs": inputs}).encode()
        head = f"POST /v2/models/default/infer HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/json\r\n"
        made.append(head.encode() + b"Content-Length: %d\r\n\r\n" % len(body) + body)
    return made


async def open_loop(port: int, made: list[bytes], rate: float, seconds: float, connections: int) -> np.ndarray:
    """Latencies in ms from the intended instants; a request that finds no free connection waits for one."""
    loop = asyncio.get_running_loop()
    free: asyncio.Queue[Client] = asyncio.Queue()
    for _ in range(connections):
        free.put_nowait((await loop.create_connection(Client, "127.0.0.1", port))[1])
    latencies: list[float] = []

    async def one(due: float, request: bytes) -> None:
        client = await free.get()
        status = await client.ask(request)
        assert status == 200, status
        latencies.append((time.perf_counter() - due) * 1_000)
        free.put_nowait(client)

    count = int(rate * (seconds + WARM_S))
    running: list[asyncio.Task[None]] = []
    begin = time.perf_counter() + 0.1

    def send() -> None:
        """In a thread of its own: the event loop's timers count in milliseconds."""
        for i in range(count):
            due = begin + i / rate
            time.sleep(max(due - time.perf_counter(), 0))
            loop.call_soon_threadsafe(
                lambda due=due, i=i: running.append(loop.create_task(one(due, made[i % len(made)])))
            )

    await asyncio.to_thread(send)
    await asyncio.sleep(0)
    await asyncio.gather(*running)
    return np.array(latencies[int(rate * WARM_S) :])


async def saturation(port: int, made: list[bytes], seconds: float, connections: int) -> tuple[float, np.ndarray]:
    """Requests a second, and latencies in ms."""
    loop = asyncio.get_running_loop()
    latencies: list[float] = []
    begin = time.perf_counter() + WARM_S
    end = begin + seconds

    async def one(number: int) -> None:
        client = (await loop.create_connection(Client, "127.0.0.1", port))[1]
        i = number
        while (sent := time.perf_counter()) < end:
            assert await client.ask(made[i % len(made)]) == 200
            i += 1
            if sent >= begin:
                latencies.append((time.perf_counter() - sent) * 1_000)

    await asyncio.gather(*(one(i) for i in range(connections)))
    return len(latencies) / seconds, np.array(latencies)


@contextmanager
def serving(environment: dict[str, str], log: Path) -> Iterator[tuple[int, psutil.Process]]:
    """A server on a free port, ended at the end."""
    with log.open("wb") as lines:
        process = subprocess.Popen(
            [*COMMAND, "serve", "--port", "0"], env=environment, cwd=log.parent, stdout=lines, stderr=lines
        )
    try:
        while b"service started" not in log.read_bytes():
            assert process.poll() is None, log.read_text()
            time.sleep(0.05)
        started = next(json.loads(line) for line in log.read_text().splitlines() if "service started" in line)
        yield int(started["page"].rstrip("/").rsplit(":", 1)[1]), psutil.Process(process.pid)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--rate", type=float, default=500.0)
    parser.add_argument("--connections", type=int, default=64)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        own = {name: value for name, value in os.environ.items() if not name.startswith("LONGSHORE_")}
        own |= {"LONGSHORE_HOME": folder, "XDG_CACHE_HOME": folder}
        trained = [*COMMAND, "train", "--quick", "--rows", "20000", "--output", "json"]
        subprocess.run(trained, env=own, cwd=folder, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        print(f"{os.cpu_count()} cores, load average {os.getloadavg()[0]:.1f} before; {given.seconds:.0f} s each")
        print(f"{'run':<34}{'requests/s':>12}{'p50 ms':>9}{'p99 ms':>9}{'p99.9 ms':>10}{'CPU':>8}")
        with serving(own, Path(folder) / "joined.log") as (port, server):
            made = requests(port, metadata(port))
            with line(f"{given.rate:.0f}/s of one row, open loop", server) as told:
                latencies = uvloop.run(open_loop(port, made, given.rate, given.seconds, given.connections))
                told.extend((given.rate, latencies))
            with line("saturation, joined", server) as told:
                told.extend(uvloop.run(saturation(port, made, given.seconds, given.connections)))
        with (
            serving(own | NO_JOINING, Path(folder) / "single.log") as (port, server),
            line("saturation, each by itself", server) as told,
        ):
            told.extend(uvloop.run(saturation(port, made, given.seconds, given.connections)))


def metadata(port: int) -> dict[str, list[dict[str, str]]]:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/v2/models/default", timeout=5) as answer:
        found: dict[str, list[dict[str, str]]] = json.load(answer)
        return found


@contextmanager
def line(name: str, server: psutil.Process) -> Iterator[list[Any]]:
    """One line of the table; CPU is the server's, in shares of one core, its warm-up included."""
    told: list[Any] = []
    before, begin = sum(server.cpu_times()[:2]), time.perf_counter()
    yield told
    cpu = (sum(server.cpu_times()[:2]) - before) / (time.perf_counter() - begin)
    rate, latencies = told
    p50, p99, p999 = np.percentile(latencies, [50, 99, 99.9])
    print(f"{name:<34}{rate:>12,.0f}{p50:>9.2f}{p99:>9.2f}{p999:>10.2f}{cpu:>8.2f}", flush=True)


if __name__ == "__main__":
    main()
