"""Who is told: a signed webhook, an Alertmanager, the log. Pure but for the `post` they are given.

Each says how a notice becomes a request. What an answer means, and when to try again, is `tries`'s; the order is
`waiting`'s.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec
import structlog

from longshore.monitor.alerts import signature
from longshore.monitor.alerts.notice import Notice, iso
from longshore.monitor.alerts.tries import ACCEPTED, Answer, Outcome
from longshore.monitor.alerts.waiting import Place, place_of
from longshore.stream import Partitions

log = structlog.get_logger()

JSON = {"content-type": "application/json", "user-agent": "longshore"}


@dataclass(frozen=True, slots=True)
class Request:
    """What is sent by POST. Its address may hold a password, its headers a signature: neither is shown."""

    url: str = field(repr=False)
    headers: dict[str, str] = field(repr=False)
    body: bytes


Post = Callable[[Request], Answer]


class Target:
    """Somebody who is told of state changes, under a `name` that stays."""

    def __init__(self, name: str, url: str = "") -> None:
        self.name = name
        self.url = url

    def deliver(self, notice: Notice, now_s: float, post: Post) -> Answer:
        """Try once; `now_s` is the wall clock's."""
        raise NotImplementedError

    def repeat(self, post: Post) -> Answer | None:
        """Say again what must be said again and again; None where there is nothing."""
        del post
        return None

    def held(self) -> dict[Place, int]:
        """Offsets that must be read again by whoever comes next, though they were delivered."""
        return {}

    def forget(self, partitions: Partitions | None = None) -> None:
        """Partitions are no longer ours, or are read again (None: all)."""
        del partitions


class Log(Target):
    """A line in the service's log for each state change."""

    def deliver(self, notice: Notice, now_s: float, post: Post) -> Answer:  # noqa: D102
        del now_s, post
        log.warning(
            notice.subject,
            id=notice.id,
            kind=notice.kind,
            episode=notice.event.episode,
            since=iso(notice.since_ms),
            moved=[stream.name for stream in notice.moved],
            runbook=notice.runbook,
        )
        return ACCEPTED


class Webhook(Target):
    """A receiver of signed messages; each try has the time of the try, and the same id and body."""

    def __init__(self, name: str, url: str, keys: Sequence[bytes]) -> None:
        super().__init__(name, url)
        self._keys = keys

    def deliver(self, notice: Notice, now_s: float, post: Post) -> Answer:  # noqa: D102
        body = notice.body
        signed = signature.headers(self._keys, notice.id, int(now_s), body)
        return post(Request(self.url, JSON | signed, body))


@dataclass(frozen=True, slots=True)
class Open:
    """An episode an Alertmanager knows as firing: its first notice, and the last one about it."""

    first: Notice
    last: Notice


class Alertmanager(Target):
    """An alert for each open episode, through API v2.

    It resolves by itself what it does not hear of for its `resolve_timeout`: hence `repeat`. So that a restart knows
    what is open, the position stays at the first notice of the oldest open episode (`held`): from there all is read and
    posted again, which Alertmanager takes as the same alert, for its labels are the same.
    """

    def __init__(self, name: str, url: str) -> None:
        super().__init__(name, url.rstrip("/") + "/api/v2/alerts")
        self._open: dict[str, Open] = {}

    def deliver(self, notice: Notice, now_s: float, post: Post) -> Answer:  # noqa: D102
        del now_s
        episode, over = notice.event.episode, _is_over(notice.kind)
        opened = replace(self._open.get(episode) or Open(notice, notice), last=notice)
        answer = post(self._request([alert_of(opened, over=over)]))
        if answer.outcome is Outcome.DELIVERED and episode:
            self._open[episode] = opened
            if over:
                del self._open[episode]
        return answer

    def repeat(self, post: Post) -> Answer | None:  # noqa: D102
        alerts = [alert_of(opened, over=False) for opened in self._open.values()]
        return post(self._request(alerts)) if alerts else None

    def held(self) -> dict[Place, int]:  # noqa: D102
        found: dict[Place, int] = {}
        for opened in self._open.values():
            place, offset = place_of(opened.first), opened.first.source.offset
            found[place] = min(offset, found.get(place, offset))
        return found

    def forget(self, partitions: Partitions | None = None) -> None:  # noqa: D102
        self._open = {
            episode: opened
            for episode, opened in self._open.items()
            if partitions is not None and place_of(opened.first) not in partitions
        }

    def _request(self, alerts: list[dict[str, Any]]) -> Request:
        return Request(self.url, JSON, msgspec.json.encode(alerts))


def alert_of(opened: Open, *, over: bool) -> dict[str, Any]:
    """The alert as API v2 wants it: labels that stay the same through an episode, and what is new as annotations."""
    first, last = opened.first, opened.last
    labels = {
        "alertname": "LongshoreEpisode" if first.event.episode else "LongshoreNotice",
        "severity": "warn",
        "cause": first.event.cause,
        "episode": first.event.episode,
        "model": first.model,
        "stream_set": first.event.stream_set,
    }
    if not first.event.episode:
        labels["kind"] = first.kind
    annotations = {
        "summary": last.subject,
        "description": last.text,
        "runbook_url": last.runbook,
        "kind": last.kind,
        "model_version": last.event.model_version,
    }
    alert: dict[str, Any] = {
        "labels": {name: value for name, value in labels.items() if value},
        "annotations": annotations,
        "startsAt": iso(first.written_ms),
    }
    return alert | ({"endsAt": iso(max(first.written_ms, last.written_ms))} if over else {})


def _is_over(kind: str) -> bool:
    """Whether an event of this kind ends its episode."""
    return kind == "resolved" or kind.endswith(("_resolved", "_over"))
