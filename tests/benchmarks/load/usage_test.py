"""What processes use, against what the test itself does; the relay; episodes."""

import os
import resource
import socket
import threading
import time

import dm_env
import numpy as np
import pytest

from benchmarks.load import episodes, relay, usage
from environments import wrappers


def test_connections_are_counted():
    with socket.create_server(("0.0.0.0", 0)) as server:
        port = server.getsockname()[1]
        assert usage.connections(port) == 0
        pairs = []
        for host in ("127.0.0.1", "127.0.1.1", "127.0.1.2"):
            client = socket.create_connection((host, port))
            pairs.append((client, server.accept()[0]))
        assert usage.connections(port) == 3
        for pair in pairs:
            for end in pair:
                end.close()


def test_own_cpu_and_memory():
    before = usage.cpu_seconds(os.getpid())
    end = time.process_time() + 0.3
    while time.process_time() < end:
        pass
    assert 0.2 < usage.cpu_seconds(os.getpid()) - before < 5
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
    assert 0.1 * peak < usage.rss_mb(os.getpid()) <= 1.01 * peak


def test_usage_by_hand():
    """Memory rises while it warms up, then by 1 MB in 20 s; half a core all along."""
    samples = [
        usage.Sample(t, "node", memory, 100 + t / 2)
        for t, memory in [(0, 50), (10, 90), (20, 100), (30, 100.5), (40, 101)]
    ]
    found = usage.summarise([*samples, *(s._replace(node="other") for s in samples)])
    assert set(found) == {"node", "other"}
    assert found["node"].cpu == pytest.approx(0.5)
    assert found["node"].rss_mb == 101
    assert found["node"].rss_growth_mb == pytest.approx(1.0)


def test_a_watch_looks_now_and_then():
    with usage.Watch({"me": os.getpid(), "gone": 2**22 + 1}, period=0.05) as watch:
        time.sleep(0.3)
    assert len(watch.samples) > 2
    assert {sample.node for sample in watch.samples} == {"me"}
    seconds = [sample.seconds for sample in watch.samples]
    assert seconds == sorted(seconds)


def test_too_many_connections(monkeypatch):
    monkeypatch.setattr(resource, "getrlimit", lambda _: (256, 4096))
    asked = []
    monkeypatch.setattr(resource, "setrlimit", lambda _, limits: asked.append(limits))
    usage.allow_connections(3000)
    assert asked == [(3512, 4096)]
    with pytest.raises(ValueError, match="need 5512 open files .* is 4096"):
        usage.allow_connections(5000)


def test_a_relay_counts_both_ways():
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer():
            connection, _ = server.accept()
            with connection:
                asked = connection.recv(1000)
                connection.sendall(asked * 3)

        threading.Thread(target=answer, daemon=True).start()
        with relay.Relay(server.getsockname()[1]) as made:
            with socket.create_connection(("127.0.0.1", made.port)) as client:
                client.sendall(b"12345")
                found = b""
                while data := client.recv(1000):
                    found += data
            assert found == b"12345" * 3
            assert made.bytes == 20


def _episode(steps=3):
    return episodes.Episode(
        {"proprio": np.arange(2 * (steps + 1), dtype=np.float32).reshape(-1, 2)},
        np.zeros((steps, 4), np.float32),
        np.array([0.1, 0.2, 0.3], np.float32),
        np.ones(steps, np.float32),
    )


def test_an_episode_is_given_back_as_it_went():
    episode = _episode()
    assert episode.steps == 3
    first = episode.timestep(0, first=True)
    assert first.first() and first.reward is None
    middle, last = episode.timestep(2), episode.timestep(3)
    assert middle.step_type == dm_env.StepType.MID and last.last()
    assert middle.reward == np.float32(0.2) and last.reward == np.float32(0.3)
    np.testing.assert_array_equal(last.observation["proprio"], [6, 7])


@pytest.mark.slow
def test_the_table_is_made_for_the_real_spec():
    """What the replay table is made for is what the real environment gives."""
    from acme import specs

    from benchmarks.load import setup

    environment = setup.make_environment(seed=0)
    real, ours = specs.make_environment_spec(environment), wrappers.environment_spec()
    for mine, theirs in (
        (ours.rewards, real.rewards),
        (ours.discounts, real.discounts),
    ):
        assert (mine.shape, mine.dtype) == (theirs.shape, theirs.dtype)
    for key, spec in real.observations.items():
        assert ours.observations[key].shape == spec.shape
        assert ours.observations[key].dtype == spec.dtype
    timestep = environment.reset()
    timestep = environment.step(np.zeros(real.actions.shape, np.float32))
    assert np.asarray(timestep.discount).dtype == ours.discounts.dtype
    assert np.asarray(timestep.reward).dtype == ours.rewards.dtype
    environment.close()
