"""What a manifest tells of a version, as sections: what it is for, its data, how it is served.

A manifest of another version of the program may lack any part: then nothing is said of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from longshore.pages.wording import count_text, listed, value_text
from longshore.schema import Schema
from longshore.trainer.pages.contents import Section, Table

Manifest = Mapping[str, Any]


def purpose(manifest: Manifest, schema: Schema) -> Section:
    """What the version is for, by the framing, and what it needs to be asked."""
    framing = _part(manifest, "framing")
    told = []
    if goal := framing.get("goal"):
        told.append(f"Goal: {goal}")
    if kpi := framing.get("kpi"):
        told.append(f"What the business counts: {kpi}")
    success = _part(framing, "success")
    if limit := success.get("at_most"):
        told.append(f"Good enough: {str(success.get('metric', 'rmse')).upper()} of {value_text(limit)} at most.")
    told.append(
        f"It predicts {schema.target} for one {schema.name} record from {listed(list(schema.feature_names), 12)}; "
        "for records like those it was trained on, and for nothing else."
    )
    rows = [
        ("yes" if each.get("held") else "no", str(each.get("check", "")), str(each.get("found", "")))
        for each in framing.get("assumptions") or ()
    ]
    table = Table(
        "What was assumed, and whether the training data bear it out.", ("holds", "assumption", "found"), rows
    )
    return Section("What it is for", told, [table] if rows else [])


def classes(manifest: Manifest) -> list[Table]:
    """How well two classes are told apart; nothing where the target is a number."""
    found = _part(_part(manifest, "metrics"), "classification")
    if not found:
        return []
    confusion, names = _part(found, "confusion"), {"f1": "F1", "auc_roc": "AUC-ROC"}
    figures = [
        (names.get(name, name), value_text(found.get(name)))
        for name in ("accuracy", "precision", "recall", "f1", "auc_roc")
    ]
    counts = [
        (f"truly {true}", *(f"{int(confusion.get(f'{right}_{said}', 0)):,}" for right, said in cells))
        for true, cells in (
            ("1", (("true", "positive"), ("false", "negative"))),
            ("0", (("false", "positive"), ("true", "negative"))),
        )
    ]
    told = f"A prediction of {value_text(found.get('threshold'))} or more says 1."
    return [
        Table(f"As two classes, on the test rows. {told}", ("metric", "value"), figures),
        Table("The confusion matrix: test rows.", ("", "said 1", "said 0"), counts),
    ]


def data(manifest: Manifest) -> Section:
    """The rows it learned from and was judged on, and how they were divided."""
    dataset, split, metrics = (_part(manifest, name) for name in ("dataset", "split", "metrics"))
    rows, source = count_text(dataset.get("rows", 0), "row"), dataset.get("source", "an unknown source")
    told = [f"{rows} from {source}, sha256 {dataset.get('sha256', '–')}."]
    if history := dataset.get("history"):
        told.append(
            f"{count_text(history, 'row')} of them are history: older than the change that asked for this model."
        )
    if (train := metrics.get("rows_train")) and (test := metrics.get("rows_test")):
        balance = {"True": " Strata came out alike on both sides.", "False": " Strata differ more than by chance."}
        told.append(
            f"{count_text(train)} to fit, {count_text(test)} to judge, divided by {split.get('by', 'an unknown rule')}."
            + balance.get(str(split.get("balanced")), "")
        )
    for topic, offsets in (dataset.get("offsets") or {}).items():
        told.append(f"Read from {topic} up to the offsets {listed([f'{k}: {v:,}' for k, v in offsets.items()], 12)}.")
    left = [f"{name.replace('_', ' ')} {count:,}" for name, count in (dataset.get("left_out") or {}).items() if count]
    if left:
        told.append(f"Left out: {', '.join(left)}.")
    told += [str(each) for each in _part(dataset, "quality").get("remarks") or ()]
    return Section("Data", told)


def serving(manifest: Manifest, sizes: Mapping[str, int]) -> Section:
    """Whether what is served is what was fitted, and what all of it was made with. `sizes`: bytes by file."""
    parity, parameters = _part(manifest, "parity"), _part(manifest, "parameters")
    told = []
    if parity:
        rows = parity.get("rows", 0)
        apart = round(rows * (1 - parity.get("share_within", 0.0)))
        told.append(
            f"The served ONNX and the fitted pipeline differ by more than {value_text(parity.get('tolerance'))} on "
            f"{apart:,} of {count_text(rows, 'test row')}; the largest relative difference is "
            f"{value_text(parity.get('largest'))}."
        )
    told.append("Files: " + ", ".join(f"{name} {size:,} bytes" for name, size in sorted(sizes.items())) + ".")
    libraries = ", ".join(f"{name} {version}" for name, version in _part(manifest, "libraries").items())
    told.append(f"Made by longshore {manifest.get('code_version', '–')} with {libraries or 'unknown libraries'}.")
    if "seed" in parameters:
        told.append(f"Seed {parameters['seed']}: the same rows, seed and libraries give the same model.")
    return Section("How it is served and made", told)


def _part(manifest: Manifest, name: str) -> Manifest:
    found = manifest.get(name)
    return found if isinstance(found, Mapping) else {}
