"""The scoring benchmark from end to end on few records: its own servers, a trained model, the real processes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.integration
@pytest.mark.slow
@pytest.mark.long
def test_the_quick_form_measures_the_limit_and_longshore(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "benchmarks.scoring", "--quick", "--only", "limit,longshore"]
    done = subprocess.run(
        [*command, "--records", "5000", "--results", str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3_000:]
    (data,) = tmp_path.glob("scoring-*.json")
    results = json.loads(data.read_text())
    assert results["model"]["trees"] >= 200
    for name in ("limit", "longshore"):
        one = results["throughput"][name]
        assert one["problem"] == "", one["problem"]  # every record came out, by a committed reader's count
        assert one["rate"]["median"] > 0
    assert results["throughput"]["longshore"]["of_limit"]["rounds"] == 1
    assert "| longshore / limit" in data.with_suffix(".md").read_text()
    assert "| longshore / limit" in done.stdout
