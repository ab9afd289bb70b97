"""What only drift is told in: the metrics' names, and what lies outside a reference."""

from __future__ import annotations

from longshore.monitor.significance import OUTSIDE_FLOOR
from longshore.pages.wording import share_text

METRICS = {"psi": "PSI", "kl": "KL", "js": "JS", "wasserstein": "Wasserstein", "ks": "KS"}
"""The metrics with their short names, in the order in which they are shown."""


def outside_text(share: float) -> str:
    """What the outside test saw in a stream that alarms; empty where it is too little to matter."""
    return (
        f"{share_text(share)} of its values lie outside all that the reference held" if share >= OUTSIDE_FLOOR else ""
    )
