"""The monitor as a process: the counting, the joining, the deciding and the notifying role, each or all.

In one process each is a thread, the notifying role one for each target: they block in their own polls, transactions and
requests, and one loop would let a slow one stall the others. A failure of any ends the process; the loops themselves
are in `service_count`, `service_join`, `service_decide` and `service_notify`.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeVar

from longshore.config import Settings
from longshore.heap import collect_seldom
from longshore.kafka.exactly_once import AtLeastOnce, ExactlyOnce
from longshore.kafka.first_start import fix_start
from longshore.loss_model import LossModel
from longshore.monitor.alerts.configured import has_receivers, targets_of
from longshore.monitor.alerts.targets import Target
from longshore.monitor.models import Profiles
from longshore.monitor.service_count import Counting, watermarks_from_panes
from longshore.monitor.service_decide import Deciding
from longshore.monitor.service_join import group_of, joining_of
from longshore.monitor.service_notify import Notifying
from longshore.monitor.service_relay import Relaying
from longshore.schema import Schema
from longshore.service import Runtime
from longshore.topics import Topics

ReadProfile = Callable[[str], bytes | None]
"""A version's file, None where it has none, or the registry does not hold it."""

ReadLoss = Callable[[str], LossModel | None]
Role = Callable[..., None]
Stream = TypeVar("Stream", ExactlyOnce, AtLeastOnce)


class Pulse:
    """Beats for the process when every role has gone round since the last beat: a silent role is not masked."""

    def __init__(self, runtime: Runtime, roles: Sequence[str]) -> None:
        self._runtime = runtime
        self._roles = frozenset(roles)
        self._beaten: set[str] = set()
        self._lock = threading.Lock()

    def beat(self, role: str) -> None:
        """The role's loop went round."""
        with self._lock:
            self._beaten.add(role)
            if self._beaten >= self._roles:
                self._beaten.clear()
                self._runtime.beat()
                self._runtime.set_ready(True)


def _until_stopped(
    runtime: Runtime,
    pulse: Pulse,
    role: str,
    stream: Stream,
    step: Callable[[Stream], None],
    *,
    finish: Callable[[Stream], None] | None = None,
) -> None:
    """A role's loop: step by step until `runtime.stop`, then finish; the stream is closed however it ends."""
    try:
        while not runtime.stop.is_set():
            pulse.beat(role)
            step(stream)
        if finish is not None:
            finish(stream)
    finally:
        stream.close()


def run_count(
    settings: Settings, schema: Schema, runtime: Runtime, *, instance: str, read_profile: ReadProfile,
    read_loss: ReadLoss, pulse: Pulse,
) -> None:  # fmt: skip
    """Count predictions, labels and model events into `drift.panes` until `runtime.stop`."""
    topics = Topics.of(settings.topic_prefix, schema)
    counting = Counting(
        settings, schema, Profiles(read_profile, read_loss), watermarks_from_panes(settings, topics.panes)
    )
    stream = ExactlyOnce(
        settings,
        group=f"{settings.topic_prefix}{settings.monitor.group}.count",
        instance=instance,
        topics=topics.to_count(settings),
        stop=runtime.stop,
        on_revoked=lambda partitions: counting.finish(stream, partitions),
        on_lost=counting.drop,
        on_start=counting.start,
        note=counting.note,
    )
    _until_stopped(runtime, pulse, "count", stream, counting.step, finish=counting.finish)


def run_decide(
    settings: Settings, schema: Schema, runtime: Runtime, *, instance: str, read_profile: ReadProfile,
    read_loss: ReadLoss, pulse: Pulse,
) -> None:  # fmt: skip
    """Decide on `drift.panes` until `runtime.stop`."""
    topics = Topics.of(settings.topic_prefix, schema)
    deciding = Deciding(settings, schema, Profiles(read_profile, read_loss))
    stream = ExactlyOnce(
        settings,
        group=f"{settings.topic_prefix}{settings.monitor.group}.decide",
        instance=instance,
        topics=[topics.panes],
        stop=runtime.stop,
        on_revoked=lambda _: deciding.finish(stream),
        on_lost=lambda _: deciding.drop(),
    )
    _until_stopped(runtime, pulse, "decide", stream, deciding.step, finish=deciding.finish)


def run_join(
    settings: Settings, schema: Schema, runtime: Runtime, *, instance: str, read_profile: ReadProfile,
    read_loss: ReadLoss, pulse: Pulse,
) -> None:  # fmt: skip
    """Join labels to predictions and commit the errors to `drift.panes` until `runtime.stop`."""
    del read_loss
    joining = joining_of(settings, schema, Profiles(read_profile), instance)
    stream = ExactlyOnce(
        settings,
        group=group_of(settings),
        instance=instance,
        topics=joining.topics,
        stop=runtime.stop,
        on_assigned=lambda _: joining.hold(stream),
        on_revoked=lambda partitions: joining.finish(stream, partitions),
        on_lost=joining.drop,
        on_start=joining.start,
        note=joining.note,
    )
    _until_stopped(runtime, pulse, "join", stream, joining.step, finish=joining.finish)


def run_relay(
    settings: Settings, schema: Schema, runtime: Runtime, *, instance: str, read_profile: ReadProfile,
    read_loss: ReadLoss, pulse: Pulse,
) -> None:  # fmt: skip
    """Send labels on under their entities' ids until `runtime.stop`."""
    del read_profile, read_loss
    relaying = Relaying(settings, schema)
    stream = ExactlyOnce(
        settings,
        group=f"{settings.topic_prefix}{settings.monitor.group}.relay",
        instance=instance,
        topics=[Topics.of(settings.topic_prefix, schema).labels],
        stop=runtime.stop,
        on_revoked=lambda _: relaying.finish(stream),
        on_lost=lambda _: relaying.drop(),
    )
    _until_stopped(runtime, pulse, "relay", stream, relaying.step, finish=relaying.finish)


def run_notify(settings: Settings, schema: Schema, runtime: Runtime, *, target: Target, pulse: Pulse) -> None:
    """Tell one target of what `drift.events` tells until `runtime.stop`."""
    topic = Topics.of(settings.topic_prefix, schema).events
    group = f"{settings.topic_prefix}{settings.monitor.group}.notify.{target.name}"
    # Not with the alerts of last year, and fixed for good: a crash before the first delivery must not move it.
    fix_start(settings, group, topic, int((time.time() - settings.alerts.look_back_s) * 1_000))
    notifying = Notifying(settings, target)
    stream = AtLeastOnce(settings, group=group, topics=[topic], on_revoked=notifying.forget, on_lost=notifying.forget)
    _until_stopped(runtime, pulse, f"notify {target.name}", stream, notifying.step)


ROLES: dict[str, tuple[Role, ...]] = {
    "count": (run_count,),
    "join": (run_join,),
    "decide": (run_decide,),
    "notify": (),
    "all": (run_count, run_join, run_decide),
}
"""What `--role` starts, besides one `run_notify` for each target."""


def _loss(settings: Settings, schema: Schema, read: ReadProfile, version: str) -> LossModel | None:
    """A version's loss regressor, where estimates are wanted and it has one."""
    data = read(version) if settings.monitor.estimate else None
    return LossModel.load(data, schema) if data is not None else None


def _chosen(settings: Settings, role: str, **given: Any) -> dict[str, Role]:
    """What a process of this role runs, by name; `all` notifies where anybody beyond the log is to be told."""
    runs = ROLES[role]
    if run_join in runs and settings.monitor.relay_labels:
        runs += (run_relay,)
    chosen: dict[str, Role] = {one.__name__.removeprefix("run_"): partial(one, **given) for one in runs}
    if role == "notify" or (role == "all" and has_receivers(settings.alerts)):
        chosen |= {
            f"notify {target.name}": partial(run_notify, target=target) for target in targets_of(settings.alerts)
        }
    return chosen


def run(
    settings: Settings, schema: Schema, runtime: Runtime, *, role: str, instance: str, read_profile: ReadProfile,
    read_loss: ReadProfile = lambda _: None,
) -> None:  # fmt: skip
    """Run a role until `runtime.stop`; the first failure of a thread ends all and is raised here."""
    losses = partial(_loss, settings, schema, read_loss)
    chosen = _chosen(settings, role, instance=instance, read_profile=read_profile, read_loss=losses)
    pulse = Pulse(runtime, list(chosen))
    failures: list[BaseException] = []

    def guarded(run_one: Role) -> None:
        try:
            run_one(settings, schema, runtime, pulse=pulse)
        except BaseException as error:  # a thread's failure must end the process, whatever it is
            failures.append(error)
            runtime.stop.set()

    first, *others = chosen
    threads = [threading.Thread(target=guarded, args=(chosen[name],), name=name, daemon=True) for name in others]
    collect_seldom()
    for thread in threads:
        thread.start()
    guarded(chosen[first])
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
