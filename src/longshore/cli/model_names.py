"""What `longshore model …` is given: a registry, a version by its name or by an alias, and who is acting."""

from __future__ import annotations

import getpass
import os
import socket
from collections.abc import Sequence

from longshore.cli.app import App
from longshore.errors import ConfigurationError
from longshore.registry import AliasRecord, Registry

ALIASES = ("champion", "challenger", "previous")


def opened(app: App) -> Registry:
    """The registry that the settings name."""
    return Registry.open(app.settings.registry(), app.settings.model)


def resolve(registry: Registry, name: str) -> tuple[str, AliasRecord | None]:
    """The version an argument means, and the latest move that made it champion (or what the alias says)."""
    if name not in ALIASES:
        registry.manifest(name)
        moves = [record for record in registry.history() if record.version == name]
        return name, moves[-1] if moves else None
    record = registry.alias(name)
    if record is not None:
        return record.version, record
    versions = registry.versions()
    require_some(registry, versions)
    mend = f"promote one of {', '.join(versions)} with `longshore model promote`"
    raise ConfigurationError(f"model {registry.model} has no {name} version", mend=mend)


def require_some(registry: Registry, versions: Sequence[str]) -> None:
    """Say how to fill a registry that has none."""
    if not versions:
        raise ConfigurationError(
            f"the registry holds no version of model {registry.model}", mend="run `longshore train`"
        )


def actor() -> str:
    """Who goes into the history."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = f"uid{os.getuid()}"  # a container's user without a name
    return f"{user}@{socket.gethostname()}"
