"""A model version's profile with its layout, loaded once: what both roles bin and judge by."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace

from longshore.loss_model import LossModel
from longshore.monitor.layout import FineLayout
from longshore.profile import Profile

PREDICTION = "prediction"
"""The stream of the model's output, beside the schema's features."""


@dataclass(frozen=True, slots=True, eq=False)
class Watched:
    """A version's profile, its layout, and the layout's name (a hash of the profile's bytes).

    `loss` expects the version's errors; None where it has no loss regressor, or nobody is to ask one.
    """

    profile: Profile
    layout: FineLayout
    name: str
    loss: LossModel | None = None

    @classmethod
    def of(cls, data: bytes) -> Watched:
        """From a version's `profile` file."""
        profile = Profile.from_bytes(data)
        return cls(profile, FineLayout.of_profile(profile), hashlib.sha256(data).hexdigest()[:12])


class Profiles:
    """Versions' profiles by name, each read once through `read` (bytes of a version's profile, None if unknown).

    `read_loss` gives a version's loss regressor, None where it has none.
    """

    def __init__(
        self, read: Callable[[str], bytes | None], read_loss: Callable[[str], LossModel | None] = lambda _: None
    ) -> None:
        self._read = read
        self._read_loss = read_loss
        self._held: dict[str, Watched] = {}

    def of(self, version: str) -> Watched | None:
        """The version's profile, None for one the registry does not hold (asked again the next time)."""
        if version not in self._held:
            data = self._read(version)
            if data is None:
                return None
            self._held[version] = replace(Watched.of(data), loss=self._read_loss(version))
        return self._held[version]
