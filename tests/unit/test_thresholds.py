"""A user's own limits: they decide for the streams they name, as written, and nothing else changes."""

import numpy as np
import pandas as pd
import pytest
from tests.drift_stream import counter, decider, model_event, predictions, rows

from longshore.errors import ConfigurationError
from longshore.monitor import Reference
from longshore.monitor.decide import decide_all
from longshore.monitor.messages import encode
from longshore.monitor.panes import Tally
from longshore.monitor.thresholds import Thresholds


def people(count, seed, factor=1.0):
    random = np.random.default_rng(seed)
    return pd.DataFrame({"income": random.lognormal(1.2, 0.5, count) * factor, "age": random.integers(1, 52, count)})


@pytest.fixture(scope="module")
def report():
    return Reference.fit(people(3_000, 0)).compare(people(800, 1, factor=1.3))


def judged(report, given):
    return Thresholds.of(given, ["income", "age"]).apply(report)


def test_none_given_changes_nothing(report):
    assert judged(report, {}) == report
    assert report.alert


def test_a_general_limit_decides_for_every_stream(report):
    psi = {stream.name: stream.psi for stream in report.streams}
    assert not judged(report, {"psi": psi["income"] * 1.01}).alert
    found = judged(report, {"psi": psi["income"]})
    assert [(stream.name, stream.alert, stream.fixed) for stream in found.streams] == [
        ("income", True, {"psi": psi["income"]}),
        ("age", False, {"psi": psi["income"]}),
    ]


def test_a_streams_own_limit_goes_first_and_leaves_the_others_calibrated(report):
    quiet = judged(report, {"income.ks": 0.99, "income.psi": 99.0})
    assert not quiet.alert
    loud = judged(report, {"psi": 99.0, "age.psi": 1e-9})
    assert [stream.name for stream in loud.streams if stream.alert] == ["age"]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"pis": 0.1}, "threshold pis: no such metric"),
        ({"rooms.psi": 0.1}, "threshold rooms.psi: no such stream"),
        ({"psi": 0.0}, "threshold psi is 0.0"),
        ({"age.ks": float("nan")}, "threshold age.ks is nan"),
    ],
)
def test_what_cannot_be_is_named(given, words):
    with pytest.raises(ConfigurationError, match=words):
        Thresholds.of(given, ["income", "age"])


@pytest.mark.parametrize(("limit", "alerts"), [(99.0, 0), (0.05, 1)])
def test_the_stream_is_judged_by_them(limit, alerts):
    tally, pane_counter = Tally(), counter()
    values = predictions(rows(4_000, 3, factor=1.4))
    pane_counter.count(tally, values, list(range(len(values))))
    outputs = decide_all(
        decider(thresholds={"psi": limit}),
        enumerate([model_event("promoted"), encode(tally.message(0, 1))]),
    )
    assert sum(event.kind == "alert" for event in outputs.events) == alerts
