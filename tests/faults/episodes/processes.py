"""A replica in a process of its own, forked from one that has imported everything, and the point at which it dies.

All of it is `longshore monitor` and `longshore train --follow`, but for what a training computes: instead of a fit and
a comparison of two models (`trainer_chaos` has those) a version gets the profile of the world that it is asked for, and
one first attempt in five is rejected, by its trigger's id. A doom is a file: who reaches its point takes it and dies.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from multiprocessing.context import ForkServerContext, ForkServerProcess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from tests.faults.trainer_chaos.launch import RENEWING, STEPS, apart

import longshore.cli.monitor
import longshore.cli.train
import longshore.kafka.exactly_once
import longshore.kafka.transactions
import longshore.monitor.service
import longshore.trainer.run
from longshore.records import RetrainRequest
from longshore.trainer.gate import Decision, Verdict

DOOM, DIED, FITS = "doom.json", "died.log", "fits.log"
TRAINING_S = 0.3
REJECTED_EVERY = 5
POINTS = ("sent", "offsets", "before the commit", "after the commit")
"""Of a transaction: all is on the broker; its offsets are, too; its end was not asked for, was answered."""

_UNLINK = os.unlink


def prepared() -> ForkServerContext:
    """Where processes are forked from; its imports cost seconds, once."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    return context


def start(
    context: ForkServerContext, arguments: Sequence[str], environment: Mapping[str, str], folder: Path, log: Path
) -> ForkServerProcess:
    """`longshore <arguments>`, which dies where the folder's doom says."""
    process = context.Process(target=_run, args=(list(arguments), dict(environment), str(folder), str(log)))
    process.start()
    return process


def rejected(request: RetrainRequest) -> bool:
    """Whether this attempt's challenger is turned down."""
    return request.attempt == 1 and int(request.trigger_id, 16) % REJECTED_EVERY == 0


def _run(arguments: list[str], environment: dict[str, str], folder: str, log: str) -> None:
    apart(environment, log)
    doom = _Doom(Path(folder), "train" if arguments[0] == "train" else arguments[2])
    if doom.role == "train":
        _quick_training(Path(folder))
        _watch_files(doom)
    else:
        _watch_transactions(doom)
    sys.argv = ["longshore", *arguments]
    from longshore.cli.main import main

    main()


class _Doom:
    """Looks, at every point that this process passes, whether it is the one to die there."""

    def __init__(self, folder: Path, role: str) -> None:
        self.role = role
        self._folder = folder
        self._seen, self._count = -1, 0

    def at(self, point: str, *, asked: bool = False) -> None:
        """A point is passed; `asked`: a request is in the transaction."""
        try:
            found = json.loads((self._folder / DOOM).read_bytes())
        except (OSError, ValueError):
            return
        if found["role"] != self.role or found["point"] != point or (found["asked"] and not asked):
            return
        if found["number"] != self._seen:
            self._seen, self._count = found["number"], 0
        self._count += 1
        if self._count >= found["times"]:
            try:
                _UNLINK(self._folder / DOOM)
            except FileNotFoundError:
                return  # another one has died of it
            with (self._folder / DIED).open("a") as died:
                died.write(json.dumps(found) + "\n")
            os.kill(os.getpid(), signal.SIGKILL)


def _watch_files(doom: _Doom) -> None:
    def counted(real: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        result = real(*args, **kwargs)
        if threading.current_thread().name != RENEWING:
            doom.at("step")
        return result

    for name in STEPS:
        setattr(os, name, partial(counted, getattr(os, name)))


def _watch_transactions(doom: _Doom) -> None:
    module = longshore.kafka.transactions
    real_enqueue, asked = module.enqueue, [False]

    class Watched(module.Producer):  # type: ignore[misc]
        def send_offsets_to_transaction(self, *args: Any, **kwargs: Any) -> None:
            super().send_offsets_to_transaction(*args, **kwargs)
            doom.at("offsets", asked=asked[0])

        def commit_transaction(self, *args: Any, **kwargs: Any) -> None:
            doom.at("before the commit", asked=asked[0])
            super().commit_transaction(*args, **kwargs)
            doom.at("after the commit", asked=asked[0])
            asked[0] = False

        def abort_transaction(self, *args: Any, **kwargs: Any) -> None:
            asked[0] = False
            super().abort_transaction(*args, **kwargs)

    def enqueue(producer: Any, output: Any, timeout_s: float) -> None:
        real_enqueue(producer, output, timeout_s)
        if output.topic.endswith("retrain.requests") and getattr(output, "messages", None):
            asked[0] = True
        if output.topic.endswith(("drift.state", "drift.panes")):  # a decider's last output, a counter's only one
            producer.flush(1.0)
            doom.at("sent", asked=asked[0])

    module.Producer, module.enqueue = Watched, enqueue  # type: ignore[misc]


def _quick_training(folder: Path) -> None:
    def for_request(self: Any, stream: Any, request: RetrainRequest, check: Callable[[], None], wait_s: float) -> Any:
        del self, stream, check, wait_s
        columns = SimpleNamespace(schema=None)
        return SimpleNamespace(request=request, rows=SimpleNamespace(columns=columns))

    def train(data: Any, settings: Any, build_profile: Any, report: Any, **more: Any) -> Any:
        del settings, build_profile, more
        request: RetrainRequest = data.request
        with (folder / FITS).open("a") as fits:
            fits.write(f"{request.trigger_id}\n")
        report("fit", {})
        time.sleep(TRAINING_S)
        world = 1 - _world_of(folder, request.model_version)
        profile = (folder / f"profile-{world}").read_bytes()
        return SimpleNamespace(
            files={"model.onnx": b"unused", "profile": profile}, manifest={"metrics": {}, "world": world}
        )

    class Judging:
        def __init__(self, *given: Any) -> None:
            del given

        def verdict(self, version: str, champion: str | None, data: Any) -> Verdict:
            del champion
            if rejected(data.request):
                return Verdict(Decision.REJECT, f"{version} is rejected by its trigger's id")
            return Verdict(Decision.PROMOTE, f"{version} is promoted")

    longshore.cli.train.Intake.for_request = for_request  # type: ignore[method-assign]
    longshore.trainer.run.train = train
    longshore.trainer.run.Judging = Judging  # type: ignore[misc, assignment]


def _world_of(folder: Path, version: str) -> int:
    manifest = next((folder / "registry").glob(f"**/versions/{version}/manifest.json"))
    return int(json.loads(manifest.read_bytes())["world"])
