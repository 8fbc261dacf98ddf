"""Light actors on a real Reverb server: what they create and what of it arrives."""

import threading
import time

import numpy as np
import pytest
import reverb
from acme import specs

from benchmarks.load import actors, episodes, light, servers, usage
from tests.helpers import fakes

_STEPS = 20  # of an episode
_LENGTH, _PERIOD = 5, 4  # of sequences


@pytest.fixture
def builder():
    experiment = fakes.make_experiment(
        "unused", sequence_length=_LENGTH, sequence_period=_PERIOD
    )
    return experiment.builder_factory()


@pytest.fixture
def server(builder):
    made = reverb.Server(builder.make_replay_tables(_spec(), limit_rate=False))
    yield made
    made.stop()


def _spec():
    return specs.make_environment_spec(fakes.MatchingTask(seed=0))


def _episode(builder):
    """Zeros of the specs' shapes."""

    def zeros(rows, spec):
        return np.zeros((rows, *spec.shape), spec.dtype)

    spec = _spec()
    return episodes.Episode(
        {name: zeros(_STEPS + 1, s) for name, s in spec.observations.items()},
        zeros(_STEPS, builder.agent_action_spec(spec)),
        zeros(_STEPS, spec.rewards),
        np.ones(_STEPS, spec.discounts.dtype),
    )


def _make_actor(builder, port, index=0, warm_up=(0, 1)):
    load = actors.Load(
        agent="",
        seed=0,
        actors=range(1),
        episodes=[_episode(builder)],
        variables=[],
        replay_port=port,
        cacher_port=None,
        seconds_per_step=0.0,
        update_period=10,
        threads=1,
    )
    measured = actors.Measurements()
    actor = actors.LightActor(
        index, load, builder.make_adder, [], measured, warm_up=warm_up
    )
    return actor, measured


def _step_to_the_end(actor):
    """Whatever step it began at; returns the steps of it."""
    before = actor.steps
    while True:
        actor.step()
        if actor._t == 0:
            return actor.steps - before


def test_every_item_arrives(builder, server):
    """An episode of 20 steps: sequences of 5 end at 5, 9, 13, 17, and a last one.

    The last holds the final observation's row and the padding behind it.
    """
    actor, measured = _make_actor(builder, server.port)
    _step_to_the_end(actor)
    before = actor.items
    assert _step_to_the_end(actor) == _STEPS
    assert actor.items - before == 5
    for _ in range(7):
        actor.step()
    assert actor.items - before == 6
    actor.drain()
    received = servers.inserts(reverb.Client(f"localhost:{server.port}")).completed
    assert light.lost(actor.items, received) == 0
    assert len(measured.insert) == actor.items
    assert len(measured.acknowledge) == 3  # two ends and the drain
    assert all(seconds > 0 for seconds in measured.insert)


def test_what_does_not_arrive_is_lost(builder, server, monkeypatch):
    """A writer that swallows every third item, without a word."""

    class Swallowing:
        def __init__(self, writer):
            self._writer = writer
            self._items = 0

        def __getattr__(self, name):
            return getattr(self._writer, name)

        def create_item(self, *arguments):
            self._items += 1
            if self._items % 3:
                self._writer.create_item(*arguments)

    class Client(reverb.Client):
        def trajectory_writer(self, *arguments):
            return Swallowing(super().trajectory_writer(*arguments))

    monkeypatch.setattr(actors.reverb, "Client", Client)
    actor, _ = _make_actor(builder, server.port)
    for _ in range(2):
        _step_to_the_end(actor)
    actor.drain()
    received = servers.inserts(reverb.Client(f"localhost:{server.port}")).completed
    assert actor.items > 5
    assert light.lost(actor.items, received) == actor.items // 3


def test_connections_are_the_actors_own(builder, server):
    before = usage.connections(server.port)
    kept = [_make_actor(builder, server.port, index=i)[0] for i in range(3)]
    assert usage.connections(server.port) == before + len(kept)


def test_a_warm_actor_creates_an_item_a_period(builder, server):
    actor, _ = _make_actor(builder, server.port, warm_up=(_LENGTH, _LENGTH + 1))
    assert actor.steps == 0 and actor.items >= 1
    before = actor.items
    for _ in range(2 * _STEPS):
        actor.step()
    assert actor.items - before >= 2 * _STEPS // _PERIOD


def test_loopbacks_are_apart():
    found = [actors.loopback(i) for i in range(1500)]
    assert found[0] == "127.0.1.1" and found[254] == "127.0.2.1"
    assert len(set(found)) == 1500
    assert all(0 < int(part) < 255 for host in found for part in host.split(".")[2:])


class _Counted:
    def __init__(self):
        self.steps = 0

    def step(self):
        self.steps += 1
        if self.steps == 3:
            raise RuntimeError("no more")


def test_an_actor_that_fails_is_out_and_told():
    made = [_Counted(), _Counted()]
    stepper = actors.Stepper(made, period=0.0, seed=0)
    for thread in stepper.run(2, threading.Event()):
        thread.join(timeout=60)  # They end once nobody is left.
    assert [actor.steps for actor in made] == [3, 3]
    assert sorted(stepper.errors) == [
        "actor 0: RuntimeError: no more",
        "actor 1: RuntimeError: no more",
    ]


def test_a_late_actor_does_not_hurry():
    """The first step takes three periods; the ones missed are not made up for."""
    times = []

    class Slow:
        def step(self):
            times.append(time.monotonic())
            if len(times) == 1:
                time.sleep(1.2)

    stop = threading.Event()
    threads = actors.Stepper([Slow()], period=0.4, seed=0).run(1, stop)
    time.sleep(3.0)
    stop.set()
    threads[0].join()
    gaps = np.diff(times)
    assert gaps[0] >= 1.2
    assert len(gaps) > 2 and all(gaps[1:] > 0.1)


@pytest.mark.parametrize(
    ("count", "processes", "sizes"),
    [(10, 3, [3, 3, 4]), (2, 4, [1, 1]), (1500, 2, [750, 750])],
)
def test_split(count, processes, sizes):
    found = actors.split(count, processes)
    assert [len(numbers) for numbers in found] == sizes
    assert [i for numbers in found for i in numbers] == list(range(count))


def test_totals_and_percentiles():
    parts = [actors.Progress(1, 2, 3, 0), actors.Progress(10, 20, 30, 1)]
    assert light.total(parts) == actors.Progress(11, 22, 33, 1)
    found = light.percentiles("insert", np.arange(101) / 100)
    assert found == pytest.approx(
        {
            "insert_p50_seconds": 0.5,
            "insert_p99_seconds": 0.99,
            "insert_max_seconds": 1.0,
        }
    )
    assert light.percentiles("fetch", np.array([]))["fetch_p99_seconds"] is None
