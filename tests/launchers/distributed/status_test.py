"""The status of a running program, and the monitor's text."""

import json

import pytest
import reverb

from launchers.common import loggers
from launchers.distributed import coordinator, status, status_view


def _state(waits=(), age=0.5):
    return {"host": "a", "pid": 7, "waits": list(waits), "age": age}


def _shard(**changes):
    shard = {
        "size": 10, "max_size": 100, "inserts": 20, "samples": 80,
        "blocks_inserts": False, "blocks_samples": False, "samples_per_insert": 4.0,
        "min_size": 5, "min_diff": -1e308, "max_diff": 1e308,
    }  # fmt: skip
    return {**shard, **changes}


def test_the_limiter_that_blocks_is_named():
    nodes = {"actor/1": _state([("an insert", 31.0)])}

    def found(shard):
        return status.complaints(nodes, [shard])[1:]

    assert found(_shard()) == []
    assert "holds inserts back" in found(_shard(blocks_inserts=True))[0]
    assert "4.0 samples an insert, 4 asked" in found(_shard(blocks_inserts=True))[0]
    assert "holds samples back" in found(_shard(blocks_samples=True))[0]
    few = _shard(blocks_samples=True, size=3)
    assert found(few) == ["replay/0: no samples before 5 items, it has 3"]
    assert found(None) == ["replay/0 does not answer"]
    # Nobody waits for long: a limiter that works is no complaint.
    calm = {"actor/1": _state()}
    assert status.complaints(calm, [_shard(blocks_inserts=True)]) == []


def test_when_a_ratio_blocks():
    limiter = reverb.rate_limiters.SampleToInsertRatio(2.0, 2, error_buffer=4.0)
    table = reverb.Table(
        "t", reverb.selectors.Uniform(), reverb.selectors.Fifo(), 100, limiter
    )
    server = reverb.Server([table])
    client = reverb.Client(f"localhost:{server.port}")
    # Bounds: 2 * 2 -+ 4. Four inserts bring the difference to 8, a fifth over it.
    seen = []
    for _ in range(4):
        client.insert([1.0], {"t": 1.0})
        shard = status.of_replay(client)
        assert shard is not None
        seen.append((shard["blocks_inserts"], shard["blocks_samples"]))
    assert seen == [(False, True), (False, False), (False, False), (True, False)]
    list(client.sample("t", 8))
    shard = status.of_replay(client)
    server.stop()
    assert shard is not None
    assert not shard["blocks_inserts"] and shard["blocks_samples"]


def test_status_of_a_real_table_and_the_monitor(tmp_path):
    table = reverb.Table(
        "t",
        reverb.selectors.Uniform(),
        reverb.selectors.Fifo(),
        100,
        reverb.rate_limiters.MinSize(2),
    )
    server = reverb.Server([table])
    client = reverb.Client(f"localhost:{server.port}")
    client.insert([1.0], {"t": 1.0})
    shard = status.of_replay(client)
    server.stop()
    assert shard is not None
    assert (shard["size"], shard["inserts"], shard["min_size"]) == (1, 1, 2)
    assert shard["blocks_samples"] and not shard["blocks_inserts"]

    nodes = {"actor/3": _state([("the learner", 40.0)]), "learner": _state()}
    counts = {"actor_steps": 1200, "learner_steps": 30}
    content = status.write(tmp_path, 60.0, counts, nodes, [shard, None])
    json.loads((tmp_path / "status.json").read_text())
    assert status.scalars(content)["nodes_waiting"] == 1.0
    logger = loggers.make_logger(str(tmp_path), "actor_0", "actor_steps")
    logger.write({"actor_steps": 400, "episode_return": 3.5})

    before = {**content, "time": content["time"] - 10, "counts": {"actor_steps": 200}}
    text, _ = status_view.view(str(tmp_path), before, rows=1)
    assert "1,200  (100.0/s)" in text and "3.50 (last episodes of 1 actors)" in text
    assert "replay/1       does not answer" in text
    assert "the learner (40 s)" in text and "... and 1 more" in text
    assert "warning: actor/3 has waited 40 s on the learner" in text
    later, _ = status_view.view(str(tmp_path), now=content["time"] + 90)
    assert "not running for 1 min 30 s" in later
    assert "no status yet" in status_view.view(str(tmp_path / "none"))[0]


def test_warnings_are_of_the_program_that_runs(tmp_path):
    assert status.warnings(str(tmp_path)) == []
    nodes = {"actor/3": _state([("the learner", 40.0)])}
    content = status.write(tmp_path, 60.0, {}, nodes, [])
    told = ["warning: actor/3 has waited 40 s on the learner"]
    assert status.warnings(str(tmp_path)) == told
    old = {**content, "time": content["time"] - 60.0}
    (tmp_path / "status.json").write_text(json.dumps(old))
    assert status.warnings(str(tmp_path)) == []
    coordinator.forget_earlier_program(str(tmp_path))
    assert not (tmp_path / "status.json").exists()


def _log(workdir, node, **row):
    loggers.make_logger(str(workdir), node, next(iter(row))).write(row)


def test_a_run_in_one_process_shows_its_counts(tmp_path):
    _log(tmp_path, "actor_0", actor_steps=400, learner_steps=7, episode_return=3.5)
    _log(tmp_path, "learner", learner_steps=9)
    text, content = status_view.view(str(tmp_path))
    assert "a run in one process" in text and "no status yet" not in text
    assert "actor steps    400" in text and "learner steps  9" in text
    assert "3.50 (last episodes of 1 actors)" in text
    assert content is not None
    before = {"time": content["time"] - 10, "counts": {"actor_steps": 200}}
    assert "400  (20.0/s)" in status_view.view(str(tmp_path), before)[0]


def test_a_run_in_one_process_may_continue_a_program(tmp_path):
    content = status.write(tmp_path, 60.0, {"actor_steps": 300}, {}, [])
    _log(tmp_path, "actor_0", actor_steps=400, learner_steps=7, episode_return=3.5)
    assert "running" in status_view.view(str(tmp_path))[0]  # by the program
    old = {**content, "time": content["time"] - 60.0}
    (tmp_path / "status.json").write_text(json.dumps(old))
    assert "a run in one process" in status_view.view(str(tmp_path))[0]


def test_a_program_that_starts_has_no_status_yet(tmp_path):
    _log(tmp_path, "actor_0", actor_steps=400, episode_return=3.5)
    (tmp_path / "logs" / "program").mkdir()
    assert "no status yet" in status_view.view(str(tmp_path))[0]


@pytest.mark.parametrize("text", ["{}", "[]", '{"time": "now"}', "{", '{"time": 1.0}'])
def test_what_is_no_status_is_none(text, tmp_path):
    (tmp_path / "status.json").write_text(text)
    assert status.read(str(tmp_path)) is None
    assert status.warnings(str(tmp_path)) == []
    assert "no status yet" in status_view.view(str(tmp_path))[0]


@pytest.mark.parametrize("value", [1.0, 2.0])
def test_scalars_of_no_shard(value):
    content = {"nodes": {}, "replay": [None], "counts": {"actor_steps": value}}
    assert status.scalars(content)["replay_fill"] == 0.0
