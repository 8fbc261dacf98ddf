"""The rules of a launch on Ray that need no Ray: ports, restarts, resources, logs."""

import csv
import os
import pathlib
import socket
import threading

import launchpad as lp
import pytest

from launchers.common import loggers
from launchers.distributed import restart_policy
from launchers.distributed.ray import (
    addresses,
    cluster,
    log_sync,
    node_process,
    resize_request,
    resources,
)


def test_address_is_of_the_host():
    assert addresses.HostAddressBuilder("10.0.0.7", 20123).build() == "10.0.0.7:20123"
    assert addresses.HostAddressBuilder("fd00::7", 20123).build() == "[fd00::7]:20123"


def test_ports_are_held_until_they_are_released():
    ports = addresses.Ports(3)
    assert len(set(ports.numbers)) == 3
    assert all(number in addresses.PORTS for number in ports.numbers)
    with socket.socket() as other, pytest.raises(OSError):
        other.bind(("", ports.numbers[0]))
    ports.release()
    with socket.socket() as other:
        other.bind(("", ports.numbers[0]))


def test_ports_of_an_earlier_life_are_kept():
    assert addresses.Ports(2, wanted=[21000, 21001]).numbers == [21000, 21001]


class _Nothing:
    def __init__(self, *handles):
        del handles


def test_nodes_that_others_use_are_known():
    program = lp.Program("test")
    with program.group("server"):
        server = program.add_node(lp.CourierNode(_Nothing))
    with program.group("client"):
        program.add_node(lp.CourierNode(_Nothing, server))
    serving = addresses.serving(program.get_all_nodes())
    assert serving == {id(program.groups["server"][0])}


def test_restarts_back_off_and_end():
    rules = restart_policy.Restarts(
        restart_policy.RestartPolicy(limit=3, longest_delay=3.0)
    )
    delays = [_died(rules, "actor/1", now) for now in (0.0, 10.0, 20.0)]
    assert delays == [1.0, 2.0, 3.0]
    assert _died(rules, "actor/2", 25.0) == 1.0  # counted apart
    with pytest.raises(
        restart_policy.Failed, match="actor/1 failed 4 times.*out of memory"
    ):
        rules.after_death(
            restart_policy.Loss("actor/1", "out of memory", 5.0, True, {}), 30.0
        )


def _died(rules, name, now, worked=5.0, peers=None):
    loss = restart_policy.Loss(name, "killed", worked, True, peers or {})
    return rules.after_death(loss, now)


def _raised(rules, name, now, worked=5.0, dispensable=True, peers=None):
    loss = restart_policy.Loss(name, "KeyError: 'x'", worked, dispensable, peers or {})
    return rules.after_exception(loss, now)


def test_a_node_that_had_worked_may_be_killed_as_often_as_it_likes():
    rules = restart_policy.Restarts(restart_policy.RestartPolicy(limit=2, settled=20.0))
    assert [_died(rules, "a", 25.0 * i, worked=20.0) for i in range(9)] == [1.0] * 9
    assert _died(rules, "a", 230.0) == 2.0
    with pytest.raises(restart_policy.Failed, match="a failed 3 times"):
        _died(rules, "a", 235.0)
    # Exceptions are counted all the same: they repeat themselves.
    for i, delay in enumerate((1.0, 2.0)):
        assert _raised(rules, "b", 25.0 * i, 20.0) == delay
    with pytest.raises(restart_policy.Failed, match="b failed 3 times"):
        _raised(rules, "b", 75.0, 20.0)


def test_restarts_are_forgotten_after_the_window():
    rules = restart_policy.Restarts(restart_policy.RestartPolicy(limit=1, window=600.0))
    assert _died(rules, "learner/0", 0.0) == 1.0
    assert _died(rules, "learner/0", 600.1) == 1.0


def test_a_lost_host_counts_for_no_node():
    rules = restart_policy.Restarts(restart_policy.RestartPolicy(limit=1))
    for now in range(5):
        rules.after_host_lost("actor/1", float(now))
    assert _died(rules, "actor/1", 6.0) == 1.0


@pytest.mark.parametrize(
    ("worked", "dispensable", "loss", "ends"),
    [
        (5.0, True, None, True),  # broken from the start
        (25.0, True, None, False),
        (25.0, False, None, True),
        (5.0, False, ("replay/0", 60.0), False),  # a result of the other's loss
        (5.0, False, ("replay/0", 30.0), True),  # too long ago
        (5.0, False, ("actor/1", 99.0), True),  # its own loss excuses nothing
    ],
)
def test_an_exception_ends_the_program_unless(worked, dispensable, loss, ends):
    rules = restart_policy.Restarts()
    if loss:
        _died(rules, *loss)
    if ends:
        with pytest.raises(restart_policy.Failed, match="^actor/1: KeyError: 'x'$"):
            _raised(rules, "actor/1", 100.0, worked, dispensable)
    else:
        assert _raised(rules, "actor/1", 100.0, worked, dispensable) == 1.0


def test_exceptions_do_not_excuse_each_other():
    rules = restart_policy.Restarts()
    _raised(rules, "actor/1", 100.0, worked=25.0)
    with pytest.raises(restart_policy.Failed):
        _raised(rules, "actor/2", 101.0)


def test_nothing_ends_the_program_while_a_peer_works():
    rules = restart_policy.Restarts(
        restart_policy.RestartPolicy(limit=2, longest_delay=3.0)
    )
    settled, new = {"actor/2": 20.0}, {"actor/2": 19.0}
    delays = [_died(rules, "actor/1", float(i), peers=settled) for i in range(5)]
    assert delays == [1.0, 2.0, 3.0, 3.0, 3.0]
    assert _raised(rules, "actor/1", 5.0, peers=settled) == 3.0
    assert _raised(rules, "actor/3", 100.0, peers=settled) == 1.0
    for fail in (_died, _raised):
        with pytest.raises(restart_policy.Failed):
            fail(rules, "actor/1", 101.0, peers=new)
    with pytest.raises(
        restart_policy.Failed
    ):  # a shard is missed, whatever the others do
        _raised(rules, "actor/1", 101.0, dispensable=False, peers=settled)


def test_all_that_fail_alike_end_the_program():
    rules = restart_policy.Restarts(restart_policy.RestartPolicy(limit=2, settled=20.0))
    for now in (25.0, 50.0):
        for name, peer in (("actor/1", "actor/2"), ("actor/2", "actor/1")):
            _raised(rules, name, now, worked=25.0, peers={peer: 25.0})
    with pytest.raises(restart_policy.Failed, match="actor/1 failed 3 times"):
        _raised(rules, "actor/1", 75.0, worked=25.0, peers={"actor/2": 25.0})


def _hosts(**gpus):
    return [
        resources.HostResources(ip=ip, num_cpus=8, num_gpus=count)
        for ip, count in gpus.items()
    ]


def test_two_cpus_hold_the_program():
    needs = resources.for_experiment(_hosts(a=0), launcher="a")
    one_each = ("learner", "replay", "cacher", "evaluator", "coordinator", "actor")
    assert sum(resources.of_group(needs, g).num_cpus for g in one_each) <= 2
    assert all(need.env["CUDA_VISIBLE_DEVICES"] == "" for need in needs.values())
    assert needs["actor"].env["TF_NUM_INTRAOP_THREADS"] == "1"


def test_the_learner_has_the_gpu_and_its_neighbours_go_with_it():
    needs = resources.for_experiment(_hosts(a=0, b=2), launcher="a")
    assert needs["learner"].num_gpus == 1
    assert "CUDA_VISIBLE_DEVICES" not in needs["learner"].env
    groups = ("learner", "replay", "evaluator", "coordinator", "actor")
    hosts = [resources.of_group(needs, group).host for group in groups]
    assert hosts == ["b", "b", "b", "a", None]
    assert all(
        resources.of_group(needs, group).env["CUDA_VISIBLE_DEVICES"] == ""
        for group in groups[1:]
    )
    assert resources.for_experiment(_hosts(a=1, b=2), "b")["learner"].host == "b"


def test_resources_as_ray_takes_them():
    need = resources.RayResources(
        num_cpus=0.5, memory_bytes=10, placement="spread", env={"A": "1"}
    )
    assert need.at("10.0.0.7").options() == {
        "num_cpus": 0.5,
        "num_gpus": 0.0,
        "memory": 10,
        "scheduling_strategy": "SPREAD",
        "resources": {"node:10.0.0.7": 0.0001},
        "runtime_env": {"env_vars": {"A": "1"}},
    }


@pytest.mark.parametrize("bad", [{"placement": "here"}, {"num_cpus": -1}])
def test_bad_resources(bad):
    with pytest.raises(ValueError, match=next(iter(bad))):
        resources.RayResources(**bad)


def test_groups_that_are_not_named():
    small = resources.RayResources(num_cpus=0.25)
    assert resources.of_group({"": small}, "cacher") is small
    assert resources.of_group({}, "cacher") == resources.RayResources()


def _bring(source, to, ip="10.0.0.7"):
    copy = log_sync.Mirror(str(to))
    copy.apply(ip, log_sync.read(str(source), copy.positions(ip)))
    return copy


def _rows(root, node="actor_0"):
    with (pathlib.Path(root) / "logs" / node / "logs.csv").open(newline="") as f:
        return list(csv.DictReader(f))


def test_mirror_brings_rows_once_across_restarts_and_new_columns(tmp_path):
    source, to = tmp_path / "source", tmp_path / "to"
    logger = loggers.CsvLogger(source / "logs/actor_0/logs.csv")
    logger.write({"step": 1})
    _bring(source, to)
    logger.write({"step": 2})
    logger.write({"step": 3, "success": 1.0})  # rewrites the file
    _bring(source, to)  # a launcher that was started again
    _bring(source, to)
    logger.write({"step": 4, "success": 0.0})
    _bring(source, to)
    assert [row["step"] for row in _rows(to)] == ["1", "2", "3", "4"]
    assert [row["success"] for row in _rows(to)] == ["", "", "1.0", "0.0"]


def test_mirror_goes_on_with_a_node_on_another_host(tmp_path):
    for name, ip in (("a", "10.0.0.7"), ("b", "10.0.0.8")):
        logger = loggers.CsvLogger(tmp_path / name / "logs/actor_0/logs.csv")
        logger.write({"step": name})
        _bring(tmp_path / name, tmp_path / "to", ip)
    assert [row["step"] for row in _rows(tmp_path / "to")] == ["a", "b"]


def test_mirror_leaves_half_lines_and_hidden_files(tmp_path):
    path = tmp_path / "source/logs/actor_0/logs.csv"
    path.parent.mkdir(parents=True)
    (path.parent / ".12.logs.csv").write_text("aside\n")
    path.write_text("step,time\n1,2\n3,")
    _bring(tmp_path / "source", tmp_path / "to")
    with path.open("a") as f:
        f.write("4\n")
    _bring(tmp_path / "source", tmp_path / "to")
    assert [list(row.values()) for row in _rows(tmp_path / "to")] == [
        ["1", "2"],
        ["3", "4"],
    ]
    assert len(os.listdir(tmp_path / "to/logs/actor_0")) == 1


def test_mirror_appends_output_and_skips_what_was_there_before(tmp_path):
    output = tmp_path / "source/logs/output/actor/0"
    output.parent.mkdir(parents=True)
    output.write_bytes(b"of an earlier run\n")
    copy = log_sync.Mirror(str(tmp_path / "to"))
    copy.begin("10.0.0.7", log_sync.ends(str(tmp_path / "source")))
    for text in (b"one\n", b"two\n"):
        with output.open("ab") as f:
            f.write(text)
        since = copy.positions("10.0.0.7")
        copy.apply("10.0.0.7", log_sync.read(str(tmp_path / "source"), since))
    assert (tmp_path / "to/logs/output/actor/0").read_bytes() == b"one\ntwo\n"


def test_resize_request_is_taken_once(tmp_path):
    (tmp_path / node_process.TOKEN).write_text("token")
    asked = threading.Thread(target=resize_request.ask, args=(str(tmp_path), 7))
    asked.start()
    taken: list = []
    while not taken:
        taken += [n for n in [resize_request.take(str(tmp_path))] if n is not None]
    asked.join()
    assert taken == [7] and resize_request.take(str(tmp_path)) is None


def test_resize_request_that_nobody_takes(tmp_path):
    with pytest.raises(ValueError, match="no launcher"):
        resize_request.ask(str(tmp_path), 2)
    with pytest.raises(ValueError, match="at least 1"):
        resize_request.ask(str(tmp_path), 0)
    (tmp_path / node_process.TOKEN).write_text("token")
    with pytest.raises(ValueError, match="did not answer"):
        resize_request.ask(str(tmp_path), 2, timeout=0.1)
    assert resize_request.take(str(tmp_path)) is None


@pytest.mark.parametrize("content", ["{", "[]", '{"num_actors": "many"}', "{}"])
def test_resize_request_that_is_none(tmp_path, content):
    (tmp_path / ".num_actors.json").write_text(content)
    with pytest.raises(ValueError):
        resize_request.take(str(tmp_path))
    assert resize_request.take(str(tmp_path)) is None


def test_inputs_are_packed_whole(tmp_path):
    source, to = tmp_path / "source", tmp_path / "a" / "to"
    (source / "folder").mkdir(parents=True)
    (source / "folder" / "weights").write_bytes(b"\0\1")
    node_process.unpack(str(to), node_process.pack(str(source)))
    assert (to / "folder" / "weights").read_bytes() == b"\0\1"
    node_process.unpack(str(to), b"not read where the directory is")
    assert os.listdir(to.parent) == ["to"]


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("nowhere", "must be auto or HOST:PORT"),
        ("127.0.0.1:1", "no Ray cluster at 127.0.0.1:1"),
        ("127.0.0.1:99999", "no Ray cluster at 127.0.0.1:99999"),
    ],
)
def test_bad_address(address, message):
    pytest.importorskip("ray")
    with pytest.raises(ValueError, match=message) as error:
        cluster.join(address)
    assert "\n" not in str(error.value)


def test_ray_is_optional(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "ray", None)
    with pytest.raises(ValueError, match="pip install ray=="):
        cluster.join(None)
