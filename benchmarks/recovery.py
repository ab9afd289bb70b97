"""How long read_committed readers wait after a scorer's death, and during a rolling restart: three real scorers.

    python -m benchmarks.recovery                          # both group protocols, 5 repetitions of each case
    python -m benchmarks.recovery --repeat 2 --protocol consumer --case back
    python -m benchmarks.recovery --broker-defaults        # what a broker gives that nobody has set up for this
    python -m benchmarks.recovery --set KAFKA__SESSION_TIMEOUT_MS=4000 --broker group.consumer.heartbeat.interval.ms=500

Cases: `back` is SIGKILL inside an open transaction, the instance started again at once; `gone` the same, never started
again; `rolling` is SIGTERM, wait for the exit, start, wait until ready, for one scorer after the other. A victim is
stopped first, to see that the transaction is its own: it is dead to the broker from then, 0.7 s before the start of its
successor. `from death` is what a successor started without delay would see, if its own start is not the longer.

A reader notes when each record of each partition arrives. `first` is when the last partition has advanced again,
`steady` the end of the last pause of a second or more (a partition may advance, then wait for a rebalance), `pause` the
longest of any partition. Seconds.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections import defaultdict
from pathlib import Path

from benchmarks._scorers import SCORERS, Scorers

from longshore.local import broker
from longshore.local.stack import Endpoints, LocalStack

TUNED = ("group.", "transaction.abort.", "transaction.state.log.num", "offsets.topic.num")
"""The embedded broker's settings that `--broker-defaults` leaves out, by how they begin."""


def back(scorers: Scorers, turn: int) -> dict[str, float]:
    slot, reader = turn % SCORERS, scorers.reader
    died = scorers.kill_inside_a_transaction(scorers.instances[slot].process)
    scorers.instances[slot] = instance = scorers.start(slot)
    scorers.wait_ready(instance)
    reader.settle(instance.started)
    took = instance.ready - instance.started
    first, steady = reader.first(instance.started), reader.steady(instance.started)
    return {
        "start to ready": took,
        "first, from start": first,
        "steady, from start": steady,
        "steady, from death": steady + instance.started - died,
        "first, from ready": max(0.0, first - took),
        "steady, from ready": max(0.0, steady - took),
    }


def gone(scorers: Scorers, turn: int) -> dict[str, float]:
    slot, reader = turn % SCORERS, scorers.reader
    died = scorers.kill_inside_a_transaction(scorers.instances[slot].process)
    reader.settle(died)
    result = {"first, from death": reader.first(died), "steady, from death": reader.steady(died)}
    scorers.instances[slot] = scorers.start(slot)
    scorers.wait_ready(scorers.instances[slot])
    reader.settle(time.monotonic())
    return result


def rolling(scorers: Scorers, _turn: int) -> dict[str, float]:
    begun, exits, starts = time.monotonic(), [], []
    for slot, old in enumerate(scorers.instances):
        stopped = time.monotonic()
        old.process.terminate()
        code = old.process.wait()
        assert code == 0, f"a scorer ended with {code}"
        exits.append(time.monotonic() - stopped)
        scorers.instances[slot] = instance = scorers.start(slot)
        scorers.wait_ready(instance)
        starts.append(instance.ready - instance.started)
    scorers.reader.settle(time.monotonic())
    return {"pause": scorers.reader.pause(begun), "exit": max(exits), "start to ready": max(starts)}


CASES = {"back": back, "gone": gone, "rolling": rolling}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--protocol", choices=["classic", "consumer"], action="append")
    parser.add_argument("--case", choices=list(CASES), action="append")
    parser.add_argument("--broker-defaults", action="store_true")
    parser.add_argument("--broker", action="append", default=[], metavar="KEY=VALUE", help="a broker setting")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="KAFKA__… of the scorers")
    args = parser.parse_args()
    if args.broker_defaults:
        for key in [key for key in broker.SETTINGS if key.startswith(TUNED)]:
            del broker.SETTINGS[key]
    broker.SETTINGS.update(each.split("=", 1) for each in args.broker)
    found: defaultdict[tuple[str, str, str], list[float]] = defaultdict(list)
    for protocol in args.protocol or ["classic", "consumer"]:
        with tempfile.TemporaryDirectory() as folder, LocalStack(Path(folder), ephemeral=True) as stack:
            measure(stack, Path(folder), protocol, args, found)
    print(f"\n{'protocol':9} {'case':8} {'measured':20} {'median':>7} {'worst':>7}  n (load {os.getloadavg()[0]:.1f})")
    for (protocol, case, name), values in found.items():
        row = f"{protocol:9} {case:8} {name:20}"
        print(f"{row} {statistics.median(values):7.2f} {max(values):7.2f}  {len(values)}")


def measure(
    stack: Endpoints,
    folder: Path,
    protocol: str,
    args: argparse.Namespace,
    found: defaultdict[tuple[str, str, str], list[float]],
) -> None:
    variables = dict(each.split("=", 1) for each in args.set)
    with Scorers(stack, folder, protocol, variables) as scorers:
        for case in args.case or list(CASES):
            for turn in range(args.repeat):
                result = CASES[case](scorers, turn)
                shown = ", ".join(f"{name} {value:.2f}" for name, value in result.items())
                print(f"{protocol} {case} {turn + 1}: {shown} (load {os.getloadavg()[0]:.1f})", flush=True)
                for name, value in result.items():
                    found[protocol, case, name].append(value)


if __name__ == "__main__":
    main()
