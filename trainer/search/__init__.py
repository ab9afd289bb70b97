"""Which design is best: the shortlist and the search of a run, on training rows only, the same for the same seed.

What it found stands in a version's manifest under `search`, for reports and for whoever asks why. Its shape is stable;
every RMSE is cross-validated, in the target's unit, and every interval is [lo, hi] at 95 %:

    {
      "profile": "quick" | "full",
      "rows": training rows searched on, "folds": 3, "fits": fits made, "fits_allowed": the budget (null: quick),
      "stopped": null, or why the search ended before its plan did ("fits", "seconds"),
      "chosen": the name of the chosen candidate, "why": one sentence,
      "candidates": [                          # best first, at most 200
        {"name": "boosting 7", "stage": "shortlist" | "preparation" | "settings" | "mixture" | "bounds"
                                  | "training set",
         "share": part of each fold's training rows it was fitted on (1.0: all),
         "rmse": 40123.4, "interval": [..], "fold_rmse": [..], "train_rmse": 31000.2,
         "fits": 3, "seconds": 12.3 (processor time),
         "servable": true, "design": {"family": "boosting", "preparation": {..}, "settings": {..}, "seed": 42}
                                     (a mixture: "members": [{"weight": .., "family": ..}, ..] for "settings")}],
      "learning_curve": [                      # of the chosen one, fewest rows first; a mixture's from its members
        {"rows": 2750, "train_rmse": .., "rmse": .., "interval": [..]}],
      "importances": [                         # of the chosen one, most important first, at most 20
        {"column": "median_income", "rmse_increase": mean over them of the RMSE added by permuting the column,
         "by_fold": [..] (the folds it was measured on: the largest)}]
    }

The ten best candidates' out-of-fold predictions (float32, a number for each training row, in the order of the
training set's rows without the test rows) stand in the version's file `candidates.npz`, by name. `quick` has no such
file, and the training sets' candidates only (`fresh`, and `fresh+history` after a drift).
"""
