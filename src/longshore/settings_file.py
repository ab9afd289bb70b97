"""`longshore.toml` as values, and what is wrong with settings in words: a part of `longshore.config`."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from longshore.errors import ConfigurationError


def read_toml(path: Path) -> dict[str, Any]:
    """The file's values; librdkafka's own as the texts that it takes.

    Raises:
        ConfigurationError: it cannot be read, or is not TOML.

    """
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigurationError(
            f"config file {path}: {error.strerror}", mend="name a readable TOML file with --config"
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(
            f"config file {path} is not TOML: {error}", mend="correct the line it names"
        ) from error
    client = values.get("kafka", {}).get("client") if isinstance(values.get("kafka"), dict) else None
    if isinstance(client, dict):
        values["kafka"]["client"] = {key: _librdkafka_value(value) for key, value in client.items()}
    return values


def _librdkafka_value(value: Any) -> Any:
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, int | float) else value


def explain(error: ValidationError, path: Path | None) -> str:
    """All problems in one line: key, what was found (never a secret's text), what is allowed."""
    problems = []
    for item in error.errors(include_url=False, include_context=False):
        key = ".".join(str(part) for part in item["loc"])
        secret = key.startswith(("kafka.client", "alerts.webhooks", "alerts.alertmanagers")) or "url" in key
        found = "" if secret or item["type"] == "extra_forbidden" else f" = {item['input']!r}"
        reason = "unknown key" if item["type"] == "extra_forbidden" else item["msg"][:1].lower() + item["msg"][1:]
        problems.append(f"{key}{found}: {reason}")
    return f"settings{f' in {path} or the environment' if path else ''}: " + "; ".join(problems)
