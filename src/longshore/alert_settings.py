"""The settings of `[alerts]`, a part of `longshore.config`: who is told of the monitor's state changes, and how."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator

from longshore.records import OF_WINDOWS

CLOSED = ConfigDict(frozen=True, extra="forbid")
"""As `config.Section`, which imports from here: frozen, and without unknown keys. (Shared through a third module, ruff
no longer sees that these are pydantic models, and takes their defaults for class attributes.)"""


class WebhookSettings(BaseModel):
    """One receiver of signed messages. `secret`, or the text of `secret_file`: one or several, apart by white space.

    Each signs (docs/alerts.md): with two the receiver may change from one to the other at its leisure.
    """

    model_config = CLOSED

    url: SecretStr
    secret: SecretStr | None = None
    secret_file: Path | None = None


class AlertSettings(BaseModel):
    """Who is told of the monitor's state changes (docs/alerts.md): webhooks and Alertmanagers by name, and the log.

    `quiet_kinds`: kinds of events that are not told. A try ends after `timeout_s`; the next comes after `backoff_s`,
    doubled each time up to `max_backoff_s`. `refused_tries`: after so many refusals (a 4xx that is not about load) a
    state change is passed over; 0: never. `repeat_s`: how often an Alertmanager hears of an open episode.
    `look_back_s`: where a target that was never told anything begins. `runbooks`: an address before the pages' names.
    """

    model_config = CLOSED

    webhooks: dict[str, WebhookSettings] = {}
    alertmanagers: dict[str, SecretStr] = {}
    log: bool = True
    quiet_kinds: tuple[str, ...] = OF_WINDOWS
    timeout_s: float = Field(default=10.0, gt=0, le=30)
    backoff_s: float = Field(default=1.0, gt=0)
    max_backoff_s: float = Field(default=60.0, gt=0)
    refused_tries: int = Field(default=0, ge=0)
    repeat_s: float = Field(default=60.0, gt=0)
    look_back_s: float = Field(default=3_600.0, ge=0)
    runbooks: str = ""

    @field_validator("webhooks", "alertmanagers")
    @classmethod
    def _named(cls, targets: dict[str, Any]) -> dict[str, Any]:
        if any(not re.fullmatch(r"[A-Za-z0-9_-]{1,40}", name) for name in targets):
            raise ValueError("a target's name is 1 to 40 letters, digits, _ and -: it becomes part of a group's name")
        return targets
