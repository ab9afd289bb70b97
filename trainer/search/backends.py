"""Where fits run: here one after the other, in processes or threads of joblib's, or on a Dask or Ray cluster.

Dask and Ray are imported when they are asked for. Results do not depend on the place.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import joblib

from longshore.errors import ConfigurationError

Call = tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]
"""What `joblib.delayed` makes."""
Run = Callable[[Iterable[Call]], Iterator[Any]]


def in_turn(calls: Iterable[Call]) -> Iterator[Any]:
    """One call after the other, in this process."""
    return (function(*args, **kwargs) for function, args, kwargs in calls)


NEEDS = {"dask": "distributed", "ray": "ray"}
"""The package that a backend needs beside joblib."""


@dataclass(frozen=True, slots=True)
class Backend:
    """`jobs` calls at a time; `address`: of a Dask scheduler or a Ray head, None for a cluster on this machine."""

    name: str = "loky"
    jobs: int = 1
    address: str | None = None

    @contextmanager
    def open(self) -> Iterator[Run]:
        """Something that runs calls and gives their results in order, each when it is there.

        Raises:
            ConfigurationError: the backend's package is not installed.

        """
        if self.name not in NEEDS and self.jobs <= 1:
            yield in_turn
            return
        with _cluster(self.name, self.address):
            yield self._run

    def _run(self, calls: Iterable[Call]) -> Iterator[Any]:
        # The configuration is for this alone: what is fitted meanwhile in this process must not take it over.
        with joblib.parallel_config(backend=self.name, n_jobs=self.jobs):
            # Ray's backend cannot give results one by one.
            parallel = joblib.Parallel(return_as="list" if self.name == "ray" else "generator")
        return iter(parallel(calls))


@contextmanager
def _cluster(name: str, address: str | None) -> Iterator[None]:
    if name == "dask":
        with _required(name).Client(address):
            yield
    elif name == "ray":
        ray = _required(name)
        ray.init(address=address, ignore_reinit_error=True, log_to_driver=False)
        importlib.import_module("ray.util.joblib").register_ray()
        try:
            yield
        finally:
            ray.shutdown()
    else:
        yield


def _required(name: str) -> Any:
    try:
        return importlib.import_module(NEEDS[name])
    except ImportError as error:
        raise ConfigurationError(
            f"trainer.backend = {name} needs the package {NEEDS[name]}, which is not installed",
            mend=f"install {NEEDS[name]}, or set LONGSHORE_TRAINER__BACKEND=loky",
        ) from error
