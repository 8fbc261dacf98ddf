"""The Launchpad program: replay, learner, cachers, evaluator, actors, coordinator.

It runs the same experiment and builder as one process does, as threads (`local_mt`,
`test_mt`) or processes (`local_mp`). Courier sends pickles over open ports: processes
run in a network of their own (`private_network`), threads in that of this process.

As processes, only the learner sees a GPU, actors and the evaluator run TensorFlow on
one thread, a node's output goes to `WORKDIR/logs/output`, a node that is killed is
restarted, one that raises ends the program, and one whose launcher dies ends too.
"""

from __future__ import annotations

import pathlib
import threading
from collections.abc import Callable

import launchpad as lp
import tensorflow as tf
from absl.testing import absltest
from launchpad.nodes.python.local_multi_processing import PythonProcess

from launchers.common import loggers, private_network, signals
from launchers.common.guard import Guard
from launchers.distributed import local_processes, process_env, replay, status
from launchers.distributed.actor import ActorNode
from launchers.distributed.config import Layout
from launchers.distributed.coordinator import CoordinatorNode, forget_earlier_program
from launchers.distributed.evaluator import EvaluatorNode
from launchers.distributed.learner import LearnerNode
from launchers.distributed.variable_cacher import CacherNode
from launchers.experiments.config import Experiment


def make_program(
    experiment: Experiment, num_actors: int, layout: Layout | None = None
) -> lp.Program:
    """Makes the program of an experiment.

    Args:
      experiment: experiment that the nodes run.
      num_actors: number of actors in all.
      layout: layout over processes; None takes the default `Layout`.

    Raises:
      ValueError: `num_actors` is less than 1.
    """
    if num_actors < 1:
        raise ValueError(f"num_actors must be at least 1, got {num_actors}")
    layout = layout or Layout()
    program = lp.Program("helms")

    def add(
        group: str, node: type, *args: object, **kwargs: object
    ) -> lp.CourierHandle:
        with program.group(group):
            return program.add_node(lp.CourierNode(node, *args, **kwargs))

    kept = experiment.budget.checkpoint_replay
    shards = [
        replay.ReplayShard(experiment, i) for i in range(layout.num_replay_shards)
    ]
    with program.group("replay"):
        replays = [
            program.add_node(
                lp.ReverbNode(shard.tables, shard.checkpointer if kept else None)
            )
            for shard in shards
        ]
    coordinator = add("coordinator", CoordinatorNode, experiment, replays)
    if kept:
        keeper = replay.ReplayCheckpointer
        add("replay_keeper", keeper, experiment, replays, coordinator)
    learner = add("learner", LearnerNode, experiment, replays, coordinator)
    sources = [
        add("cacher", CacherNode, learner, coordinator, name=f"cacher/{i}")
        for i in range(layout.num_cachers)
    ] or [learner]
    add("evaluator", EvaluatorNode, experiment, learner, coordinator)
    together = layout.actors_per_process
    for i, first in enumerate(range(0, num_actors, together)):
        add(
            "actor",
            ActorNode,
            experiment,
            f"actor/{i}",
            list(range(first, min(first + together, num_actors))),
            replays[i % len(replays)],
            sources[i % len(sources)],
            coordinator,
        )
    return program


def run(
    experiment: Experiment,
    num_actors: int,
    launch: str,
    report: Callable[[str], None] = print,
    layout: Layout | None = None,
    isolated: bool = True,
) -> str:
    """Launches the program and waits until it has stopped.

    Args:
      experiment: experiment to run or resume.
      num_actors: number of actors.
      launch: local_mt, test_mt or local_mp.
      report: receives a line of progress at intervals.
      layout: see `make_program`.
      isolated: whether processes run in a network of their own; a line says so where
        the system allows none.

    Returns:
      The reason of its end: max_actor_steps, run_seconds or signal.

    Raises:
      RuntimeError: a node failed.
    """
    program = make_program(experiment, num_actors, layout)
    forget_earlier_program(experiment.workdir)
    progress = loggers.Progress(experiment.workdir, experiment.budget.max_actor_steps)
    done = threading.Event()

    guard = Guard("the report of progress", report)

    def tell() -> None:
        while not done.wait(experiment.budget.log_seconds):
            with guard:
                report(progress.line())
            with guard:
                for line in status.warnings(experiment.workdir):
                    report(line)

    threading.Thread(target=tell, daemon=True).start()
    try:
        if launch == "local_mp":
            _run_processes(program, experiment, report, isolated)
        else:
            _run_threads(program, launch)
    finally:
        done.set()
    with guard:
        report(progress.line())
    return signals.take_reason(experiment.workdir)


def _run_threads(program: lp.Program, launch: str) -> None:
    if launch == "local_mt":
        return lp.launch(program, launch_type=launch).wait()
    case = absltest.TestCase()  # Launchpad registers its clean-up with a test case
    try:
        lp.launch(program, launch_type=launch, test_case=case).wait()
    finally:
        case.doCleanups()


def _run_processes(
    program: lp.Program,
    experiment: Experiment,
    report: Callable[[str], None],
    isolated: bool,
) -> None:
    network = None
    if isolated and not private_network.entered():
        try:
            network = private_network.make()
        except private_network.Unavailable as e:
            report(private_network.warning(str(e)))
    output = pathlib.Path(experiment.workdir) / "logs" / "output"
    report(f"what nodes print is in {output}")
    running = local_processes.launch(
        program,
        {
            group: PythonProcess(
                env=process_env.variables(group, gpu=group == "learner")
            )
            for group in program.groups
        },
        output,
        process_env.dispensable,
        report,
        network=network,
    )
    try:
        running.wait()
    except RuntimeError as e:
        raise RuntimeError(f"{e} (output: {output})") from e
    finally:
        if network is not None:
            network.close()


def hide_gpu() -> None:
    """Keeps a launcher whose nodes are processes from taking the learner's GPU."""
    tf.config.set_visible_devices([], "GPU")
