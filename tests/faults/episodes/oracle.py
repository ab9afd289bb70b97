"""What must be true once all episodes are over, from the topics and the registry alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

from tests.faults.episodes.processes import FITS, rejected
from tests.faults.episodes.seen import Seen
from tests.faults.trainer_chaos.oracle import violations as broken

from longshore.config import Settings
from longshore.kafka.model_events import ModelEventLog
from longshore.records import DriftEvent, RetrainRequest
from longshore.registry import Registry
from longshore.topics import Topics


def violations(
    settings: Settings, topics: Topics, folder: Path, seen: Seen, *, episodes: int, trainers_killed: int
) -> list[str]:
    """Every promise that was not kept. The registry's, Redis's and `model.events`' own are `trainer_chaos`'s."""
    registry = Registry.open(settings.registry(), settings.model)
    asked = [request.trigger_id for request in seen.requests]
    return [
        *_requests(seen, registry, episodes),
        *_told(seen, episodes),
        *(line for request in seen.requests if request.attempt > 1 for line in _again(seen, request, settings)),
        *_trainings(settings, topics, registry, asked, folder, trainers_killed),
        *broken(settings, topics, asked, ()),
    ]


def _requests(seen: Seen, registry: Registry, episodes: int) -> Iterator[str]:
    """One for each episode, and one more for each challenger that was turned down."""
    counted = Counter(request.trigger_id for request in seen.requests)
    yield from (f"{count} requests {trigger}" for trigger, count in counted.items() if count > 1)
    by_episode: dict[str, list[RetrainRequest]] = {}
    for request in seen.requests:
        by_episode.setdefault(request.episode, []).append(request)
    if len(by_episode) != episodes:
        yield f"{len(by_episode)} episodes asked for a retraining, not {episodes}"
    for episode, requests in by_episode.items():
        attempts = [request.attempt for request in requests]
        wanted = [1, 2] if rejected(requests[0]) else [1]
        outcomes = [registry.outcome(request.trigger_id) for request in requests]
        ended = [outcome["status"] if outcome else "open" for outcome in outcomes]
        if attempts != wanted or ended != ["rejected", "promoted"][-len(wanted) :]:
            yield f"episode {episode}: attempts {attempts} ended {ended}, wanted {wanted}"


def _told(seen: Seen, episodes: int) -> Iterator[str]:
    """Every final verdict once and in order; an alert and an end for each episode; every request told, in order."""
    verdicts = [event for event in seen.events if event.kind == "verdict"]
    places = [(event.generation, event.window_index) for event in verdicts]
    yield from (f"verdict {after} comes after {before}" for before, after in pairwise(places) if after <= before)
    for kind in ("alert", "resolved"):
        counted = Counter(event.episode for event in seen.events if event.kind == kind)
        if len(counted) != episodes or set(counted.values()) != {1}:
            yield f"{kind}: {sum(counted.values())} for {len(counted)} episodes, not {episodes}"
    told = [event.detail["trigger_id"] for event in seen.events if event.kind == "retraining"]
    if told != [request.trigger_id for request in seen.requests]:
        yield f"{len(told)} requests are told, {len(seen.requests)} stand on their topic, or in another order"


def _again(seen: Seen, request: RetrainRequest, settings: Settings) -> Iterator[str]:
    """A second attempt: after the first was closed, its back-off in windows was over, and there were new labels."""
    own = [event for event in seen.events if event.episode == request.episode or event.kind == "verdict"]
    closed = _place(own, "attempt_closed", request.attempt - 1)
    asked = _place(own, "retraining", request.attempt)
    between = [event for event in own[closed:asked] if event.kind == "verdict"]
    least = settings.monitor.cooldown_windows * 2 ** (request.attempt - 2)
    fresh = request.evidence["fresh_labels"]
    if not 0 <= closed < asked or len(between) < least or fresh < settings.monitor.min_fresh_labels:
        yield f"{request.trigger_id} came {len(between)} windows after the rejection, with {fresh} labels"


def _place(events: list[DriftEvent], kind: str, attempt: int) -> int:
    return next((i for i, e in enumerate(events) if e.kind == kind and e.detail["attempt"] == attempt), -1)


def _trainings(  # noqa: PLR0917
    settings: Settings, topics: Topics, registry: Registry, asked: list[str], folder: Path, killed: int
) -> Iterator[str]:
    """One training run ended in one outcome for each request, and for nothing else; more were begun only by deaths."""
    made = Counter(registry.manifest(version)["trigger_id"] for version in registry.versions())
    made.pop("first")
    if made != Counter(set(asked)):
        yield f"versions were made for {sorted(made.items())}, requests are {asked}"
    if set(registry.store.names("claims")) != set(asked):
        yield "somebody claimed what was not asked for"
    begun = Counter((folder / FITS).read_text().split())
    if not set(asked) <= set(begun) or sum(begun.values()) > len(asked) + killed:
        yield f"{sum(begun.values())} trainings were begun for {len(asked)} requests and {killed} deaths"
    ends = Counter(
        event.trigger_id
        for event in ModelEventLog(settings, topics.models).read()
        if event.kind.value in ("promoted", "rejected") and event.trigger_id != "first"
    )
    if ends != Counter(set(asked)):
        yield f"model.events tells of the ends {ends}"
