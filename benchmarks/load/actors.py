"""Light actors, which send recorded episodes through real adders and variable clients.

Each has its own Reverb client and writer, its own Courier client, and its own loopback
address (all of 127.0.0.0/8 is this machine): gRPC shares one connection among a
process's clients of one address, and real actors, a process each, share none.

Measurements, in seconds of wall-clock:

- `insert`: the duration of an `adder.add` that creates an item, which delays an actor.
  The adder allows two items in flight and waits here until earlier ones are
  acknowledged, so it shows a server that lags. At the end of an episode it waits for
  all items.
- `acknowledge`: the part of it at an episode's end, until the server has acknowledged
  every item; remaining data is compressed, sent and inserted meanwhile.
- `fetch`: the time from an actor's request for variables to their arrival, as arrays.
"""

from __future__ import annotations

import array
import heapq
import math
import threading
import time
from collections.abc import Callable, Sequence
from concurrent import futures
from multiprocessing.connection import Connection
from typing import Any, NamedTuple

import courier
import numpy as np
import reverb
import tensorflow as tf
from acme.tf import variable_utils

from benchmarks.load import setup
from benchmarks.load.episodes import Episode

_REPORT_SECONDS = 1.0
_WAIT_SECONDS = 0.001
_MAX_ERRORS = 5  # errors that are reported in full
# Memory, up to 3 MB per connection, rises over the first four fetches, then falls and
# rises over every eight: likely gRPC's buffers for messages.
_FIRST_FETCHES = 5, 13
_LOOPBACKS = 254 * 254  # number of addresses, from 127.0.1.1


class Load(NamedTuple):
    """Work of one process of light actors."""

    agent: str
    seed: int
    actors: range  # numbers of its actors among all
    episodes: list[Episode]
    variables: list[np.ndarray]
    replay_port: int
    cacher_port: int | None  # None: no fetches
    seconds_per_step: float  # of one actor; 0: as fast as possible
    update_period: int  # steps between fetches
    threads: int  # threads that step the actors


class Progress(NamedTuple):
    """Totals of a process so far."""

    steps: int
    items: int
    fetches: int
    errors: int


class Report(NamedTuple):
    """Final report of a process, after all items were sent."""

    progress: Progress
    insert: np.ndarray  # seconds
    acknowledge: np.ndarray  # seconds
    fetch: np.ndarray  # seconds
    first_fetches: int  # fetches on connecting, which count nowhere else
    errors: list[str]


def loopback(index: int) -> str:
    """Returns the address that actor `index` uses for this machine."""
    index %= _LOOPBACKS
    return f"127.0.{1 + index // 254}.{1 + index % 254}"


class Measurements:
    """Measurements of all actors of a process; threads may add to them."""

    def __init__(self) -> None:
        self.insert = array.array("d")
        self.acknowledge = array.array("d")
        self.fetch = array.array("d")

    def clear(self) -> None:
        """Discards all measurements."""
        for values in (self.insert, self.acknowledge, self.fetch):
            del values[:]


class _CountedClient:
    """Reverb client for `builder.make_adder` that counts the items created."""

    def __init__(self, client: reverb.Client, measured: Measurements):
        self._client = client
        self._measured = measured
        self.items = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def trajectory_writer(self, num_keep_alive_refs: int) -> _CountedWriter:
        writer = self._client.trajectory_writer(num_keep_alive_refs)
        return _CountedWriter(writer, self, self._measured)


class _CountedWriter:
    def __init__(
        self, writer: Any, client: _CountedClient, measured: Measurements
    ) -> None:
        self._writer = writer
        self._client = client
        self._measured = measured

    def __getattr__(self, name: str) -> Any:
        return getattr(self._writer, name)

    def create_item(self, *args: Any, **kwargs: Any) -> None:
        self._writer.create_item(*args, **kwargs)
        self._client.items += 1

    def end_episode(self, *args: Any, **kwargs: Any) -> None:
        begin = time.perf_counter()
        self._writer.end_episode(*args, **kwargs)
        self._measured.acknowledge.append(time.perf_counter() - begin)


class TimedSource:
    """Variable source that records the seconds of each fetch."""

    def __init__(self, source: Any, measured: Measurements):
        self._source = source
        self._measured = measured
        self.fetches = 0

    def get_variables(self, names: Sequence[str]) -> Any:
        """Fetches the source's variables."""
        begin = time.perf_counter()
        variables = self._source.get_variables(names)
        self._measured.fetch.append(time.perf_counter() - begin)
        self.fetches += 1
        return variables


class LightActor:
    """Actor that loads replay and cacher as a real one, without an environment."""

    def __init__(
        self,
        index: int,
        load: Load,
        make_adder: Callable[[Any], Any],
        variables: Sequence[tf.Variable],
        measured: Measurements,
        warm_up: tuple[int, int],
    ):
        """Connects, fetches variables and takes its first steps.

        Actors that have run for long are spread over the steps of an episode, of the
        period of fetches and of that of sequences. So this one starts at a random step
        of its episode, and takes enough first steps, which are not timed, for its adder
        to create an item per period afterwards.

        Args:
          index: number among all actors.
          load: work of the process.
          make_adder: makes an adder of a Reverb client.
          variables: variables to which fetches are copied.
          measured: receives its latencies.
          warm_up: lowest and highest number of first steps, the highest excluded.
        """
        self._rng = np.random.default_rng((load.seed, index))
        self._episodes = load.episodes
        self._measured = measured
        host = loopback(index)
        self._client = _CountedClient(
            reverb.Client(f"{host}:{load.replay_port}"), measured
        )
        self._adder = make_adder(self._client)
        self._source = None
        if load.cacher_port is not None:
            self._source = TimedSource(
                courier.Client(f"{host}:{load.cacher_port}"), measured
            )
            self._variable_client = variable_utils.VariableClient(
                self._source, {"policy": variables}, load.update_period
            )
            self._fetch_first(self._source, load.update_period)
        self._begin_episode()
        self._t = int(self._rng.integers(self._episode.steps))
        self._adder.add_first(self._episode.timestep(self._t, first=True))
        self.steps = 0
        for _ in range(self._rng.integers(*warm_up)):
            self.step()
        self.steps = 0

    def _fetch_first(self, source: TimedSource, update_period: int) -> None:
        """Fetches some times, then moves to a random point of the period.

        Raises:
          Exception: the exception that a fetch raised.
        """
        for wanted in range(1, 1 + self._rng.integers(*_FIRST_FETCHES)):
            for _ in range(update_period):
                self._variable_client.update()
            while source.fetches < wanted:
                time.sleep(_WAIT_SECONDS)
                self._variable_client.update()
        for _ in range(1 + self._rng.integers(update_period)):
            self._variable_client.update()

    @property
    def items(self) -> int:
        """The number of items that its adder has created."""
        return self._client.items

    def _begin_episode(self) -> None:
        self._episode = self._episodes[self._rng.integers(len(self._episodes))]
        self._t = 0

    def step(self) -> None:
        """Takes one control step; if it ends the episode, starts the next one."""
        latent = self._episode.latent[self._t]
        self._t += 1
        timestep = self._episode.timestep(self._t)
        items = self.items
        begin = time.perf_counter()
        self._adder.add(latent, timestep, extras={"valid": np.float32(1.0)})
        if self.items > items:
            self._measured.insert.append(time.perf_counter() - begin)
        if self._source is not None:
            self._variable_client.update()
        self.steps += 1
        if timestep.last():
            self._begin_episode()
            self._adder.add_first(self._episode.timestep(0, first=True))

    def drain(self) -> None:
        """Waits until the server has acknowledged every item."""
        self._adder.reset()


class Stepper:
    """Stepper of actors at the times when they are due, in a few threads.

    An actor that is late is due again a whole period later, as one with a slow
    environment: it does not catch up.
    """

    def __init__(self, actors: Sequence[Any], period: float, seed: int):
        """Prepares the stepper.

        Args:
          actors: objects with a method `step`.
          period: seconds from one step of an actor to the next.
          seed: seed of the times of first steps, spread over one period.
        """
        first = np.random.default_rng(seed).uniform(0.0, period, len(actors))
        self._period = period
        self._due = [(float(t), i) for i, t in enumerate(first)]
        heapq.heapify(self._due)
        self._actors = actors
        self._lock = threading.Lock()
        self.errors: list[str] = []

    def run(self, threads: int, stop: threading.Event) -> list[threading.Thread]:
        """Starts the threads, which end with `stop`, after their current step."""
        self._begin = time.monotonic()
        started = [
            threading.Thread(target=self._work, args=(stop,), daemon=True)
            for _ in range(threads)
        ]
        for thread in started:
            thread.start()
        return started

    def _work(self, stop: threading.Event) -> None:
        while not stop.is_set():
            with self._lock:
                if not self._due:  # Other threads have all remaining actors.
                    return
                due, i = heapq.heappop(self._due)
            wait = due - (time.monotonic() - self._begin)
            if wait > 0 and stop.wait(wait):
                return
            try:
                self._actors[i].step()
            except Exception as e:  # This actor ends; the others continue.
                with self._lock:
                    self.errors.append(f"actor {i}: {type(e).__name__}: {e}")
                continue
            now = time.monotonic() - self._begin
            with self._lock:
                heapq.heappush(self._due, (max(due + self._period, now), i))


def run(pipe: Connection, load: Load) -> None:
    """Runs a node: connects, confirms, steps from "go" to "stop", drains, reports."""
    setup.one_thread()
    setup.return_memory()
    builder = setup.make_builder(load.agent, load.seed)
    # One copy for all actors of a process, as only the arrival is measured.
    variables = [tf.Variable(value) for value in load.variables]
    measured = Measurements()
    length, period = builder.config.sequence_length, builder.config.sequence_period
    warm_up = length, length + period

    def make(index: int) -> LightActor:
        return LightActor(index, load, builder.make_adder, variables, measured, warm_up)

    actors = []
    with futures.ThreadPoolExecutor(load.threads) as pool:
        for actor in pool.map(make, load.actors):
            actors.append(actor)
            pipe.send(("connected", len(actors)))
    pipe.send(("ready", None))
    pipe.recv()
    first_fetches = len(measured.fetch)
    measured.clear()  # Latencies of connecting, where all actors fetch at once.
    stepper = Stepper(actors, load.seconds_per_step, load.seed + load.actors.start)
    stop = threading.Event()
    threads = stepper.run(min(load.threads, len(actors)), stop)

    def progress() -> Progress:
        return Progress(
            steps=sum(actor.steps for actor in actors),
            items=sum(actor.items for actor in actors),
            fetches=len(measured.fetch),
            errors=len(stepper.errors),
        )

    while not pipe.poll(_REPORT_SECONDS):
        pipe.send(("progress", progress()))
    pipe.recv()
    stop.set()
    for thread in threads:
        thread.join()
    pipe.send(("stopped", progress()))
    acknowledge = np.array(measured.acknowledge)
    for i, actor in enumerate(actors):
        try:
            actor.drain()
        except Exception as e:
            stepper.errors.append(f"actor {i}, draining: {type(e).__name__}: {e}")
    report = Report(
        progress(),
        np.array(measured.insert),
        acknowledge,
        np.array(measured.fetch),
        first_fetches,
        stepper.errors[:_MAX_ERRORS],
    )
    pipe.send(("report", report))
    pipe.recv()


def split(actors: int, processes: int) -> list[range]:
    """Splits the actors' numbers evenly over at most this many processes."""
    processes = min(actors, processes)
    bounds = [math.floor(actors * i / processes) for i in range(processes + 1)]
    return [range(a, b) for a, b in zip(bounds, bounds[1:], strict=False)]
