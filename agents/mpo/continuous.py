"""Base of the agents with a continuous policy, whose agent action is a vector.

Shape letters: M environments, D agent action; [...] any leading dimensions.
"""

from __future__ import annotations

import abc
from collections.abc import Sequence
from typing import Any

import dm_env
import numpy as np
import tensorflow as tf
from acme import specs
from typing_extensions import override

from agents.builder import Decision, Held, Observation, Policy
from agents.mpo import networks as mpo_networks
from agents.mpo.builder import MPOBuilder
from agents.mpo.critics import ActionCritic
from agents.mpo.demonstrations import Episode
from agents.mpo.policy_losses.sampled import SampledPolicyLoss
from agents.mpo.rows import Rows


class ContinuousPolicy(Policy):
    """Policy that draws the agent action; the environment takes it within [-1, 1]."""

    def __init__(
        self,
        network: mpo_networks.PolicyNetwork,
        greedy: bool = False,
        skill_steps: int = 1,
    ):
        """Makes the policy.

        Args:
          network: policy network, with its variables made.
          greedy: whether to take the mode instead of a draw.
          skill_steps: control steps that a draw of the network is held.
        """
        super().__init__(name="continuous_policy")
        self._network = network
        self._greedy = greedy
        self.skill_steps = skill_steps

    @override
    def __call__(
        self, observation: Observation, seed: tf.Tensor, held: Held | None = None
    ) -> Decision:
        if self._greedy:
            agent_action, holds = self._network.mode(observation, held)
        else:
            agent_action, holds = self._network.draw(observation, seed, held)
        action = tf.clip_by_value(self.decode(agent_action, observation), -1.0, 1.0)
        return Decision(agent_action, action, holds)

    def decode(self, agent_action: tf.Tensor, observation: Observation) -> tf.Tensor:
        """Maps agent actions [M, D] to environment actions [M, A]: the identity."""
        del observation
        return agent_action

    @property
    def learned_variables(self) -> list[tf.Variable]:
        """Variables of the network, also the frozen ones (a learner hands out all)."""
        return list(self._network.variables)


class ContinuousMPOBuilder(MPOBuilder, abc.ABC):
    """Builder of an agent whose agent action is a vector of real numbers."""

    def agent_action_size(self, environment_spec: specs.EnvironmentSpec) -> int:
        """Returns D: here the size of the environment's action."""
        return int(np.prod(environment_spec.actions.shape))

    @abc.abstractmethod
    def make_policy_network(
        self, environment_spec: specs.EnvironmentSpec, seed: int
    ) -> mpo_networks.PolicyNetwork:
        """Makes a policy, whose variables are created later.

        Raises:
          ValueError: the environment does not suit the agent.
        """

    @abc.abstractmethod
    def make_policy_loss(self, networks: mpo_networks.MPONetworks) -> SampledPolicyLoss:
        """Makes the loss of a policy of real vectors, of which it draws samples."""

    def demonstrated(self, episodes: Sequence[Episode]) -> list[np.ndarray]:
        """Returns the actions; see `MPOBuilder`."""
        return [episode.action for episode in episodes]

    def prior(self, data: Any, rows: Rows) -> Any:
        """Returns the policy's prior in rows of a batch of sequences: here None."""
        del data, rows

    def agent_action_spec(
        self, environment_spec: specs.EnvironmentSpec
    ) -> dm_env.specs.Array:
        """Returns the spec of a vector [D], as the policy draws it."""
        size = self.agent_action_size(environment_spec)
        return dm_env.specs.Array((size,), np.float32, name="latent")

    def make_networks(
        self, environment_spec: specs.EnvironmentSpec, seed: int
    ) -> mpo_networks.MPONetworks:
        """Makes policy and critic; raises ValueError if something does not fit."""
        config = self._config
        critic = ActionCritic(
            self.representation(environment_spec, config.critic_keys),
            config.critic_hidden_sizes,
            self.agent_action_size(environment_spec),
            config.critic_rnn_size,
        )
        networks = mpo_networks.make_networks(
            self.make_policy_network(environment_spec, seed),
            critic,
            environment_spec.observations,
            seed,
        )
        networks.prior = self.prior
        return networks

    def make_policy(
        self, networks: mpo_networks.MPONetworks, evaluation: bool = False
    ) -> ContinuousPolicy:
        """Makes the policy that draws and decodes in one call."""
        return ContinuousPolicy(networks.policy, **self._policy_options(evaluation))

    def _policy_options(self, evaluation: bool) -> dict[str, Any]:
        """Returns the arguments of every `ContinuousPolicy`."""
        greedy = evaluation and self._config.evaluation == "greedy"
        return {"greedy": greedy, "skill_steps": self._config.skill_steps}
