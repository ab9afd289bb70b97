"""Every rule fires and is over: with its true durations in promtool, and on a real Prometheus with them scaled down."""

from __future__ import annotations

import json
import re
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.services import Services, free_port
from tests.system.alert_story import CALM, STORIES, Player, Series, Story, job_of
from tests.system.answering import get, ready, serving
from tests.system.conftest import program
from tests.waiting import eventually

pytestmark = [pytest.mark.system, pytest.mark.slow]

RULES = Path(__file__).resolve().parents[2] / "deploy" / "prometheus" / "alerts.yml"
STEP_S, CALM_S = 15, 20 * 60
FACTOR = 150
SCRAPE = "150ms"
BASE = 100_000.0
"""The true time at which the played story begins: anything but 0."""


def rules() -> dict[str, Any]:
    groups: dict[str, Any] = yaml.safe_load(RULES.read_text())
    return groups


def each_rule(groups: dict[str, Any]) -> list[dict[str, Any]]:
    return [rule for group in groups["groups"] for rule in group["rules"]]


def promtool(*arguments: str, given: str = "") -> str:
    """What it says, which must be that all is well."""
    command = [program("promtool"), *arguments]
    done = subprocess.run(command, input=given, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, (done.stdout + done.stderr)[-4_000:]
    return done.stdout + done.stderr


def seconds(duration: str) -> float:
    return float(duration[:-1]) * {"s": 1, "m": 60, "h": 3_600}[duration[-1]]


def test_every_rule_has_a_story_and_no_other() -> None:
    assert [rule["alert"] for rule in each_rule(rules())] == list(STORIES)


def test_promtool_checks_the_rules() -> None:
    assert f"{len(STORIES)} rules found" in promtool("check", "rules", str(RULES))


# With true durations


def sampled(story: Story, end_s: float) -> dict[Series, list[float | None]]:
    """Each series' values every `STEP_S`: calm, bad for as long as the rule may take to fire, and calm again."""
    player = Player(CALM, 0.0)
    values: dict[Series, list[float | None]] = {series: [] for series in CALM}
    changes = {CALM_S: lambda: player.change(story.bad, CALM_S)}
    bad_end = CALM_S + int(story.fires_s)
    changes[bad_end] = lambda: player.calm_down(story.bad, bad_end)
    for at in range(0, int(end_s) + 1, STEP_S):
        changes.get(at, lambda: None)()
        for series, value in player.move(at).items():
            values[series].append(value)
    return values


def written(values: list[float | None]) -> str:
    """As promtool reads them; a series that goes away ends with the mark that Prometheus then writes."""
    gone = ("stale" if before is not None else "_" for before in [None, *values])
    return " ".join(mark if value is None else f"{value:.12g}" for mark, value in zip(gone, values, strict=False))


def labelled(series: Series) -> str:
    target, name, labels = series
    places = f'job="{job_of(target)}",instance="{target}"'
    return f"{name}{{{places}{',' if labels else ''}{labels}}}"


def firing(name: str, at_s: float, expected: bool, others: bool = False) -> dict[str, Any]:
    which = f'alertstate="firing",alertname{"!=" if others else "="}"{name}"'
    return {
        "expr": f"(count(ALERTS{{{which}}}) > bool 0) or vector(0)",
        "eval_time": f"{int(at_s)}s",
        "exp_samples": [{"labels": "{}", "value": int(expected)}],
    }


def unit_test(rule: dict[str, Any]) -> dict[str, Any]:
    name = rule["alert"]
    story = STORIES[name]
    bad_end = CALM_S + story.fires_s
    over = bad_end + story.over_s
    early = CALM_S + seconds(rule.get("for", "0s")) - STEP_S
    return {
        "interval": f"{STEP_S}s",
        "input_series": [{"series": labelled(s), "values": written(v)} for s, v in sampled(story, over).items()],
        "promql_expr_test": [
            firing(name, early, expected=False),
            firing(name, bad_end - STEP_S, expected=True),
            firing(name, bad_end - STEP_S, expected=False, others=True),
            firing(name, over, expected=False),
        ],
    }


def test_every_rule_fires_when_it_should_and_is_over_when_it_should(tmp_path: Path) -> None:
    """Not before its `for`, alone, and not for longer than its story says."""
    tests = [unit_test(rule) for rule in each_rule(rules())]
    content = {"rule_files": [str(RULES)], "evaluation_interval": f"{STEP_S}s", "tests": tests}
    (tmp_path / "tests.yml").write_text(yaml.safe_dump(content))
    assert "SUCCESS" in promtool("test", "rules", str(tmp_path / "tests.yml"))


def test_a_rule_that_cannot_fire_is_found_out(tmp_path: Path) -> None:
    groups = rules()
    wrong = next(rule for rule in each_rule(groups) if rule["alert"] == "LongshoreDriftAlarm")
    wrong["expr"] = wrong["expr"].replace("alarm", "alert")
    (tmp_path / "alerts.yml").write_text(yaml.safe_dump(groups))
    content = {"rule_files": ["alerts.yml"], "evaluation_interval": "15s", "tests": [unit_test(wrong)]}
    (tmp_path / "tests.yml").write_text(yaml.safe_dump(content))
    with pytest.raises(AssertionError, match="FAILED"):
        promtool("test", "rules", str(tmp_path / "tests.yml"))


# On a real Prometheus


def scaled(factor: float) -> dict[str, Any]:
    """The rules with every duration divided by `factor`: ranges, offsets, `for`, and limits on an age."""

    def shorter(found: re.Match[str]) -> str:
        return f"{found[1]}{round(seconds(found[2]) / factor * 1_000)}ms"

    groups, ages = rules(), 0
    for rule in each_rule(groups):
        expr, found = re.subn(
            r"(time\(\) - [^>]*> )(\d+)", lambda age: f"{age[1]}{float(age[2]) / factor:g}", rule["expr"]
        )
        rule["expr"] = re.sub(r"(\[|:|\boffset )(\d+[smh])\b", shorter, expr)
        rule["for"] = re.sub(r"()(\d+[smh])", shorter, rule.get("for", "0s"))
        ages += found
    assert ages == sum(rule["expr"].count("time()") for rule in each_rule(groups))
    assert not re.search(r"\d[smh]\b", json.dumps(groups).replace("ms", "")), "a duration that was not found"
    return groups


class Exporter:
    """What the services of a story expose, its time going `FACTOR` times as fast: a path for each target."""

    def __init__(self) -> None:
        self._player = Player(CALM, BASE)
        self._began = time.time()
        self._lock = threading.Lock()
        exporter = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                page = exporter.page(self.path.removeprefix("/"))
                self.send_response(503 if page is None else 200)
                self.send_header("content-type", "text/plain; version=0.0.4")
                self.end_headers()
                self.wfile.write(page or b"")

            def log_message(self, format: str, *args: Any) -> None:
                """Quietly."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True

    def now(self) -> float:
        """The story's time."""
        return BASE + (time.time() - self._began) * FACTOR

    def begin(self, *stories: Story) -> None:
        with self._lock:
            for story in stories:
                self._player.change(story.bad, self.now())

    def end(self, *stories: Story) -> None:
        with self._lock:
            for story in stories:
                self._player.calm_down(story.bad, self.now())

    def page(self, target: str) -> bytes | None:
        """A target's exposition, None while it is down."""
        with self._lock:
            values = self._player.move(self.now())
        if values[target, "up", ""] == 0:
            return None
        lines = []
        for (of, name, labels), value in values.items():
            if of != target or name == "up" or value is None:
                continue
            is_time = name.endswith("_timestamp_seconds") and value
            told = self._began + (value - BASE) / FACTOR if is_time else value
            lines.append(f"{name}{{{labels}}} {told!r}\n")
        return "".join(lines).encode()


@contextmanager
def watched(folder: Path, exporter: Exporter) -> Iterator[str]:
    """A Prometheus that scrapes every target of the story and evaluates the scaled rules; its address."""
    (folder / "alerts.yml").write_text(yaml.safe_dump(scaled(FACTOR)))
    place = f"127.0.0.1:{exporter.server.server_port}"
    targets = sorted({target for target, _, _ in CALM})
    config = {
        "global": {"scrape_interval": SCRAPE, "scrape_timeout": SCRAPE, "evaluation_interval": SCRAPE},
        "rule_files": ["alerts.yml"],
        "scrape_configs": [
            {
                "job_name": target,
                "metrics_path": f"/{target}",
                "static_configs": [{"targets": [place], "labels": {"job": job_of(target), "instance": target}}],
            }
            for target in targets
        ],
    }
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
    port = free_port()
    command = [
        program("prometheus"), f"--config.file={folder / 'prometheus.yml'}", f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
    ]  # fmt: skip
    threading.Thread(target=exporter.server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        with serving(command, folder, port) as url:
            yield url
    finally:
        exporter.server.shutdown()
        exporter.server.server_close()


def test_every_rule_fires_and_is_over_on_a_real_prometheus(tmp_path: Path) -> None:
    """Nothing fires while all is well; then each while its story is bad, and none any more in the end."""
    early = {name: story for name, story in STORIES.items() if story.early}
    later = {name: story for name, story in STORIES.items() if not story.early}
    exporter = Exporter()
    fired: set[str] = set()
    with watched(tmp_path, exporter) as url:

        def states() -> dict[str, str]:
            status, content = get(f"{url}/api/v1/rules")
            assert status == 200, content
            found = [rule for group in json.loads(content)["data"]["groups"] for rule in group["rules"]]
            assert not [rule for rule in found if rule["health"] == "err"], found
            now = {rule["name"]: rule["state"] for rule in found}
            fired.update(name for name, state in now.items() if state == "firing")
            return now

        def scraped() -> bool:
            found = json.loads(get(f"{url}/api/v1/targets")[1])["data"]["activeTargets"]
            return {target["health"] for target in found} == {"up"}

        eventually(scraped, 30, what="every target up")
        eventually(lambda: set(states().values()) == {"inactive"}, 30, what="an end of what was before a scrape")
        fired.clear()
        calm_until = exporter.now() + 6 * 60
        eventually(lambda: states() and exporter.now() > calm_until, 30, what="a calm time")
        assert fired == set(), "all is well"
        exporter.begin(*early.values())
        eventually(lambda: states() and fired >= set(early), 30, what=f"{set(early)}")
        assert fired == set(early)
        exporter.end(*early.values())
        exporter.begin(*later.values())
        eventually(lambda: states() and fired >= set(STORIES), 60, what="all rules")
        exporter.end(*later.values())
        eventually(lambda: set(states().values()) == {"inactive"}, 60, what="an end of all")


# What the services expose


@pytest.fixture(scope="module")
def ports(run: Services, serve: int) -> dict[str, int]:
    """Every service, by what it is, and the port of its pages; on topics of their own."""
    found = {name: free_port() for name in ("score", "monitor", "train", "produce")}
    more = {"monitor": ["--role", "notify"], "train": ["--follow"], "produce": ["--rate", "50"]}
    for name, port in found.items():
        apart = {"LONGSHORE_TOPIC_PREFIX": "rules.", "LONGSHORE_SERVER__PORT": str(port)}
        run.start(name, *more.get(name, []), **apart)
    return found | {"serve": serve}


@pytest.mark.parametrize("service", ["score", "serve", "monitor", "train", "produce"])
def test_promtool_checks_the_metrics_of(service: str, ports: dict[str, int]) -> None:
    url = ready(ports[service], "/metrics")
    page = get(f"{url}/metrics")[1].decode()
    assert "longshore_last_beat_timestamp_seconds" in page
    assert promtool("check", "metrics", given=page).strip() == ""
