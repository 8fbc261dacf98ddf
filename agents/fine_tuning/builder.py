"""Builder of BC fine-tuned by MPO, whose policy starts as the behaviour clone.

Shape letters: R rows of a batch, D action; [...] any leading dimensions.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import tensorflow as tf
import tensorflow_probability as tfp
from acme import specs
from typing_extensions import override

from agents.builder import Observation
from agents.distributions.policies import Gaussian, Hybrid
from agents.mpo.config import ActionMPOConfig, check_not_negative
from agents.mpo.gaussian import GaussianMPOBuilder
from agents.mpo.networks import PolicyNetwork
from agents.mpo.rows import Rows
from agents.offline.frozen import FrozenPolicy, check_fits


@dataclasses.dataclass(frozen=True)
class FineTuningConfig(ActionMPOConfig):
    """Configuration of a fine-tuned clone.

    Attributes:
      eta_clone: weight of the policy's KL to the frozen clone.
    """

    # None takes the clone's; a finger that differs from that is an error.
    finger: str | None = None  # type: ignore[misc]  # the base has it fixed
    eta_clone: float = 0.0  # the paper has no such KL

    def __post_init__(self) -> None:
        super().__post_init__()
        check_not_negative(self, "eta_clone")


class FineTunedPolicy(PolicyNetwork):
    """Policy that starts as the clone and trains all parameters, the deviation too.

    The deviation is fixed while the clone learns offline; here it is the start of each
    Gaussian dimension's deviation.
    """

    def __init__(self, clone: FrozenPolicy):
        """Copies the clone's networks."""
        super().__init__(name="policy")
        self._networks = clone.trainable_networks()
        size = clone.action_dim - (clone.finger == "bernoulli")
        stddev = tf.fill([size], float(clone.action_stddev))
        self._raw_stddev = tf.Variable(tfp.math.softplus_inverse(stddev), name="stddev")

    def __call__(self, observation: Observation) -> Gaussian | Hybrid:
        """Maps raw "proprio" and "objects" to the distribution [..., D]."""
        distribution = self._networks.distribution(
            *self._networks.normalize(observation["proprio"], observation["objects"])
        )
        if isinstance(distribution, Hybrid):
            return distribution._replace(
                gaussian=self._with_stddev(distribution.gaussian)
            )
        return self._with_stddev(distribution)

    def _with_stddev(self, gaussian: Gaussian) -> Gaussian:
        stddev = tf.nn.softplus(self._raw_stddev) + tf.zeros_like(gaussian.mean)
        return gaussian._replace(stddev=stddev)


class FineTuningBuilder(GaussianMPOBuilder):
    """Builder of MPO that starts from a clone: BC, or hierarchical BC as a whole."""

    _config: FineTuningConfig

    def __init__(self, config: FineTuningConfig, clone: FrozenPolicy):
        """Makes the critic normalise its observations as the clone does.

        Raises:
          ValueError: the settings have another finger than the clone.
        """
        if config.finger not in (None, clone.finger):
            raise ValueError(
                f"finger {config.finger} contradicts the bundle, whose finger is "
                f"{clone.finger}; valid with it: {clone.finger}"
            )
        super().__init__(config, clone.observation_statistics())
        self._clone = clone

    @property
    def finger(self) -> str:
        """Finger of the clone."""
        return self._clone.finger

    @property
    @override
    def prior_weight(self) -> float:
        return self._config.eta_clone

    def make_policy_network(
        self, environment_spec: specs.EnvironmentSpec, seed: int
    ) -> FineTunedPolicy:
        """Copies the clone; raises ValueError if it does not fit the environment."""
        del seed  # nothing is drawn
        check_fits(environment_spec, self._clone)
        return FineTunedPolicy(self._clone)

    def prior(self, data: Any, rows: Rows) -> Gaussian | Hybrid | None:
        """Returns the frozen clone's distribution [R, D]; None without `eta_clone`."""
        if not self._config.eta_clone:
            return None
        return self._clone.distribution(rows.take(data.observation))
