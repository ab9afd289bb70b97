"""Chances that depend on a seed, a purpose and a record's number, and on nothing else.

A hash instead of a running generator: the same record has the same fate however the stream is cut into blocks.
"""

from __future__ import annotations

from hashlib import blake2b

import numpy as np

from longshore.columns import Floats
from longshore.producers.rows import Index


def uniform(seed: int, purpose: str, index: Index) -> Floats:
    """float64[n] in [0, 1): SplitMix64 (Steele, Lea, Flood 2014) of each number under a key of seed and purpose."""
    key = np.frombuffer(blake2b(f"{seed}/{purpose}".encode(), digest_size=16).digest(), dtype=np.uint64)
    mixed = _finish(index.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15) + key[:1])
    mixed = _finish(mixed ^ key[1:])
    return (mixed >> np.uint64(11)).astype(np.float64) * 2.0**-53


def _finish(z: np.ndarray[tuple[int, ...], np.dtype[np.uint64]]) -> np.ndarray[tuple[int, ...], np.dtype[np.uint64]]:
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(z ^ (z >> np.uint64(31)))
