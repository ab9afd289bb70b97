"""One of several concurrent creators: `registry_racer.py URL ACTION ROUNDS NUMBER`. Waits for a line, prints JSON."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Callable
from typing import Any

from longshore.errors import ConflictError
from longshore.registry import Registry, Store, open_store

PAYLOAD = 200_000


def payload(number: int, turn: int) -> bytes:
    """Large enough that a half-written one would be seen; ends with its own checksum."""
    body = bytes([number, turn % 256]) * (PAYLOAD // 2)
    return body + hashlib.sha256(body).digest()


def is_whole(data: bytes | None) -> bool:
    return data is not None and hashlib.sha256(data[:-32]).digest() == data[-32:]


def create(store: Store, number: int, rounds: int) -> list[Any]:
    """Which keys this process created; what exists is whole whenever it is read."""
    won = []
    for turn in range(rounds):
        try:
            store.create(f"race/{turn}", payload(number, turn))
            won.append(turn)
        except ConflictError:
            assert is_whole(store.read(f"race/{turn}"))
        seen = [store.read(f"race/{name}") for name in store.names("race")]
        assert all(is_whole(data) for data in seen)
    return won


def create_folder(store: Store, number: int, rounds: int) -> list[Any]:
    won = []
    for turn in range(rounds):
        try:
            store.create_folder(f"race/{turn}", {"a": payload(number, turn), "b": payload(number, turn)})
            won.append(turn)
        except ConflictError:
            pair = [store.read(f"race/{turn}/{name}") for name in "ab"]
            assert is_whole(pair[0])
            assert pair[0] == pair[1]
    return won


def register(registry: Registry, number: int, rounds: int) -> list[Any]:
    return [registry.register({"model.onnx": payload(number, turn)}, {"by": number}) for turn in range(rounds)]


def register_trigger(registry: Registry, number: int, rounds: int) -> list[Any]:
    """One request, several who believe it is theirs."""
    won = []
    for turn in range(rounds):
        try:
            won.append(registry.register({"model.onnx": payload(number, turn)}, {"trigger_id": f"t{turn}"}))
        except ConflictError:
            assert registry.find_trigger(f"t{turn}")
    return won


def move(registry: Registry, number: int, rounds: int) -> list[Any]:
    """Move the alias `rounds` times, however often somebody else is first."""
    won: list[Any] = []
    while len(won) < rounds:
        current = registry.alias()
        try:
            record = registry.move_alias(
                "champion",
                "v1",
                expected_generation=current.generation if current else 0,
                trigger_id=f"{number}-{len(won)}",
                actor=str(number),
                reason="race",
            )
            won.append(record.generation)
        except ConflictError:
            continue
    return won


def claim(registry: Registry, number: int, rounds: int) -> list[Any]:
    return [turn for turn in range(rounds) if registry.claim(f"t{turn}", owner=str(number), ttl_s=600)]


def renew(registry: Registry, number: int, rounds: int) -> list[Any]:
    """Take over expired claims and renew them so often that old numbers are removed under the others' eyes."""
    won = []
    for turn in range(rounds):
        held = registry.claim(f"t{turn}", owner=str(number), ttl_s=600)
        if held is None:
            continue
        for _ in range(20):
            held.renew()
        won.append(turn)
    return won


STORE_ACTIONS: dict[str, Callable[[Store, int, int], list[Any]]] = {"create": create, "create_folder": create_folder}
REGISTRY_ACTIONS: dict[str, Callable[[Registry, int, int], list[Any]]] = {
    "register": register,
    "register_trigger": register_trigger,
    "move": move,
    "claim": claim,
    "renew": renew,
}


def main() -> None:
    url, action, rounds, number = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.readline()
    if action in STORE_ACTIONS:
        won = STORE_ACTIONS[action](open_store(url), number, rounds)
    else:
        won = REGISTRY_ACTIONS[action](Registry.open(url, "m"), number, rounds)
    sys.stdout.write(json.dumps(won))


if __name__ == "__main__":
    main()
