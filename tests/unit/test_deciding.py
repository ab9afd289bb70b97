"""The deciding role's shell: what leaving the group commits after an error."""

import pytest
from tests.drift_stream import PROFILES, SCHEMA, decider, model_event
from tests.memory_stream import MemoryStream, Record

from longshore.config import Settings
from longshore.errors import FormatError
from longshore.monitor.service_decide import Deciding

PANES = "longshore.drift.panes"


def deciding(monkeypatch):
    one = Deciding(Settings(bootstrap_servers="none:1"), SCHEMA, PROFILES)
    monkeypatch.setattr(one, "_load", lambda _: decider())
    return one


def stream_of(*values):
    return MemoryStream({PANES: [Record(PANES, 0, at, b"ships", value) for at, value in enumerate(values)]}, [PANES])


def test_after_an_error_in_the_middle_of_a_batch_its_offsets_are_not_committed(monkeypatch):
    """They were: the events of what came after the error were then never told."""
    one, stream = deciding(monkeypatch), stream_of(model_event("promoted"), b"no message", model_event("promoted"))
    stream.on_revoked = lambda _: one.finish(stream)
    with pytest.raises(FormatError):
        one.step(stream)
    stream.close()
    assert stream._committed[PANES] == stream.transactions == 0


def test_without_an_error_leaving_the_group_commits_what_was_decided(monkeypatch):
    one, stream = deciding(monkeypatch), stream_of(model_event("promoted"))
    stream.on_revoked = lambda _: one.finish(stream)
    one.step(stream)
    stream.close()
    assert stream._committed[PANES] == stream.transactions == 1
