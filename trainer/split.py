"""Which rows are for testing: a share of a hash of the entity's id, so that an entity is on one side for ever.

Adding, removing or replaying rows moves no entity, and a looped replay cannot leak a training row into the test rows.
Whether the split came out balanced is `longshore.trainer.strata`'s question.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import blake2b

import numpy as np
import numpy.typing as npt

from longshore.columns import Floats

Mask = npt.NDArray[np.bool_]
Indexes = npt.NDArray[np.intp]


def positions(keys: Iterable[str], purpose: bytes = b"split") -> Floats:
    """A place in [0, 1) for every entity id, a function of the id alone; `purpose` (at most 16 bytes) makes others."""
    hashed = [
        int.from_bytes(blake2b(key.encode(errors="surrogatepass"), digest_size=8, person=purpose).digest(), "big")
        for key in keys
    ]
    # 53 bits are what a float64 in [0, 1) holds without rounding up to 1.
    return (np.array(hashed, dtype=np.uint64) >> np.uint64(11)).astype(np.float64) / 2.0**53


def test_mask(keys: Sequence[str], test_share: float) -> Mask:
    """True for the rows of the test split; a larger share only adds entities to it."""
    return positions(keys) < test_share


def fold_of(keys: Sequence[str], folds: int) -> Indexes:
    """The cross-validation fold of each row, 0 … folds − 1: independent of the test split, one fold an entity."""
    return (positions(keys, b"fold") * folds).astype(np.intp)


def group_codes(keys: Sequence[str]) -> Indexes:
    """One number per entity for each row: rows of one entity are one observation to an interval."""
    return np.unique(np.array(keys, dtype=object).astype(str), return_inverse=True)[1].astype(np.intp)
