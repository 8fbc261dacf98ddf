"""Runs an experiment's program on Ray, and resizes it on request."""

from __future__ import annotations

import dataclasses
import os
import sys
import time
from collections.abc import Callable, Mapping

import launchpad as lp
import ray
from absl import flags

from launchers.common import loggers
from launchers.common import signals as common_signals
from launchers.common.guard import Guard
from launchers.distributed import program, status
from launchers.distributed.config import Layout
from launchers.distributed.coordinator import forget_earlier_program
from launchers.distributed.ray import cluster, node_process, resize_request, resources
from launchers.distributed.ray.manager import Manager
from launchers.distributed.ray.resources import RayResources
from launchers.experiments.config import Experiment, RunConfig

# The launcher reads their checkpoints, counts and reason of the stop afterwards.
_SAME_DISK = ("learner", "coordinator")


def run(
    experiment: Experiment,
    num_actors: int,
    address: str | None = None,
    report: Callable[[str], None] = print,
    needs: Mapping[str, RayResources] | None = None,
    layout: Layout | None = None,
) -> str:
    """Launches the program on Ray and waits until it has stopped.

    Args:
      experiment: experiment to run or resume.
      num_actors: number of actors, until `launchers.resize` asks for another.
      address: as in `cluster.connect`; a process that is connected stays connected.
      report: receives a line of progress at intervals.
      needs: resources by group; None takes those of `resources.for_experiment`.
      layout: layout of the program over processes.

    Returns:
      The reason of its end: max_actor_steps, run_seconds or signal.

    Raises:
      ValueError: in one line, why the cluster cannot be joined, or that `num_actors` is
        less than 1; nothing was run.
      RuntimeError: in one line, which node failed and how.
    """
    # Other hosts use the paths of the launcher's host.
    workdir = os.path.abspath(experiment.workdir)
    experiment = dataclasses.replace(experiment, workdir=workdir)
    if not flags.FLAGS.is_parsed():
        flags.FLAGS(sys.argv[:1])

    def make_program(actors: int) -> lp.Program:
        return program.make_program(experiment, actors, layout)

    first = make_program(num_actors)
    # A private cluster declares CPUs beyond those that exist, so that all actors fit.
    cluster.connect(address, num_cpus=num_actors + 2)
    forget_earlier_program(workdir)
    resize_request.clear(workdir)
    try:
        if needs is None:
            needs = resources.for_experiment(
                cluster.hosts(), ray.util.get_node_ip_address()
            )
        manager = Manager(
            workdir, needs, report, same_disk=_SAME_DISK, inputs=_inputs(experiment)
        )
        report(f"starts on Ray; what nodes print is in {workdir}/{node_process.OUTPUT}")
        manager.reconcile(first)
        signals: list[int] = []
        with common_signals.handled(signals.append):
            manager.wait(_Every(manager, make_program, experiment, signals, report))
    finally:
        cluster.disconnect()
    with Guard("the report of progress", report):
        report(loggers.Progress(workdir).line())
    return common_signals.take_reason(workdir)


def _inputs(experiment: Experiment) -> list[str]:
    """Returns the directories of skills that the nodes read."""
    arguments = getattr(experiment.builder_factory, "args", ())
    return [a.skills for a in arguments if isinstance(a, RunConfig) and a.skills]


class _Every:
    """The launcher's periodic work: progress, requests to resize, signals."""

    def __init__(
        self,
        manager: Manager,
        make_program: Callable[[int], lp.Program],
        experiment: Experiment,
        signals: list[int],
        report: Callable[[str], None],
    ):
        self._manager = manager
        self._make_program = make_program
        self._experiment = experiment
        self._signals = signals
        self._report = report
        self._guard = Guard("the report of progress", report)
        self._progress = loggers.Progress(
            experiment.workdir, experiment.budget.max_actor_steps
        )
        self._told = time.monotonic()

    def __call__(self) -> None:
        """Reports and resizes; stops nodes on the first signal, kills on the next."""
        if len(self._signals) > 1:
            self._manager.kill()
        elif self._signals:
            self._manager.stop()
        if self._manager.started:
            self._resize()
        if time.monotonic() - self._told >= self._experiment.budget.log_seconds:
            self._told = time.monotonic()
            workdir = self._experiment.workdir
            with self._guard:
                self._report(self._progress.line())
            with self._guard:
                for line in status.warnings(workdir):
                    self._report(line)

    def _resize(self) -> None:
        try:
            num_actors = resize_request.take(self._experiment.workdir)
            if num_actors is None:
                return
            self._manager.reconcile(self._make_program(num_actors))
        except ValueError as e:
            self._report(f"not resized: {e}")
        else:
            self._report(f"goes on with {num_actors} actors")
