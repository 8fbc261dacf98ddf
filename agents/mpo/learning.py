"""Learner of MPO: critic by TD, policy by MPO or RHPO, duals by their own losses.

A step is one compiled call. Which variables each loss trains:
  critic loss  -> the online critic,
  policy loss  -> the online policy,
  policy loss's dual terms -> the temperature and the trust regions' multipliers.
The critic's bootstrap uses both target networks (paper, Eq. 6). The E-step weighs the
target policy's actions by the online critic (Eq. 7) or, as Acme's MPO does, by the
target critic, whose values the bootstrap has computed (`improvement_critic`).

A step whose losses or gradients are not finite changes nothing and raises, so neither
the variables nor a checkpoint ever holds NaN.

Only states that train are evaluated (`Rows`): neither those of burn-in nor padding. The
critic's LSTM still reads the rows before them.

Shape letters: B batch, T time, R rows that train.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import acme
import numpy as np
import reverb
import sonnet as snt
import tensorflow as tf
from acme.tf import savers
from acme.tf import utils as tf_utils
from acme.utils import counting, loggers

from agents import checkpoints
from agents.losses import critic as critic_loss
from agents.mpo import learner_checkpoints
from agents.mpo.config import MPOConfig
from agents.mpo.networks import MPONetworks, copy_variables, move_variables
from agents.mpo.policy_losses.base import PolicyLoss
from agents.mpo.rows import Rows


class _Evaluation(NamedTuple):
    """Outputs of the target networks at the states that train; see `PolicyLoss`."""

    rows: Rows  # the states
    target: Any  # output of the target policy
    actions: tf.Tensor | None  # the candidates
    values: tf.Tensor  # of the candidates
    next_value: tf.Tensor  # of the states [R]


class MPOLearner(acme.Learner):
    """Learner from an iterator of sequences; resumes from the newest checkpoint."""

    def __init__(
        self,
        config: MPOConfig,
        networks: MPONetworks,
        policy_loss: PolicyLoss,
        dataset: Iterator[reverb.ReplaySample],
        directory: str | None = None,
        counter: counting.Counter | None = None,
        logger: loggers.Logger | None = None,
    ):
        """Prepares the learner.

        Args:
          config: configuration of the agent.
          networks: online and target networks, with their variables made.
          policy_loss: evaluation and improvement of the kind of action; owns the duals.
          dataset: `reverb.ReplaySample`s whose data are trajectories [B, T, ...] with
            `extras["valid"]` 1 in rows that hold a transition.
          directory: directory of the checkpoints that `save_checkpoint` writes; None
            keeps none.
          counter: counts learner steps and wall time; its owner saves it, the
            checkpoint holds only the learner's own count of steps.
          logger: receives the losses after every step.
        """
        self._config = config
        self._networks = networks
        self._policy_loss = policy_loss
        self._dataset = dataset
        self._counter = counter or counting.Counter()
        self._logger = logger or loggers.NoOpLogger()

        self._policy_variables = networks.policy.trainable_variables
        self._critic_variables = networks.critic.trainable_variables
        self._dual_variables = policy_loss.trainable_variables
        self._temperature = [policy_loss.log_temperature]
        self._policy_optimizer = snt.optimizers.Adam(
            config.policy_learning_rate or config.learning_rate
        )
        self._critic_optimizer = snt.optimizers.Adam(config.learning_rate)
        self._dual_optimizer = snt.optimizers.Adam(config.dual_learning_rate)
        # Separate optimiser of the warm-up, which trains one dual: the moments of the
        # duals' own optimiser stay untouched.
        self._warmup_optimizer = snt.optimizers.Adam(config.dual_learning_rate)
        for optimizer, variables in (
            (self._policy_optimizer, self._policy_variables),
            (self._critic_optimizer, self._critic_variables),
            (self._dual_optimizer, self._dual_variables),
            (self._warmup_optimizer, self._temperature),
        ):
            # Makes the moments now, so that a checkpoint can restore them.
            optimizer.apply([tf.zeros_like(v) for v in variables], variables)
            optimizer.step.assign(0)
        self._num_steps = tf.Variable(0, dtype=tf.int64, trainable=False)

        # Held while variables change: a save or a read waits for the end of the step,
        # but never for data.
        self._lock = threading.Lock()
        self._timestamp: float | None = None
        self._checkpointer: savers.Checkpointer | None = None
        if directory is not None:
            with checkpoints.reading(learner_checkpoints.newest(directory)):
                self._checkpointer = savers.Checkpointer(
                    objects_to_save={
                        "policy": networks.policy,
                        "critic": networks.critic,
                        "target_policy": networks.target_policy,
                        "target_critic": networks.target_critic,
                        "policy_loss": policy_loss,
                        "policy_optimizer": self._policy_optimizer,
                        "critic_optimizer": self._critic_optimizer,
                        "dual_optimizer": self._dual_optimizer,
                        "warmup_optimizer": self._warmup_optimizer,
                        "num_steps": self._num_steps,
                    },
                    directory=checkpoints.plain(directory),
                    subdirectory=learner_checkpoints.NAME,
                    add_uid=False,  # with one, nothing is ever restored
                    max_to_keep=2,
                )

    @tf.function(autograph=False)  # no Python control flow; traces faster
    def _step(
        self, sample: reverb.ReplaySample, seed: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        """Takes a step if all values are finite; returns what to log."""
        gradients, stats = self.gradients(sample, seed)
        # A norm is not finite where any element of a gradient is not.
        finite = tf.reduce_all(tf.math.is_finite(list(stats.values())))
        tf.cond(
            finite, lambda: self._apply(gradients), lambda: tf.constant(0, tf.int64)
        )
        return stats

    def gradients(
        self, sample: reverb.ReplaySample, seed: tf.Tensor
    ) -> tuple[list[list[tf.Tensor]], dict[str, tf.Tensor]]:
        """Returns clipped gradients of policy, critic and duals, and what to log.

        Changes nothing; `seed`, int32 [2], seeds the draws of actions.
        """
        evaluation = self._evaluate(sample, seed)
        critic_gradients, critic_stats, values = self._improve_critic(
            sample, evaluation
        )
        policy_gradients, dual_gradients, policy_stats = self._improve_policy(
            sample, evaluation._replace(values=values)
        )
        gradients, norms = [], {}
        for name, part in (
            ("policy", policy_gradients),
            ("critic", critic_gradients),
            ("dual", dual_gradients),
        ):
            clipped, norm = tf.clip_by_global_norm(part, self._config.max_gradient_norm)
            gradients.append(clipped)
            norms[f"gradient_norm_{name}"] = norm
        duals = self._policy_loss.dual_values()
        return gradients, {**critic_stats, **policy_stats, **duals, **norms}

    def _evaluate(self, sample: reverb.ReplaySample, seed: tf.Tensor) -> _Evaluation:
        """Evaluates the target networks at the states that train."""
        networks, loss_fn, data = self._networks, self._policy_loss, sample.data
        # Includes the state after a transition that trains.
        rows = Rows.where(
            self._warm_rows(data)
            * critic_loss.observed_states(tf.cast(data.extras["valid"], tf.float32))
        )
        target = networks.target_policy(rows.take(data.observation))
        actions = loss_fn.candidates(target, rows, seed)
        features = networks.target_critic.features(data.observation, rows)
        values = loss_fn.values(networks.target_critic, features, actions)
        next_value = loss_fn.state_value(values, target)
        return _Evaluation(rows, target, actions, values, next_value)

    def _improve_critic(
        self, sample: reverb.ReplaySample, evaluation: _Evaluation
    ) -> tuple[list[tf.Tensor], dict[str, tf.Tensor], tf.Tensor]:
        """Returns the critic's gradients, what to log, and the E-step's values."""
        networks, loss_fn, data = self._networks, self._policy_loss, sample.data
        rows, values = evaluation.rows, evaluation.values
        with tf.GradientTape() as tape:
            features = networks.critic.features(data.observation, rows)
            value = loss_fn.action_value(
                networks.critic, features, rows.take(data.action)
            )
            td = critic_loss.n_step_td(
                rows.put(value),
                rows.put(evaluation.next_value),
                tf.cast(data.reward, tf.float32),
                tf.cast(data.discount, tf.float32),
                tf.cast(data.extras["valid"], tf.float32),
                self._config.discount,
                self._config.n_step,
            )
            trained = td.mask * self._warm_rows(data)[:, :-1]
            loss = critic_loss.masked_mean(td.loss, trained)
        if self._config.improvement_critic == "online":
            values = loss_fn.values(networks.critic, features, evaluation.actions)
        stats = {
            "loss_critic": loss,
            "td_error_abs": critic_loss.masked_mean(tf.abs(td.error), trained),
            "td_target": critic_loss.masked_mean(td.target, trained),
        }
        return tape.gradient(loss, self._critic_variables), stats, values

    def _improve_policy(
        self, sample: reverb.ReplaySample, evaluation: _Evaluation
    ) -> tuple[list[tf.Tensor], list[tf.Tensor], dict[str, tf.Tensor]]:
        """Returns gradients of the policy and of the duals, and what to log."""
        networks, data, rows = self._networks, sample.data, evaluation.rows
        prior = networks.prior(data, rows) if networks.prior is not None else None
        with tf.GradientTape() as tape:
            per_state, stats = self._policy_loss(
                networks.policy(rows.take(data.observation)),
                evaluation.target,
                evaluation.actions,
                evaluation.values,
                prior,
            )
            loss = critic_loss.mean(per_state)
        policy, duals = tape.gradient(
            loss, [self._policy_variables, self._dual_variables]
        )
        stats = {k: critic_loss.mean(v) for k, v in stats.items()}
        return policy, duals, {"loss_policy_total": loss, **stats}

    def _warm_rows(self, data: Any) -> tf.Tensor:
        """Returns 1 in rows [B, T] that train critic and policy if they are valid."""
        steps = self._config.burn_in_steps
        return critic_loss.warm_rows(data.start_of_episode, steps)

    def parts(self, sample: reverb.ReplaySample) -> dict[str, Callable[[], object]]:
        """Returns the step's parts by name, each compiled, for a profile.

        target: evaluation of the target networks; critic and policy: loss and gradient.
        No part changes a variable.
        """
        seed = tf.zeros([2], tf.int32)
        evaluate = tf.function(self._evaluate, autograph=False)
        evaluation = evaluate(sample, seed)
        critic = tf.function(self._improve_critic, autograph=False)
        policy = tf.function(self._improve_policy, autograph=False)
        return {
            "target": lambda: evaluate(sample, seed).next_value.numpy(),
            "critic": lambda: critic(sample, evaluation)[0][0].numpy(),
            "policy": lambda: policy(sample, evaluation)[0][0].numpy(),
        }

    def _apply(self, gradients: list[list[tf.Tensor]]) -> tf.Tensor:
        """Changes all variables; returns the number of steps taken."""
        networks, config = self._networks, self._config
        policy, critic, dual = gradients
        self._critic_optimizer.apply(critic, self._critic_variables)
        if config.critic_warmup_steps:
            tf.cond(
                self._num_steps >= config.critic_warmup_steps,
                lambda: self._apply_policy(policy, dual),
                lambda: self._warm_temperature(dual),
            )
        else:
            self._apply_policy(policy, dual)
        steps = self._num_steps.assign_add(1)
        for online, target, period in (
            (
                networks.policy,
                networks.target_policy,
                config.target_policy_update_period,
            ),
            (
                networks.critic,
                networks.target_critic,
                config.target_critic_update_period,
            ),
        ):
            if config.target_update == "polyak":
                move_variables(online, target, config.target_update_rate)
            else:
                _copy_if(tf.equal(steps % period, 0), online, target)
        return tf.identity(steps)

    def _apply_policy(
        self, policy: list[tf.Tensor], dual: list[tf.Tensor]
    ) -> tf.Tensor:
        """Changes the policy and the duals; returns True."""
        self._policy_optimizer.apply(policy, self._policy_variables)
        self._dual_optimizer.apply(dual, self._dual_variables)
        self._policy_loss.project()
        self._policy_loss.end_step()
        return tf.constant(True)

    def _warm_temperature(self, dual: list[tf.Tensor]) -> tf.Tensor:
        """Trains the temperature on the new critic's values; returns False.

        Without this the policy's first steps would go many times as far as epsilon.
        """
        gradients = [
            gradient
            for gradient, variable in zip(dual, self._dual_variables, strict=True)
            if variable is self._temperature[0]
        ]
        self._warmup_optimizer.apply(gradients, self._temperature)
        self._policy_loss.project()
        return tf.constant(False)

    def step(self) -> None:
        """Takes one learner step.

        Raises:
          FloatingPointError: a loss or gradient was not finite; nothing was changed.
        """
        sample = next(self._dataset)
        with self._lock:
            # A function of the step alone, so a resumed run draws as if never stopped.
            seed = tf.constant([self._networks.seed, self.num_steps], tf.int32)
            results = tf_utils.to_numpy(self._step(sample, seed))
        bad = sorted(key for key, value in results.items() if not np.isfinite(value))
        if bad:
            kept = f", checkpoints: {self.directory}" if self.directory else ""
            raise FloatingPointError(
                f"learner step {self.num_steps + 1} met values that are not finite in "
                f"{bad}; the variables are those of step {self.num_steps}{kept}"
            )
        now = time.monotonic()
        elapsed = now - self._timestamp if self._timestamp is not None else 0.0
        self._timestamp = now
        counts = self._counter.increment(steps=1, walltime=elapsed)
        self._logger.write({**results, **counts})

    def save_checkpoint(self) -> None:
        """Saves a checkpoint between two steps; does nothing without a directory."""
        if self._checkpointer is not None:
            with self._lock:
                self._checkpointer.save(force=True)

    @property
    def directory(self) -> str | None:
        """Directory of the checkpoints, or None."""
        return self._checkpointer.directory if self._checkpointer else None

    @property
    def num_steps(self) -> int:
        """Number of steps taken, those before a restart included."""
        return int(self._num_steps)

    def get_variables(self, names: Sequence[str]) -> list[list[np.ndarray]]:
        """Returns variables of the online networks, `policy` or `critic`.

        Raises:
          ValueError: a name is unknown.
        """
        modules: Mapping[str, snt.Module] = {
            "policy": self._networks.policy,
            "critic": self._networks.critic,
        }
        unknown = sorted(set(names) - set(modules))
        if unknown:
            raise ValueError(f"no variables {unknown}; there are {sorted(modules)}")
        with self._lock:
            return [tf_utils.to_numpy(modules[name].variables) for name in names]


def _copy_if(condition: tf.Tensor, source: snt.Module, destination: snt.Module) -> None:
    """Copies the variables if `condition` holds, within a compiled function."""

    def copy() -> tf.Tensor:
        copy_variables(source, destination)
        return tf.constant(True)

    tf.cond(condition, copy, lambda: tf.constant(False))
