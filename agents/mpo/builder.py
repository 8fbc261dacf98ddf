"""Builder of MPO agents over a Reverb server: replay, data set, adder, actor, learner.

An agent adds its networks, its policy and the spec of the agent action.
"""

from __future__ import annotations

import abc
import contextlib
import math
from collections.abc import Callable, Iterator, Sequence

import dm_env
import numpy as np
import reverb
from acme import adders, core, specs
from acme.utils import counting, loggers
from typing_extensions import override

from agents.builder import AgentBuilder, Policy
from agents.mpo import learner_checkpoints, sequences
from agents.mpo.batched_acting import BatchedActor, BatchedPolicy, VariableClient
from agents.mpo.config import MPOConfig
from agents.mpo.demonstrations import Demonstrations, Episode, decisions
from agents.mpo.interruptible_writer import InterruptibleClient, Waiting
from agents.mpo.learning import MPOLearner
from agents.mpo.networks import MPONetworks
from agents.mpo.policy_losses.base import PolicyLoss
from agents.mpo.representation import InputRepresentation, Statistics

TABLE = "sequences"


class MPOBuilder(AgentBuilder[MPONetworks]):
    """Base of the builders of MPO agents, which add networks and kind of action."""

    def __init__(self, config: MPOConfig, statistics: Statistics | None = None):
        """Keeps the configuration and the statistics.

        Args:
          config: configuration of the agent.
          statistics: statistics by which new networks normalise their observations;
            None: observations are not normalised.
        """
        self._config = config
        self._statistics = statistics or {}
        self._load_demonstrations: Callable[[], Sequence[Episode]] | None = None

    @property
    def config(self) -> MPOConfig:
        """Configuration of the agent."""
        return self._config

    @abc.abstractmethod
    def agent_action_spec(
        self, environment_spec: specs.EnvironmentSpec
    ) -> dm_env.specs.Array:
        """Returns the spec of the agent action, which replay stores."""

    @override
    def demonstrate(self, load: Callable[[], Sequence[Episode]]) -> None:
        self._load_demonstrations = load

    @abc.abstractmethod
    def demonstrated(self, episodes: Sequence[Episode]) -> list[np.ndarray]:
        """Returns the agent actions of demonstrations, [n, ...] of each."""

    def demonstrated_skills(self, episodes: Sequence[Episode]) -> list[np.ndarray]:
        """Returns the demonstrations' skills, int32 [n] each, where they are stored."""
        raise NotImplementedError

    @abc.abstractmethod
    def make_policy_loss(self, networks: MPONetworks) -> PolicyLoss:
        """Makes evaluation and improvement for the kind of action, with new duals."""

    def representation(
        self, environment_spec: specs.EnvironmentSpec, keys: Sequence[str]
    ) -> InputRepresentation:
        """Makes an input layer for the observations `keys`.

        Raises:
          ValueError: the environment does not have one of them.
        """
        shapes = {k: spec.shape for k, spec in environment_spec.observations.items()}
        return InputRepresentation(
            shapes, keys, self._statistics, self._config.input_size
        )

    def make_replay_tables(
        self, environment_spec: specs.EnvironmentSpec, limit_rate: bool = True
    ) -> list[reverb.Table]:
        """Makes one table of sequences: sampled uniformly, the oldest removed first."""
        config = self._config
        if limit_rate and config.samples_per_insert:
            limiter = reverb.rate_limiters.SampleToInsertRatio(
                samples_per_insert=config.samples_per_insert,
                min_size_to_sample=config.min_replay_size,
                error_buffer=error_buffer(config),
            )
        else:
            limiter = reverb.rate_limiters.MinSize(config.min_replay_size)
        agent_action = self.agent_action_spec(environment_spec)
        stored = environment_spec._replace(actions=agent_action)
        return [
            reverb.Table(
                name=TABLE,
                sampler=reverb.selectors.Uniform(),
                remover=reverb.selectors.Fifo(),
                max_size=config.max_replay_size,
                rate_limiter=limiter,
                signature=sequences.signature(
                    stored,
                    self._extras_spec(),
                    config.sequence_length,
                    config.sequence_period,
                ),
            )
        ]

    def _extras_spec(self) -> dict[str, dm_env.specs.Array]:
        """Returns the specs of what `BatchedActor` stores besides a transition."""
        types: dict[str, type] = {"valid": np.float32}
        if self._config.stores_skills:
            types |= {"skill": np.int32, "previous_skill": np.int32}
        return {k: dm_env.specs.Array((), t, name=k) for k, t in types.items()}

    def make_dataset_iterator(
        self, replay_client: reverb.Client
    ) -> Iterator[reverb.ReplaySample]:
        """Returns an iterator over batches of sequences [B, T, ...].

        It reads one stream, so that what it fetches ahead stays within `error_buffer`.

        Raises:
          ValueError: there are no demonstrations to take a share of.
        """
        config, demonstrations = self._config, None
        if config.num_demonstrations:
            if self._load_demonstrations is None:
                raise ValueError("demonstration_share needs demonstrations")
            demonstrations = self._demonstrations(self._load_demonstrations())
        dataset = reverb.TrajectoryDataset.from_table_signature(
            server_address=replay_client.server_address,
            table=TABLE,
            max_in_flight_samples_per_worker=max(2, config.replay_batch_size),
            num_workers_per_iterator=1,
        )
        dataset = dataset.batch(config.replay_batch_size, drop_remainder=True)
        dataset = dataset.map(sequences.joined)
        if demonstrations is not None:
            dataset = demonstrations.mixed_into(dataset, config.num_demonstrations)
        return iter(dataset.prefetch(config.prefetch_batches))

    def _demonstrations(self, episodes: Sequence[Episode]) -> Demonstrations:
        """Returns demonstrations as actors would have stored them."""
        config, skills = self._config, None
        steps = config.skill_steps
        latents = [latent[::steps] for latent in self.demonstrated(episodes)]
        if self._config.stores_skills:
            skills = [skill[::steps] for skill in self.demonstrated_skills(episodes)]
        return Demonstrations(
            [decisions(e, steps, config.discount) for e in episodes],
            latents,
            config.sequence_length,
            config.sequence_period,
            skills,
        )

    def make_adder(
        self,
        replay_client: reverb.Client,
        stopped: Callable[[], bool] = lambda: False,
        waiting: Waiting = contextlib.nullcontext,
    ) -> adders.Adder:
        """Makes an adder of overlapping sequences, padded at the episode's end."""
        return sequences.BlockSequenceAdder(
            InterruptibleClient(replay_client, stopped, waiting),
            TABLE,
            self._config.sequence_length,
            self._config.sequence_period,
        )

    @override
    def make_actors(
        self,
        policy: Policy,
        seed: int,
        adders: Sequence[adders.Adder | None],
        variable_source: core.VariableSource | None = None,
    ) -> list[BatchedActor]:
        client = None
        if variable_source is not None:
            client = VariableClient(
                client=variable_source,
                variables={"policy": policy.learned_variables},
                update_period=self._config.variable_update_period,
            )
            # Never act with fresh variables where the learner resumed from old ones.
            client.update_and_wait()
        runner = BatchedPolicy(policy, seed, len(adders), client)
        return [
            BatchedActor(
                runner, row, adder, self._config.discount, self._config.stores_skills
            )
            for row, adder in enumerate(adders)
        ]

    def make_learner(
        self,
        networks: MPONetworks,
        dataset: Iterator[reverb.ReplaySample],
        directory: str | None = None,
        counter: counting.Counter | None = None,
        logger: loggers.Logger | None = None,
    ) -> MPOLearner:
        """Makes the learner, with a new policy loss."""
        return MPOLearner(
            config=self._config,
            networks=networks,
            policy_loss=self.make_policy_loss(networks),
            dataset=dataset,
            directory=directory,
            counter=counter,
            logger=logger,
        )

    @override
    def restore_policy(self, networks: MPONetworks, directory: str) -> int:
        return learner_checkpoints.restore_policy(networks.policy, directory)

    @override
    def save_policy(self, networks: MPONetworks, directory: str, steps: int) -> None:
        learner_checkpoints.save_policy(networks.policy, directory, steps)

    @override
    def checkpoint_steps(self, directory: str) -> int | None:
        return learner_checkpoints.steps(directory)

    def learner_steps_due(self, actor_steps: int) -> int:
        """Returns the learner steps that `actor_steps` allow at the limiter's ratio.

        Counts one sequence per `sequence_period` decisions, less the few that may not
        have reached the table, so the learner never waits for data.
        """
        config = self._config
        in_flight = 4
        period = config.sequence_period * config.skill_steps
        inserts = actor_steps // period - in_flight
        if inserts < config.min_replay_size:
            return 0
        if not config.samples_per_insert:
            return actor_steps
        paid = inserts - config.min_replay_size
        return int(paid * config.samples_per_insert / config.replay_batch_size)

    def steps_stored(self, episode_steps: int) -> int:
        """Returns the steps that an episode counts for in `learner_steps_due`.

        Where a decision lasts several steps, an episode that is not a multiple of the
        period makes fewer sequences than its steps suggest, and the learner must not
        wait for the difference.
        """
        config = self._config
        if config.skill_steps == 1:
            return episode_steps
        count = sequences.sequences_of_episode(
            math.ceil(episode_steps / config.skill_steps),
            config.sequence_length,
            config.sequence_period,
        )
        return count * config.sequence_period * config.skill_steps


def error_buffer(config: MPOConfig) -> float:
    """Returns how far samples may drift from their ratio to inserts, in samples.

    The buffer holds all that is fetched ahead (samples in flight, one batch being
    filled, the prefetched ones and the one in use) and the inserts on their way, on
    either side. Within it neither side waits for the other, so a single process that
    inserts and samples cannot block itself. Acme's 10 % of the minimal size applies
    where that is wider.
    """
    ahead = (config.prefetch_batches + 4) * config.replay_batch_size
    spi = config.samples_per_insert or 1.0
    return max(0.1 * config.min_replay_size * spi, ahead + 8 * max(1.0, spi))
