"""What a broker says of its own settings: how short a member's session may be is chosen by it."""

from __future__ import annotations

import pytest

from longshore.config import Settings
from longshore.errors import UnavailableError
from longshore.kafka.admin import broker_setting
from longshore.kafka.consuming import member_config

pytestmark = pytest.mark.integration


def test_a_broker_tells_its_settings(settings: Settings) -> None:
    assert broker_setting(settings, "group.min.session.timeout.ms") == "1000"
    assert broker_setting(settings, "no.such.setting") is None
    assert member_config(settings, "g")["session.timeout.ms"] == 4_000


def test_nobody_answers() -> None:
    with pytest.raises(UnavailableError):
        broker_setting(Settings(bootstrap_servers="127.0.0.1:1"), "group.min.session.timeout.ms")
