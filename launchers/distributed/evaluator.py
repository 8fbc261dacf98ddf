"""Evaluator node of the distributed program."""

from __future__ import annotations

from typing import Any

from launchers.common import loggers
from launchers.distributed.heartbeat import Heartbeat
from launchers.distributed.node_entry import POLL_SECONDS, enter_node
from launchers.distributed.retrying_client import RetryingClient
from launchers.experiments import evaluation as experiments_evaluation
from launchers.experiments.config import Experiment, derive_seed


class EvaluatorNode:
    """Node that evaluates at the start and then at an interval of actor steps."""

    def __init__(self, experiment: Experiment, learner: Any, coordinator: Any):
        self._stop = stop = enter_node()
        self._experiment = experiment
        waiting = Heartbeat("evaluator", coordinator, stop).waiting
        self._learner = RetryingClient(learner, "learner", stop, waiting)
        self._counter = RetryingClient(coordinator, "coordinator", stop, waiting)

    def run(self) -> None:
        """Evaluates until the program stops."""
        budget = self._experiment.budget
        if not budget.eval_episodes:
            self._stop.wait()
            return
        try:
            self._evaluate_repeatedly()
        except Exception:
            if not self._stop.is_set():
                raise

    def _evaluate_repeatedly(self) -> None:
        experiment, budget = self._experiment, self._experiment.budget
        builder = experiment.builder_factory()
        networks = builder.make_networks(experiment.environment_spec, experiment.seed)
        environment = experiment.environment_factory(
            derive_seed(experiment.seed, "evaluator environment")
        )
        done = int(self._counter.get_counts().get("actor_steps", 0))
        loggers.rewind(experiment.workdir, "evaluator", "actor_steps", done)
        logger = loggers.make_logger(
            experiment.workdir, "evaluator", "actor_steps", further=budget.loggers
        )
        due = loggers.next_evaluation(experiment.workdir, done, budget.eval_every)
        while not self._stop.is_set():
            counts = self._counter.get_counts()
            actor_steps = int(counts.get("actor_steps", 0))
            if actor_steps < due:
                self._stop.wait(POLL_SECONDS)
                continue
            # A new actor waits for the learner's current variables.
            actor = builder.make_actor(
                builder.make_policy(networks, evaluation=True),
                derive_seed(experiment.seed, "evaluator", actor_steps),
                variable_source=self._learner,
            )
            result = experiments_evaluation.evaluate_in_run(
                experiment, environment, actor, actor_steps, self._stop.is_set
            )
            if result is not None:
                counts = {"actor_steps": 0, "learner_steps": 0, **counts}
                logger.write({**counts, **result.scalars()})
            while due <= actor_steps:
                due += budget.eval_every
        environment.close()
