"""`python -m tests.faults.episodes`: 200 episodes with a crash in each; exit 0 only if each had one request and run."""

from __future__ import annotations

import threading
import time
from collections import Counter
from pathlib import Path

import click
from pydantic import SecretStr
from tests.faults.chaos.readers import Reader
from tests.faults.episodes.oracle import violations
from tests.faults.episodes.run import World, profiles, run, world
from tests.faults.episodes.seen import Seen
from tests.faults.long_form import begin, end
from tests.services import settings_for
from tests.waiting import eventually

from longshore.config import MonitorSettings
from longshore.errors import LongshoreError
from longshore.local.stack import LocalStack

WORLDS = 4
"""Deployments side by side, each with its own topics, registry, Redis database and replicas."""


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--episodes", type=click.IntRange(1), default=200, show_default=True)
@click.option("--seed", type=int, help="Same seed: same streams and dooms [the day's date].")
@click.option("--worlds", type=click.IntRange(1, 12), default=WORLDS, show_default=True, help="Deployments at a time.")
@click.option("--minutes", type=float, default=30.0, show_default=True, help="Begin no further episode after so long.")
@click.option("--folder", type=click.Path(path_type=Path), default=Path(".longshore/episodes"), show_default=True)
@click.option("--keep", is_flag=True, help="Keep the run's folder, with all logs, even if all is well.")
def main(episodes: int, seed: int | None, worlds: int, minutes: float, folder: Path, keep: bool) -> None:  # noqa: PLR0917
    """Let streams drift again and again while deciders, counters and trainers die, and count what was asked for.

    In each deployment: three deciders (one decides), two counters, three trainers that follow, real Kafka and Redis. In
    each episode one of them is killed: inside a transaction, a request's above all, after a step of the registry's
    files, or at a moment. One challenger in five is rejected. In the end every episode must have exactly one
    request (a rejected one's: one more, after back-off and new labels), each of them one training with one outcome.
    """
    seed, run_folder = begin(folder, seed)
    again = f"python -m tests.faults.episodes --episodes {episodes} --seed {seed} --worlds {worlds}"
    click.echo(f"{again}\nlogs in {run_folder}")
    started = time.monotonic()
    found, wrong = [], []
    with LocalStack(run_folder, ephemeral=True) as stack:
        made = profiles()
        threads = []
        for number in range(worlds):
            many = episodes // worlds + (number < episodes % worlds)
            one = _Deployment(stack, run_folder, made, number, many, seed, started + minutes * 60)
            threads.append(one)
            one.start()
        for one in threads:
            one.join()
            wrong += one.wrong
            found.append(one)
    done: Counter[str] = sum((one.done for one in found), Counter())
    happened = sum(one.happened for one in found)
    click.echo(", ".join(f"{name} {count}" for name, count in sorted(done.items())))
    seconds = sorted(second for one in found for second in one.seconds)
    middle, longest = (seconds[len(seconds) // 2], seconds[-1]) if seconds else (0.0, 0.0)
    click.echo(
        f"{happened} episodes, median {middle:.1f} s, longest {longest:.1f} s; {time.monotonic() - started:.0f} s"
    )
    if happened < episodes:
        click.echo(f"only {happened} of {episodes} were run in {minutes:g} minutes")
    end(run_folder, wrong, f"seed {seed}: one request and one training each", again=again, keep=keep)


class _Deployment(threading.Thread):
    """One world's episodes, and what is wrong with them."""

    def __init__(  # noqa: PLR0917
        self, stack: LocalStack, folder: Path, made: list[bytes], number: int, episodes: int, seed: int, until: float
    ) -> None:
        super().__init__(daemon=True)
        self._folder = folder / f"world-{number}"
        self._folder.mkdir()
        url = f"{stack.redis_url.rstrip('/')}/{number + 1}"
        monitor = MonitorSettings(cooldown_windows=1, min_fresh_labels=50)
        settings = settings_for(stack, f"w{number}.", self._folder, monitor=monitor)
        self._settings = settings.model_copy(update={"redis_url": SecretStr(url)})
        self._made, self._episodes, self._seed, self._until = made, episodes, seed * 100 + number, until
        self.wrong: list[str] = []
        self.done: Counter[str] = Counter()
        self.seconds: list[float] = []
        self.happened = 0

    def run(self) -> None:
        try:
            with world(self._settings, self._folder, self._made, seed=self._seed) as one:
                try:
                    self.happened = run(one, self._episodes, click.echo, self._until)
                    one.end()
                    self.wrong = judged(one, self.happened)
                finally:
                    self.done, self.seconds = one.done, one.seconds
        except (AssertionError, LongshoreError) as error:
            self.wrong.append(f"stuck: {error}")
        self.wrong = [f"{self._folder.name}: {line}" for line in self.wrong]


def judged(one: World, episodes: int) -> list[str]:
    """What a reader that comes afterwards, the registry and Redis say."""
    found = Seen(one.topics)
    last = Reader(str(one.settings.bootstrap_servers), (one.topics.events, one.topics.requests), 1, found, to_end=True)
    last.start()
    last.join(60)
    assert not last.is_alive(), "a transaction is open for ever: the topics' ends cannot be read"
    eventually(lambda: len(one.seen.events) >= len(found.events), 60, what="the end for who read all along")
    if found.events != one.seen.events or found.requests != one.seen.requests:
        one.troubles.append("two readers saw different things")
    killed = sum(count for name, count in one.done.items() if name.startswith("train: "))
    wrong = violations(one.settings, one.topics, one.folder, found, episodes=episodes, trainers_killed=killed)
    return last.troubles + one.reader.troubles + one.troubles + wrong


if __name__ == "__main__":
    main()
