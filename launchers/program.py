"""The one Launchpad program: replay, learner, cachers, evaluator, actors, coordinator.

The same experiment as in one process, and the same builder: as threads (`local_mt`,
`test_mt`) or processes (`local_mp`). Courier sends pickles over open ports, so a
program belongs on a trusted network.

In processes, only the learner sees a GPU, actors and the evaluator run TensorFlow on
one thread, what a node prints goes to `WORKDIR/logs/output`, a node that fails ends the
program, and a node whose launcher dies ends too.
"""

from __future__ import annotations

import contextlib
import io
import pathlib
import sys
import threading
from collections.abc import Callable

import launchpad as lp
import tensorflow as tf
from absl import flags
from launchpad.launch.run_locally import launch_local_output_to_files
from launchpad.nodes.python.local_multi_processing import PythonProcess

from launchers import cacher, nodes, run_logs, status
from launchers.experiment import Experiment
from launchers.layout import Layout

_OUTPUT = "output"


def make_program(
    experiment: Experiment, num_actors: int, layout: Layout | None = None
) -> lp.Program:
    """The program of an experiment.

    Args:
      experiment: what its nodes run.
      num_actors: in all.
      layout: how they are spread; None: as `Layout` has it.

    Raises:
      ValueError: no actor.
    """
    if num_actors < 1:
        raise ValueError(f"num_actors must be at least 1, got {num_actors}")
    layout = layout or Layout()
    program = lp.Program("helms")

    def add(group: str, node: type, *args: object) -> lp.CourierHandle:
        with program.group(group):
            return program.add_node(lp.CourierNode(node, *args))

    with program.group("replay"):
        replays = [
            program.add_node(
                lp.ReverbNode(
                    nodes.ReplayTables(experiment), nodes.ReplayStore(experiment, shard)
                )
            )
            for shard in range(layout.replay_shards)
        ]
    coordinator = add("coordinator", nodes.CoordinatorNode, experiment, replays)
    if experiment.budget.checkpoint_replay:
        add("replay_keeper", nodes.ReplayKeeper, experiment, replays, coordinator)
    learner = add("learner", nodes.LearnerNode, experiment, replays, coordinator)
    sources = [
        add("cacher", cacher.CacherNode, learner, coordinator)
        for _ in range(layout.cachers)
    ] or [learner]
    add("evaluator", nodes.EvaluatorNode, experiment, learner, coordinator)
    together = layout.actors_per_process
    for i, first in enumerate(range(0, num_actors, together)):
        add(
            "actor",
            nodes.ActorNode,
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
) -> str:
    """Launches the program and waits until it has stopped.

    Args:
      experiment: to run, or to go on with.
      num_actors: how many.
      launch: local_mt or local_mp.
      report: receives a line of progress now and then.
      layout: see `make_program`.

    Returns:
      What ended it: max_actor_steps, run_seconds or signal.

    Raises:
      RuntimeError: a node failed.
    """
    program = make_program(experiment, num_actors, layout)
    reason = pathlib.Path(experiment.workdir) / nodes.STOPPED
    reason.unlink(missing_ok=True)
    if not flags.FLAGS.is_parsed():
        flags.FLAGS(sys.argv[:1])
    output = pathlib.Path(experiment.workdir) / "logs" / _OUTPUT
    # Read from the environment when Launchpad is imported, so too late for us.
    launch_local_output_to_files._LOGGING_DIR = str(output)
    progress = run_logs.Progress(experiment.workdir)
    done = threading.Event()

    def tell() -> None:
        while not done.wait(experiment.budget.log_seconds):
            report(progress.line())
            for complaint in (status.read(experiment.workdir) or {}).get(
                "complaints", []
            ):
                report(f"warning: {complaint}")

    with contextlib.redirect_stdout(io.StringIO()):  # where each output goes, at length
        manager = lp.launch(
            program,
            launch_type=launch,
            terminal="output_to_files",  # the only one that tells when a node fails
            local_resources=_resources(),
        )
    if launch == "local_mp":
        report(f"nodes started; what they print is in {output}")
    threading.Thread(target=tell, daemon=True).start()
    try:
        manager.wait()
    except RuntimeError as e:
        # Ask the others to stop as well, and wait for them.
        manager.wait(raise_error=False)
        raise RuntimeError(f"{e} {failures(output)}") from e
    finally:
        done.set()
    report(progress.line())
    stopped_by = reason.read_text() if reason.exists() else "signal"
    reason.unlink(missing_ok=True)
    return stopped_by


def failures(output: pathlib.Path) -> str:
    """The last line of each node's output that ends in an exception."""
    found = []
    for path in sorted(p for p in output.rglob("*") if p.is_file()):
        lines = path.read_text(errors="replace").strip().splitlines()
        starts = [i for i, line in enumerate(lines) if line.startswith("Traceback")]
        if starts:
            last = [line for line in lines[starts[-1] :] if line[:1].isalpha()][-1]
            found.append(f"{path.relative_to(output)}: {last}")
    where = f"(output: {output})"
    return "; ".join([*found, where]) if found else where


def _resources() -> dict[str, PythonProcess]:
    hidden = {"CUDA_VISIBLE_DEVICES": ""}
    one_thread = {**hidden, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    return {
        "replay": PythonProcess(env=hidden),
        "replay_keeper": PythonProcess(env=hidden),
        "coordinator": PythonProcess(env=hidden),
        "cacher": PythonProcess(env=hidden),
        "actor": PythonProcess(env=one_thread),
        "evaluator": PythonProcess(env=one_thread),
    }


def hide_gpu() -> None:
    """Keeps a launcher whose nodes are processes from taking the learner's GPU."""
    tf.config.set_visible_devices([], "GPU")
