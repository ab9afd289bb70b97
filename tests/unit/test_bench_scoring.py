"""The scoring benchmark's pure parts: figures, plans, tables, and that every contestant writes as many bytes."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from benchmarks.scoring import figures, plan, tables
from benchmarks.scoring.contestants import CONTESTANTS
from benchmarks.scoring.latency import summary
from benchmarks.scoring.measures import memory_figures
from benchmarks.scoring.peers.embed import HEAD, embedded
from benchmarks.scoring.run import Run, rate_of_all
from benchmarks.scoring.world import Written, record_blocks

from longshore.codec import Codec
from longshore.schema import districts
from longshore.scorer.encode import PredictionEncoder

NAMES = [one.name for one in CONTESTANTS]
JAVA = Path(__file__).parents[2] / "benchmarks/scoring/peers/kafka-streams/src/main/java/StreamsPeer.java"


class TestFigures:
    def test_ratios_are_taken_round_by_round(self) -> None:
        # The machine is slower from round to round; the ratio of the medians would be 0.75.
        spread = figures.ratios([80.0, 45.0, 30.0], [100.0, 50.0, 60.0])
        assert spread == figures.Spread(0.8, 0.5, 0.9, 3)

    def test_a_round_that_failed_on_one_side_counts_on_neither(self) -> None:
        spread = figures.ratios([80.0, None, 90.0], [100.0, 50.0, None])
        assert spread == figures.Spread(0.8, 0.8, 0.8, 1)
        assert figures.ratios([None], [1.0]) is None

    @pytest.mark.parametrize(("share", "expected"), [(0.5, 50), (0.99, 99), (0.999, 100), (0.0, 1)])
    def test_a_percentile_is_one_of_the_values(self, share: float, expected: int) -> None:
        assert figures.percentile(list(range(100, 0, -1)), share) == expected

    def test_the_steady_rate_leaves_out_a_slow_start(self) -> None:
        slow = [i * 100 for i in range(100)]  # 10 a second
        fast = [10_000 + i for i in range(1, 901)]  # 1,000 a second
        assert figures.steady_rate(slow + fast) == pytest.approx(1_000, rel=0.15)

    def test_records_of_one_batch_do_not_inflate_the_rate(self) -> None:
        # Ten batches of 100, one a second, in any order: 100 a second, whatever falls into the first.
        times = [1_000 * (i // 100) for i in range(1_000)]
        assert figures.steady_rate(times[::-1]) == pytest.approx(100)

    def test_the_long_run_compares_its_last_million_with_its_second(self) -> None:
        times = np.concatenate([np.arange(0, 2_000), np.arange(2_000, 4_000, 2)])  # 1,000 a second, then 500
        samples = [(float(at), 100.0 if at < 3_000 else 130.0) for at in range(0, 4_000, 100)]
        found = memory_figures(times, samples, unit=1_000)
        assert found["last_of_second"] == pytest.approx(0.5, rel=0.01)
        assert found["growth"] == pytest.approx(0.3)
        assert found["rates"] == pytest.approx([1_000, 1_000, 500], rel=0.01)

    def test_several_processes_are_timed_only_while_all_of_them_work(self) -> None:
        run = Run(None, joined_ms=4_000.0)
        early = [(at, 0) for at in range(0, 6_000, 10)]  # partition 0 is over at 6 s
        both = [(at, 1) for at in range(4_000, 12_000, 5)]
        times, partitions = zip(*early, *both, strict=True)
        run.written = Written(np.array(times), np.array(partitions), 1.0)
        assert rate_of_all(run) == pytest.approx(300, rel=0.02)  # 100 + 200 a second from 4 s to 6 s

    def test_what_never_came_is_lost_and_not_fast(self) -> None:
        found = summary(np.array([0.001, 0.002, np.nan, 0.1]))
        assert (found.p50, found.largest, found.records, found.lost) == (2.0, 100.0, 3, 1)


class TestPlan:
    def test_the_forms_differ_in_size_and_only_the_default_keeps_results(self) -> None:
        quick, usual, long = (plan.parse(words, NAMES) for words in (["--quick"], [], ["--long"]))
        assert (quick.records, usual.records, long.memory_records) == (20_000, 1_000_000, 10_000_000)
        assert (quick.plot, usual.plot, usual.parts) == (False, True, plan.PARTS)

    def test_contestants_alone_mean_throughput(self) -> None:
        chosen = plan.parse(["--only", "longshore,limit"], NAMES)
        assert (chosen.parts, chosen.only) == (("throughput",), ("limit", "longshore"))
        assert not chosen.wants("quix")

    def test_parts_alone_mean_everybody_in_the_order_of_parts(self) -> None:
        chosen = plan.parse(["--only", "memory,latency"], NAMES)
        assert chosen.parts == ("latency", "memory")
        assert chosen.wants("quix")

    def test_numbers_override_the_form(self) -> None:
        assert plan.parse(["--quick", "--records", "50_000", "--rounds", "2"], NAMES).records == 50_000

    @pytest.mark.parametrize("words", [["--only", "nobody"], ["--records", "0"], ["--quick", "--long"]])
    def test_nonsense_is_refused(self, words: list[str]) -> None:
        with pytest.raises(SystemExit):
            plan.parse(words, NAMES)


class TestTables:
    def test_columns_stand_under_one_another(self) -> None:
        lines = tables.markdown(("name", "n"), [("a", "1"), ("longer", "1,000")]).splitlines()
        assert len({len(line) for line in lines}) == 1
        assert lines[1] == "|--------|------:|"

    def test_who_did_not_run_is_listed_with_the_reason(self) -> None:
        text = tables.throughput({"limit": _row(100.0), "streams": _row(None, "no Maven")})
        assert "- streams: Title: not run: no Maven" in text
        assert "| limit: Title" in text

    def test_a_missed_target_says_so(self) -> None:
        spread = {"median": 0.69, "low": 0.6, "high": 0.8, "rounds": 3}
        one = {"what": "longshore", "to": "limit", "ratio": spread, "target": 0.7}
        assert "missed" in tables.comparisons([one])
        assert "kept" in tables.comparisons([one | {"ratio": spread | {"median": 0.7}}])


class TestFairness:
    def test_the_limit_writes_as_many_bytes_as_a_prediction(self) -> None:
        schema, topic = districts(), "bench.districts"
        values = [message["value"] for block in record_blocks(2_000) for message in block]
        decoded = Codec(schema).decode(values)
        assert not decoded.rejects
        messages: list[Any] = [
            SimpleNamespace(
                topic=lambda: topic, partition=lambda: 1, offset=lambda: 123_456, key=lambda: b"", value=lambda v=v: v
            )
            for v in values
        ]
        predictions = np.random.default_rng(0).normal(2e5, 1e5, len(values)).astype(np.float32).astype(np.float64)
        outputs = PredictionEncoder(schema).encode(
            messages, decoded, predictions, version="v1", scored_at=1_700_000_000_000
        )
        ours = sum(len(output["value"]) for output in outputs) / len(outputs)
        limit = sum(len(embedded(value)) for value in values) / len(values)
        assert limit == pytest.approx(ours, rel=0.03)

    def test_kafka_streams_writes_the_same_text(self) -> None:
        source = JAVA.read_text(encoding="utf-8")
        literal = source.partition("HEAD = (")[2].partition(").getBytes")[0]
        java = "".join(re.findall(r'"((?:[^"\\]|\\.)*)"', literal)).replace('\\"', '"')
        assert java.encode() == HEAD

    def test_records_have_the_size_of_the_comparison(self) -> None:
        values = [message["value"] for block in record_blocks(20_000) for message in block]
        assert sum(map(len, values)) / len(values) == pytest.approx(276, abs=3)  # ids grow with their number


def _row(rate: float | None, problem: str = "") -> dict[str, Any]:
    spread = None if rate is None else {"median": rate, "low": rate, "high": rate, "rounds": 1}
    one = {"title": "Title", "model": "none", "guarantee": "exactly once", "problem": problem, "rate": spread}
    return one | {"of_limit": None, "cpu_s_per_million": 1.0, "rss_mb": 10.0}
