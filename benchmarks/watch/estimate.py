"""The error expected without labels against the realised one, beside NannyML's DLE: the housing file in its own order.

For every seed whole regions of the map (cells of one degree, drawn until a quarter of the rows) are held out of the
training. Half of what is left is the product's: its own split, its own quick model, out-of-sample predictions for all
of it, from which the loss regressor and DLE are fitted, both on the same rows. Everything else is the stream, in the
file's own, geographic order, in chunks of 500. A chunk is *out of support* if at least half of its rows are of regions
that were held out; that knows nothing of the flag. The others are all other chunks, mixed ones too.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from benchmarks.drift import data
from benchmarks.drift.intervals import ratio_of_sums, share
from benchmarks.drift.peers_setup import prepare, python_of
from benchmarks.scoring.world import BENCH, tell
from benchmarks.watch.plan import Plan
from scipy import stats

from longshore.columns import Floats
from longshore.config import TrainerSettings
from longshore.loss_model import LossModel
from longshore.monitor.estimate import estimate_of, totals_of
from longshore.schema import districts
from longshore.trainer.fit import predict
from longshore.trainer.loss import fit_loss, refit_of
from longshore.trainer.loss_export import loss_onnx
from longshore.trainer.making import make
from longshore.trainer.rows import LabelledRows, concatenate, from_frame
from longshore.trainer.split import test_mask

Marks = npt.NDArray[np.bool_]

CHUNK = 500
HELD_OUT = 0.25
FIRST_SEED = 200
"""The regressor was made on seeds 0 to 9, and seen once on 100 to 119."""

WINDOW = 1_000
WINDOWS = 25
"""Of a seed, undrifted windows of rows with support, drawn at random: in them nothing has grown."""

SCHEMA = districts()
PEER = Path(__file__).with_name("peers") / "nannyml_dle.py"


@cache
def housing() -> tuple[LabelledRows, npt.NDArray[np.int64]]:
    """All rows in the file's order, and the number of each row's region."""
    frame = data.housing()
    place = np.floor(frame[list(SCHEMA.place or ())].to_numpy(dtype=np.float64)).astype(np.int64)
    rows = from_frame(frame.assign(**{SCHEMA.key: [str(i) for i in range(len(frame))]}), SCHEMA)
    return rows, np.unique(place, axis=0, return_inverse=True)[1].ravel()


def held_out(seed: int) -> Marks:
    """Rows of regions that nobody is trained on."""
    _, region = housing()
    held, most = np.zeros(len(region), dtype=np.bool_), HELD_OUT * len(region)
    for number in np.random.default_rng([seed, 21]).permutation(int(region.max()) + 1):
        if held.sum() + (region == number).sum() <= most:
            held |= region == number
    return held


def measure(plan: Plan, results: dict[str, Any]) -> None:
    """Estimates by chunk and seed, ours and DLE's."""
    place = BENCH / "watch-estimate"
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    seeds = [FIRST_SEED + i for i in range(plan.estimate_seeds)]
    found = {}
    for seed in seeds:
        found[seed] = _ours(seed, place)
        tell(f"  estimate: seed {seed}")
    theirs, problem = _dle(plan, place)
    shutil.rmtree(place)
    results["estimate"] = _judged(found, theirs) | {"problem": problem, "chunk": CHUNK, "held_out": HELD_OUT}


def _ours(seed: int, place: Path) -> dict[str, Any]:
    rows, _ = housing()
    held = held_out(seed)
    mine = ~held & (np.random.default_rng([seed, 22]).random(len(rows)) < 0.5)
    own, stream = rows.take(np.flatnonzero(mine)), rows.take(np.flatnonzero(~mine))
    settings = TrainerSettings(search="quick")
    fresh, test = own.split(test_mask(own.columns.keys, settings.test_share))
    made = make(fresh, None, settings, lambda *_: None)
    known = concatenate([fresh, test])
    predictions = np.concatenate([made.out_of_fold, predict(made.pipeline, test)])
    loss = fit_loss(known, predictions, refit_of(made.pipeline), seed=settings.seed)
    assert loss is not None
    model, now = LossModel.load(loss_onnx(loss), SCHEMA), predict(made.pipeline, stream)
    _store(place / f"{seed}.npz", (known, predictions), (stream, now))
    expected, outside = model.expected(_values(stream, now), stream.columns.nominal)
    errors, strange = np.abs(now - stream.target), held[~mine]
    return {
        "chunks": [_chunk(model, (expected, outside, errors, strange), slice(at, at + CHUNK))
                   for at in range(0, len(errors) - CHUNK + 1, CHUNK)],
        "grew": _grown(model, (expected, outside, errors), np.flatnonzero(~strange), seed),
    }  # fmt: skip


def _chunk(model: LossModel, of: tuple[Floats, Marks, Floats, Marks], at: Any) -> dict[str, Any]:
    expected, outside, errors, strange = (values[at] for values in of)
    found = estimate_of(totals_of(expected, outside, model.spec.scale), model.spec, len(errors))
    assert found is not None
    realised = float(errors.mean())
    return {
        "realised": realised, "ours": found.mae, "low": found.low, "high": found.high, "unreliable": found.unreliable,
        "share": float(strange.mean()), "marked": found.out_of_support, "validation": found.validation,
    }  # fmt: skip


def _grown(model: LossModel, of: tuple[Floats, Marks, Floats], within: Any, seed: int) -> list[bool]:
    """Undrifted windows in which the estimate is said to have grown."""
    random, told = np.random.default_rng([seed, 23]), []
    for _ in range(WINDOWS):
        expected, outside, errors = (values[random.choice(within, WINDOW, replace=False)] for values in of)
        found = estimate_of(totals_of(expected, outside, model.spec.scale), model.spec, len(errors))
        told.append(found is not None and found.grew)
    return told


def _values(rows: LabelledRows, predictions: Floats) -> Floats:
    return np.concatenate([rows.columns.numeric, predictions[:, np.newaxis]], axis=1).T


def _store(path: Path, reference: tuple[LabelledRows, Floats], analysis: tuple[LabelledRows, Floats]) -> None:
    columns: dict[str, Any] = {}
    for period, (rows, predictions) in (("reference", reference), ("analysis", analysis)):
        frame = rows.columns.frame().assign(prediction=predictions)
        for name in frame:
            numeric = frame[name].dtype != object
            columns[f"{period}-{name}"] = frame[name].to_numpy() if numeric else frame[name].to_numpy().astype(str)
    np.savez(path, **columns, **{"reference-label": reference[0].target})


def _dle(plan: Plan, place: Path) -> tuple[dict[str, list[float]], str]:
    if not plan.peers:
        return {}, "left out"
    if problem := prepare("nannyml"):
        return {}, problem
    done = subprocess.run(
        [str(python_of("nannyml")), str(PEER), str(place)], capture_output=True, text=True, check=False, timeout=7_200
    )
    if done.returncode:
        return {}, done.stderr[-300:]
    return json.loads((place / "out.json").read_text()), ""


def _judged(found: dict[int, dict[str, Any]], theirs: dict[str, list[float]]) -> dict[str, Any]:
    seeds = [
        [chunk | {"dle": theirs[str(seed)][i]} if theirs else chunk for i, chunk in enumerate(of["chunks"])]
        for seed, of in found.items()
    ]
    kinds = {"all": lambda _: True, "out of support": _out, "the others": lambda c: not _out(c)}
    deviations = [_deviation(name, seeds, take) for name, take in kinds.items()]
    out = [[chunk for chunk in of if _out(chunk)] for of in seeds]
    others = [[chunk for chunk in of if not _out(chunk)] for of in seeds]
    pure = [[chunk for chunk in of if chunk["share"] < 0.1] for of in seeds]
    flags = {"out of support": out, "the others": others, "of those, under a tenth held out": pure}
    reliable = [[chunk for chunk in of if not chunk["unreliable"]] for of in seeds]
    held = {"all chunks": seeds, "not flagged": reliable}
    return {
        "deviations": deviations,
        "flags": {name: _share(of, lambda c: c["unreliable"]) for name, of in flags.items()},
        "coverage": {name: _share(of, lambda c: c["low"] <= c["realised"] <= c["high"]) for name, of in held.items()},
        "grew": _share([[{"grew": one} for one in of["grew"]] for of in found.values()], lambda c: c["grew"]),
        "chunks": {str(seed): chunks for seed, chunks in zip(found, seeds, strict=True)},
    }


def _out(chunk: dict[str, Any]) -> bool:
    return bool(chunk["share"] >= 0.5)


def _share(groups: list[list[dict[str, Any]]], told: Any) -> dict[str, Any]:
    return share([np.array([told(chunk) for chunk in of], dtype=np.bool_) for of in groups if of]).to_dict()


def _deviation(name: str, seeds: list[list[dict[str, Any]]], take: Any) -> dict[str, Any]:
    """Mean |estimated − realised| over chunks by seed, ours and DLE's, and their ratio in two ways."""

    def of(who: str) -> list[float]:
        kept = [[c for c in chunks if take(c)] for chunks in seeds]
        return [float(np.mean([abs(c[who] - c["realised"]) for c in chunks])) for chunks in kept if chunks]

    ours, constant = of("ours"), of("validation")
    told: dict[str, Any] = {"chunks": name, "ours": ours, "validation": constant}
    if "dle" in seeds[0][0]:
        theirs = of("dle")
        logs = np.log(np.array(ours) / np.array(theirs))
        half = (
            float(stats.t.ppf(0.975, len(logs) - 1) * logs.std(ddof=1) / np.sqrt(len(logs)))
            if len(logs) > 1
            else np.inf
        )
        middle = float(logs.mean())
        told |= {
            "dle": theirs,
            "ratio": ratio_of_sums(list(zip(ours, theirs, strict=True))).to_dict(),
            "paired": dict(zip(("value", "low", "high"), np.exp([middle, middle - half, middle + half]), strict=True)),
        }  # fmt: skip
    return told
