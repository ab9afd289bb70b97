"""The registry: immutable model versions, aliases whose moves are numbered files, claims on retraining requests.

An alias's highest generation file is the only truth about which model is active; Redis and `model.events` are copies
made by `longshore.projector`. Reading paths: `local_folder` for how creation is exclusive, `catalog` for versions and
aliases, `claims` for who trains, `timeline` for what `model.events` must hold.
"""

from longshore.registry.catalog import MODEL_FILE, Registry
from longshore.registry.claims import Claim
from longshore.registry.formats import AliasRecord
from longshore.registry.store import Store, open_store

__all__ = ["MODEL_FILE", "AliasRecord", "Claim", "Registry", "Store", "open_store"]
