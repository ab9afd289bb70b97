"""What met, as errors: pairs of a partition to the deltas that go to `drift.panes`. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from longshore.monitor.errors import Joined, count_errors
from longshore.monitor.groups import Scheme
from longshore.monitor.join_match import Tally
from longshore.monitor.join_store import Kept
from longshore.monitor.messages import ErrorDelta
from longshore.monitor.models import Profiles, Watched


def errors_of(tally: Tally, profiles: Profiles, pane_ms: int, scheme: Scheme | None = None) -> list[ErrorDelta]:
    """By version and route, in order, so that equal tallies give equal bytes; by the scheme's groups, too."""
    groups: dict[tuple[str, str], list[tuple[Kept, float]]] = defaultdict(list)
    for pair in tally.met:
        groups[pair[0].version, pair[0].route].append(pair)
    deltas: list[ErrorDelta] = []
    for (version, route), pairs in sorted(groups.items()):
        watched = profiles.of(version)
        if watched is not None:
            at = len(watched.profile.segmentations)
            grouped = scheme.grouped([one.segments[at:] for one, _ in pairs]) if scheme is not None else None
            deltas += count_errors(watched, joined(watched, version, route, pairs, pane_ms), scheme, grouped)
    return deltas


def joined(watched: Watched, version: str, route: str, pairs: Sequence[tuple[Kept, float]], pane_ms: int) -> Joined:
    """Pairs of one version and route as columns."""
    kept, width = [pair[0] for pair in pairs], len(watched.profile.segmentations)
    segments = np.frombuffer(b"".join(one.segments[:width] for one in kept), dtype=np.int8)
    return Joined(
        version,
        route,
        np.array([one.time for one in kept], dtype=np.int64) // pane_ms,
        np.array([one.prediction for one in kept], dtype=np.float64),
        np.array([label for _, label in pairs], dtype=np.float64),
        np.array([one.low for one in kept], dtype=np.float64),
        np.array([one.high for one in kept], dtype=np.float64),
        segments.astype(np.int64).reshape(len(pairs), -1) if len(segments) else np.zeros((len(pairs), 0), np.int64),
    )
