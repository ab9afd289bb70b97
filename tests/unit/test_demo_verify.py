"""The demo's summary where the gate rightly keeps the champion, and where it may not."""

from types import SimpleNamespace

import pytest

from longshore.cli.demo.verify import Found, _kept
from longshore.records import ModelEvent, ModelEventKind, RetrainRequest, Window

REQUEST = RetrainRequest("t1", "covariate", "v1", Window(0, 1, 1), [], "e1")


def event(kind, trigger):
    return ModelEvent(kind, "default", "v2", 0, trigger, "trainer", "RMSE 40,386 against 40,243; more", 0)


@pytest.mark.parametrize(
    ("scenario", "kinds", "kept"),
    [
        ("migration", [ModelEventKind.REJECTED], True),
        ("migration", [ModelEventKind.REJECTED, ModelEventKind.PROMOTED], False),
        ("migration", [], False),
        ("income-inflation", [ModelEventKind.REJECTED], False),
    ],
)
def test_a_rejection_answers_a_request_where_prices_still_mean_the_same(scenario, kinds, kept):
    found = Found(requests=[REQUEST], models=[event(kind, "t1") for kind in kinds])
    check = _kept(SimpleNamespace(scenario_name=scenario), found)
    assert (check is not None) is kept
    assert check is None or (check.held and check.found.endswith("RMSE 40,386 against 40,243"))


def test_a_rejection_of_nobody_s_request_is_no_answer():
    found = Found(requests=[REQUEST], models=[event(ModelEventKind.REJECTED, "by hand")])
    assert _kept(SimpleNamespace(scenario_name="migration"), found) is None
