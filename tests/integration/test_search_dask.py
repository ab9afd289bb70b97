"""Fits on a real Dask cluster, processes of their own, are the fits that are made here."""

from __future__ import annotations

import numpy as np
from tests.extras import extra
from tests.trainer_rows import NUMBERS, make_rows

from longshore.trainer.designs import Design
from longshore.trainer.search.backends import Backend
from longshore.trainer.search.running import Runner

distributed = extra("distributed")

DESIGNS = [
    Design("boosting", "boosting", settings=(("max_iter", 20),)),
    Design("extra trees", "extra trees", settings=(("n_estimators", 10),)),
]


def test_a_cluster_s_scores_are_ours_to_the_last_digit() -> None:
    """Forests among them: their trees must not be added up side by side in a worker."""
    rows = make_rows(NUMBERS, 400)
    here = Runner(rows, 3, 100).score("settings", DESIGNS)
    with (
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster,
        Backend("dask", 2, cluster.scheduler_address).open() as run,
    ):
        there = Runner(rows, 3, 100, None, run).score("settings", DESIGNS)
    for ours, theirs in zip(here, there, strict=True):
        np.testing.assert_array_equal(ours.out_of_fold, theirs.out_of_fold)
