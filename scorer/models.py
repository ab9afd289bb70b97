"""Which model is in use: a snapshot that the loop takes between transactions, kept fresh by a thread of its own.

All places are asked (Redis, a cache with hints, and the registry, the truth), so that neither can hide what the other
knows. A newer champion passes the checks of `longshore.scorer.checks` before it replaces the model in use; one that
does not is refused with its reason, and scoring goes on with what it has. Neither a place that is away or silent nor a
bad model stops or delays scoring: everything here happens in the following thread.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Protocol, TypeVar

import structlog

from longshore import telemetry
from longshore.errors import LongshoreError, UnavailableError
from longshore.heap import trim_heap
from longshore.manifest import FILES, Stated
from longshore.schema import Schema
from longshore.scorer.checks import Admitted, Candidate, Reason, Refusal, RefusedError, Rules, check_bytes
from longshore.scorer.moves import Moves
from longshore.scorer.waits import MAX_SILENCE, MAX_WAIT, NEVER, Tried, Wait
from longshore.served_model import Served
from longshore.signing import Keyring

T = TypeVar("T")

log = structlog.get_logger()

SPREAD_S = 0.25
"""A hint reaches every replica at once: each waits a part of this, so that they do not all load at the same moment."""


@dataclass(frozen=True, slots=True)
class Active:
    """The model in use and where it came from.

    `half_width` of the interval around its predictions; None where none is published, or the version has none.
    """

    version: str
    generation: int
    model: Served
    half_width: float | None = None


class ModelPlace(Protocol):
    """Somewhere the champion may be found: the cache or the registry. Any call may raise a LongshoreError."""

    name: str

    def champion(self) -> Candidate | None:
        """The present champion, None where there is none."""
        ...

    def manifest(self, candidate: Candidate) -> Stated | None:
        """The version's manifest; None where it is not there."""
        ...

    def fetch(self, candidate: Candidate) -> bytes | None:
        """The bytes of `candidate.file`; None where they are not there."""
        ...


def _no_keys() -> Keyring:
    return Keyring.of(())


def _no_objection(candidate: Candidate) -> str | None:
    del candidate
    return None


class Models:
    """Holds the active model; `refresh` asks the places and swaps when there is a newer generation that is sound.

    `trusted` gives the keys of the moment, `objection` what the registry has against a pointer (None: nothing;
    UnavailableError: it cannot be asked), `on_refusal` is told of each refusal once.
    """

    def __init__(
        self,
        schema: Schema,
        places: list[ModelPlace],
        *,
        model: str = "",
        format: str = "onnx",
        interval: float | None = None,
        trusted: Callable[[], Keyring] = _no_keys,
        objection: Callable[[Candidate], str | None] = _no_objection,
        on_refusal: Callable[[Refusal], None] = lambda _: None,
    ) -> None:
        self._rules = Rules(schema, model, format, interval)
        self._places = places
        self._trusted = trusted
        self._moves = Moves(objection)
        self._on_refusal = on_refusal
        self._active: Active | None = None
        self._round = 0
        self._silent: dict[str, Wait] = {}
        self._held_back: dict[Tried, Wait] = {}
        self._warned = False

    def active(self) -> Active | None:
        """One snapshot: use it for a whole transaction."""
        return self._active

    def refresh(self) -> bool:
        """Look for a newer champion and take it into use; True if the model changed."""
        self._round += 1
        self._confirm()
        newer = list(dict.fromkeys(self._newer()))
        keys = self._trusted() if newer else _no_keys()
        tried = {Tried(candidate, frozenset(keys.keys)): candidate for candidate in newer}
        self._held_back = {key: wait for key, wait in self._held_back.items() if key in tried}
        # The highest generation first: a pointer that is too good to be true must not hide the next one.
        for key, candidate in sorted(tried.items(), key=lambda item: -item[1].generation):
            wait = self._held_back.setdefault(key, Wait())
            if wait.until <= self._round and self._take(candidate, keys, wait):
                self._held_back.clear()
                return True
        return False

    def follow(self, stop: threading.Event, wake: threading.Event, interval_s: float) -> None:
        """Refresh every `interval_s`, or within `SPREAD_S` of `wake`, until `stop`: a thread's body."""
        changed = False
        while not stop.is_set():
            try:
                if changed:
                    trim_heap()  # a round later: what the swap itself needed is over
                changed = self.refresh()
            except Exception:  # a bug here must not end the following: scorers would stay on this model unnoticed
                log.exception("looking for a newer model failed")
            if wake.wait(interval_s):
                stop.wait(random.uniform(0.0, SPREAD_S))  # noqa: S311  (no secret)
            wake.clear()

    def _newer(self) -> Iterator[Candidate]:
        """Every place's champion, where it is newer than the model in use."""
        for place in self._answering():
            try:
                candidate = place.champion()
            except LongshoreError as error:
                self._does_not_answer(place, error)
                continue
            if self._silent.pop(place.name, None):
                log.info("model place answers again", place=place.name)
            if candidate is not None and candidate.generation > self._floor():
                yield candidate

    def _floor(self) -> int:
        """Only a higher generation is news; any is, where the model in use should never have been."""
        return 0 if self._active is None or self._moves.disowned else self._active.generation

    def _confirm(self) -> None:
        """Tell once of a model in use that no move made champion."""
        found = self._moves.look_again()
        if found is None:
            return
        candidate, objection = found
        log.error("the model in use was never made champion; any other replaces it", reason=objection)
        telemetry.MODEL_SWAPS.labels("refused", Reason.UNCONFIRMED.value).inc()
        self._on_refusal(Refusal(candidate.version, candidate.generation, Reason.UNCONFIRMED, objection))

    def _answering(self) -> list[ModelPlace]:
        return [place for place in self._places if self._silent.get(place.name, NEVER).until <= self._round]

    def _does_not_answer(self, place: ModelPlace, error: LongshoreError) -> None:
        telemetry.CACHE_ERRORS.inc()
        if place.name not in self._silent:
            log.warning("model place does not answer; scoring goes on", place=place.name, error=str(error))
        self._silent.setdefault(place.name, Wait()).fail(self._round, first=1, most=MAX_SILENCE)

    def _take(self, candidate: Candidate, keys: Keyring, wait: Wait) -> bool:
        telemetry.MODEL_TRUSTED_KEYS.set(len(keys.keys))
        try:
            confirmed = self._moves.confirms(candidate, wait)
            with telemetry.MODEL_LOAD_SECONDS.time():
                admitted = self._admitted(candidate, keys)
                model = self._rules.load(self._bytes(candidate, admitted), admitted)
        except RefusedError as refused:
            self._refuse(candidate, refused, wait)
            return False
        self._use(candidate, model, admitted)
        self._moves.used(candidate, confirmed=confirmed)
        return True

    def _admitted(self, candidate: Candidate, keys: Keyring) -> Admitted:
        """What the first manifest that passes admits; without any manifest, what the pointer alone does."""

        def admit(place: ModelPlace) -> Admitted | None:
            stated = place.manifest(candidate)
            return None if stated is None else self._rules.admit(candidate, stated, keys)

        return self._first(admit) or self._rules.admit(candidate, None, keys)

    def _bytes(self, candidate: Candidate, admitted: Admitted) -> bytes:
        """The first place's bytes that are what was admitted."""
        wanted = replace(candidate, sha256=admitted.sha256, file=FILES[self._rules.format])

        def fetch(place: ModelPlace) -> bytes | None:
            data = place.fetch(wanted)
            if data is not None:
                check_bytes(data, admitted)
            return data

        found = self._first(fetch)
        if found is None:
            raise RefusedError(Reason.MISSING, "its bytes are nowhere")
        return found

    def _first(self, ask: Callable[[ModelPlace], T | None]) -> T | None:
        """The first place's answer; None where no place has one.

        Raises:
            RefusedError: some place had one that was refused, and no other a good one.

        """
        refusals = []
        for place in self._answering():
            try:
                found = ask(place)
            except UnavailableError as error:
                self._does_not_answer(place, error)
                refusals.append(RefusedError(Reason.MISSING, f"{place.name}: {error}"))
            except LongshoreError as error:
                refused = RefusedError.of(error)
                refusals.append(RefusedError(refused.reason, f"{place.name}: {refused.what}"))
            else:
                if found is not None:
                    return found
        if refusals:
            telling = next((one for one in refusals if one.reason is not Reason.MISSING), refusals[0])
            raise RefusedError(telling.reason, "; ".join(one.what for one in refusals))
        return None

    def _use(self, candidate: Candidate, model: Served, admitted: Admitted) -> None:
        if self._active is not None:
            telemetry.MODEL_GENERATION.remove(self._active.version)
        self._active = Active(candidate.version, candidate.generation, model, admitted.half_width)
        telemetry.MODEL_GENERATION.labels(candidate.version).set(candidate.generation)
        telemetry.MODEL_SWAPS.labels("used", "").inc()
        log.info(
            "model in use",
            version=candidate.version,
            generation=candidate.generation,
            sha256=admitted.sha256,
            signed_by=admitted.signed_by or "nobody",
        )
        if not admitted.signed_by and not self._warned:
            self._warned = True
            log.warning(
                "MODELS ARE NOT SIGNED: no key is trusted here, so whoever can write to Redis or the registry decides "
                "what is served; share the trainer's home or set LONGSHORE_SIGNING__TRUSTED (docs/models.md)"
            )

    def _refuse(self, candidate: Candidate, refused: RefusedError, wait: Wait) -> None:
        """Tell it once, and try again later: at once what may only not have come yet, less and less often the rest."""
        late = refused.reason is Reason.MISSING
        soon = late or refused.reason is Reason.UNCONFIRMED  # one listing, nothing is parsed
        wait.fail(self._round, first=1 if soon else 2, most=1 if soon else MAX_WAIT)
        # A registry on a network may show a move a moment after Redis: the second look decides.
        unsure = refused.reason is Reason.UNCONFIRMED and wait.failures == 1
        if unsure:
            wait.until = self._round + 1
        move = (candidate.version, candidate.generation, refused.reason)
        if unsure or move in self._told():
            return
        wait.told = move
        telemetry.MODEL_SWAPS.labels("late" if late else "refused", refused.reason.value).inc()
        told = {"version": candidate.version, "generation": candidate.generation, "reason": refused.what}
        if late:
            log.warning("model not there yet", **told)
            return
        log.error("model refused", kind=refused.reason.value, **told)
        self._on_refusal(Refusal(candidate.version, candidate.generation, refused.reason, refused.what))

    def _told(self) -> set[tuple[str, int, Reason] | None]:
        """What is refused now and was told: a pointer and the registry's own candidate are one move."""
        return {wait.told for wait in self._held_back.values()}
