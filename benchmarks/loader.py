"""Does the loader yield windows faster than the offline learner takes them?

    python -m benchmarks.loader [--dataset=DIR]

Times in turns, so that all see the same load of the machine: the loader alone, the
learner alone on one batch in memory, both at once but independent, and the learner fed
by the loader. The learner is HeLMS's at the sizes of Table 5.
"""

from __future__ import annotations

import json
import pathlib
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import acme
from absl import flags

from agents.helms import networks
from agents.helms.config import HelmsConfig
from agents.helms.model import HelmsModel
from agents.offline import learning
from agents.offline.networks import Dims, Statistics
from datasets import loader
from datasets.collection import rollout
from datasets.rlds import schema, statistics, writer
from environments import EnvironmentConfig, stacking
from launchers.common import cli
from tests.helpers import collection_fakes

_DATASET = flags.DEFINE_string(
    "dataset", None, "Directory of a data set; by default one of noise is made."
)
_EPISODES = flags.DEFINE_integer(
    "episodes", 500, "Of the data set that is made.", lower_bound=2
)
_SECONDS = flags.DEFINE_float("seconds", 60.0, "About how long to measure.")
_SEED = flags.DEFINE_integer("seed", 0, "Seed of windows and weights.", lower_bound=0)

_TURN_SECONDS = 3.0
_WARM_UP_SECONDS = 0.1  # also consumes batches prefetched in another turn


def main(argv: list[str]) -> None:
    """Measures and prints."""
    del argv
    with cli.bad_input():
        if _SECONDS.value <= 0:
            raise ValueError(f"--seconds is {_SECONDS.value}; valid: above 0")
        if _DATASET.value is not None:
            result = measure(_DATASET.value, _SECONDS.value, _SEED.value)
    if _DATASET.value is None:
        with tempfile.TemporaryDirectory() as directory:
            write_noise(pathlib.Path(directory), _EPISODES.value)
            result = measure(directory, _SECONDS.value, _SEED.value)
    for name, value in result.items():
        print(f"{name:44s}{value:.5g}")
    print(json.dumps(result))


def measure(dataset: str, seconds: float, seed: int) -> dict[str, float | int]:
    """Measures all rates; returns the results by name.

    Raises:
      ValueError: the data set cannot be used.
    """
    config = HelmsConfig(seed=seed)
    start = time.perf_counter()
    data = loader.load(dataset)
    load_seconds = time.perf_counter() - start

    def windows() -> Iterator[learning.Batch]:
        return iter(
            loader.windows(
                dataset,
                "train",
                config.batch_size,
                config.window,
                config.look_ahead,
                seed,
            )
        )

    alone, feed = windows(), windows()
    in_memory = next(alone)
    source = {"batches": _repeated(in_memory)}
    learner = _make_learner(config, loader.statistics(dataset), source)

    def step_in_memory() -> None:
        source["batches"] = _repeated(in_memory)
        learner.step()

    def step_fed() -> None:
        source["batches"] = feed
        learner.step()

    rates: dict[str, list[float]] = {}

    def note(**measured: float) -> None:
        for name, rate in measured.items():
            rates.setdefault(name, []).append(rate * config.batch_size)

    def load() -> None:
        next(alone)

    step_in_memory()  # compiles
    turn = min(_TURN_SECONDS, seconds / 4)
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or not rates:
        note(windows=_rate(load, turn), learner=_rate(step_in_memory, turn))
        with _Beside(step_in_memory) as beside:
            note(windows_beside=_rate(load, turn))
        note(learner_beside=beside.rate, learner_fed=_rate(step_fed, turn))
    mean = {name: sum(values) / len(values) for name, values in rates.items()}
    return {
        "windows_per_second": mean["windows"],
        "learner_windows_per_second": mean["learner"],
        "ratio": mean["windows"] / mean["learner"],
        "windows_per_second_beside_learner": mean["windows_beside"],
        "learner_windows_per_second_beside_loader": mean["learner_beside"],
        "ratio_beside": mean["windows_beside"] / mean["learner"],
        "learner_windows_per_second_fed_by_loader": mean["learner_fed"],
        "episodes": data.num_episodes,
        "frames": int(data.lengths.sum()),
        "gigabytes_in_memory": _gigabytes(data),
        "load_seconds": load_seconds,
        "turns": len(rates["windows"]),
    }


def write_noise(directory: pathlib.Path, episodes: int) -> None:
    """Writes a data set of real sizes that repeats one episode of noise."""
    settings = schema.Settings(EnvironmentConfig.paper(), "fake", episodes)
    steps = stacking.EPISODE_STEPS
    environment = collection_fakes.FakeEnvironment(max_steps=steps, min_steps=steps)
    expert = collection_fakes.FakeExpert(environment)
    example = rollout.run_episode(environment, expert, settings, 0)
    features = schema.features(
        environment.observation_spec(), environment.action_spec()
    )
    record = writer.Serializer(features)(example)
    lengths = [len(settings.shard_episodes(i)) for i in range(settings.num_shards)]
    for i, length in enumerate(lengths):
        path = directory / schema.shard_name(i, settings.num_shards)
        writer.write_shard(path, [record] * length)
    taken = statistics.StepStatistics()
    taken.add(example["steps"])
    size = episodes * len(record)
    writer.write_metadata(directory, features, lengths, size, {}, taken.as_dict())


def _make_learner(
    config: HelmsConfig,
    normalisation: Statistics,
    source: dict[str, Iterator[learning.Batch]],
) -> acme.Learner:
    """Makes the learner of `launchers.train_skills`, which reads source["batches"]."""

    def batches(done: int) -> Iterable[learning.Batch]:
        del done
        while True:
            yield next(source["batches"])

    sizes = {name: len(mean) for name, (mean, _) in normalisation.items()}
    dims = Dims(**sizes, action=schema.ACTION_SIZE)
    model = networks.HelmsNetworks(config, dims, normalisation)
    return learning.OfflineLearner(HelmsModel(model), batches)


def _repeated(batch: Any) -> Iterator[Any]:
    while True:
        yield batch


def _rate(act: Callable[[], None], seconds: float) -> float:
    """Measures the calls of `act` per second, by at least one call."""
    start = time.perf_counter()
    while time.perf_counter() - start < _WARM_UP_SECONDS:
        act()
    count, start = 0, time.perf_counter()
    while (elapsed := time.perf_counter() - start) < seconds or not count:
        act()
        count += 1
    return count / elapsed


class _Beside:
    """Thread that calls `act` repeatedly; `rate` is the calls per second."""

    def __init__(self, act: Callable[[], None]) -> None:
        self._act = act
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._error: BaseException | None = None
        self.rate = 0.0

    def __enter__(self) -> _Beside:
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._done.set()
        self._thread.join()
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        count, start = 0, time.perf_counter()
        try:
            while not self._done.is_set():
                self._act()
                count += 1
        except BaseException as e:
            self._error = e
        self.rate = count / (time.perf_counter() - start)


def _gigabytes(data: Any) -> float:
    arrays = (data.proprio, data.objects, data.action)
    return sum(array.shape.num_elements() * 4 for array in arrays) / 1e9


if __name__ == "__main__":
    cli.run(main)
