"""Configuration of MPO agents.

A value comes from Table 5 of the HeLMS paper if that gives one, else from Acme's MPO
(`acme/agents/jax/mpo/config.py`, `acme/agents/tf/mpo`), else it is ours; a comment
beside each value names the source.
"""

from __future__ import annotations

import dataclasses
import math
from typing import ClassVar

from agents.distributions.policies import FINGERS

# Refused at once, not when memory is full; other whole numbers are int32.
_MOST_UNITS = 65_536
_MOST = dict.fromkeys(
    ("batch_size", "num_samples", "input_size", "critic_rnn_size", "sequence_length"),
    _MOST_UNITS,
)
IMPROVEMENT_CRITICS = ("online", "target")
TARGET_UPDATES = ("periodic", "polyak")
EVALUATIONS = ("sampled", "greedy")


@dataclasses.dataclass(frozen=True)
class MPOConfig:
    """Configuration of every MPO agent; a kind of action adds that of its improvement.

    Attributes:
      policy_keys: observations that the policy reads.
      critic_keys: observations that the critic reads; other keys than the policy's make
        an asymmetric actor-critic.
      epsilon: bound on the E-step's KL(improved || target), nats.
      improvement_critic: critic that weighs actions in the E-step: online (Eq. 7), or
        target, whose values the bootstrap has computed already.
      policy_hidden_sizes: units of the policy's hidden layers.
      critic_hidden_sizes: units of the critic's hidden layers.
      input_size: units of the input representation.
      critic_rnn_size: LSTM units of the critic; 0: no LSTM.
      burn_in: whether the rows of a sequence that the sequence before has trained only
        warm the LSTM's state, which starts every sequence at zero.
      discount: discount of a control step.
      n_step: rows of rewards in the critic's target; 1: TD(0).
      batch_size: sequences per learner step.
      learning_rate: step size of Adam for policy and critic.
      policy_learning_rate: step size of the policy alone; none: learning_rate.
      critic_warmup_steps: learner steps at the start that train only the critic and the
        temperature, not the policy and the other duals.
      dual_learning_rate: step size of temperatures and multipliers.
      max_gradient_norm: global norm at which the gradient of each loss is clipped.
      target_update: how both targets follow: periodic, copied once per period; or
        polyak, moved by a share of the difference at each learner step.
      target_update_rate: share of the difference that polyak moves.
      target_policy_update_period: learner steps between copies of the policy.
      target_critic_update_period: learner steps between copies of the critic.
      sequence_length: decisions of a sequence in replay.
      sequence_period: decisions between the starts of sequences.
      min_replay_size: sequences in replay before learning starts.
      max_replay_size: sequences in replay at most; the oldest go first.
      samples_per_insert: mean number of times that a sequence is sampled; 0: no limit.
      prefetch_batches: number of batches fetched ahead.
      demonstration_share: share of each batch that is demonstrations.
      variable_update_period: actor steps between fetches of variables, in distributed
        launches.
      evaluation: action in evaluation: sampled, drawn as in training; or greedy, the
        mode.
    """

    # A field in the agents that act by latents or skills.
    skill_steps: ClassVar[int] = 1  # control steps that a decision lasts

    policy_keys: tuple[str, ...] = ("proprio", "objects")  # Table 5
    critic_keys: tuple[str, ...] = ("proprio", "objects")  # Table 5

    # Policy improvement.
    epsilon: float = 0.1  # Acme
    improvement_critic: str = "online"  # one of IMPROVEMENT_CRITICS

    # Networks.
    policy_hidden_sizes: tuple[int, ...] = (256, 256)  # Table 5
    critic_hidden_sizes: tuple[int, ...] = (256, 256, 256)  # Table 5
    input_size: int = 256  # Table 5
    critic_rnn_size: int = 256  # Table 5: "with RNN"; the size is ours
    burn_in: bool = True  # ours

    # Optimisation.
    discount: float = 0.99  # Acme
    n_step: int = 1  # the paper
    batch_size: int = 512  # Table 5
    learning_rate: float = 2e-4  # Table 5
    policy_learning_rate: float | None = None
    critic_warmup_steps: int = 0
    dual_learning_rate: float = 1e-2  # Acme
    max_gradient_norm: float = 40.0  # Acme
    target_update: str = "periodic"  # one of TARGET_UPDATES; Acme
    target_update_rate: float = 0.01  # ours: a smoothed period of 100
    target_policy_update_period: int = 100  # Acme
    target_critic_update_period: int = 100  # Acme

    # Replay.
    sequence_length: int = 10  # Table 5
    sequence_period: int = 5  # ours
    min_replay_size: int = 1000  # Acme
    max_replay_size: int = 1_000_000  # Acme
    samples_per_insert: float = 32.0  # Acme
    prefetch_batches: int = 2  # ours
    demonstration_share: float = 0.0

    # Acting.
    variable_update_period: int = 400  # one episode; ours
    evaluation: str = "sampled"  # one of EVALUATIONS

    def __post_init__(self) -> None:
        """Raises ValueError, naming the field, for values that cannot work together."""
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if isinstance(value, float) and not math.isfinite(value):
                raise ValueError(f"{field.name} must be finite, got {value}")
            sizes = field.name.endswith("_hidden_sizes")
            if sizes and not (value and all(n > 0 for n in value)):
                raise ValueError(f"{field.name} must be positive sizes, got {value}")
            most = _MOST.get(field.name, _MOST_UNITS if sizes else 2**31 - 1)
            for number in value if sizes else (value,):
                if isinstance(number, int) and number > most:
                    raise ValueError(
                        f"{field.name} must be at most {most}, got {number}"
                    )
        check_positive(
            self,
            "epsilon",
            "input_size",
            "batch_size",
            "learning_rate",
            "dual_learning_rate",
            "max_gradient_norm",
            "target_update_rate",
            "target_policy_update_period",
            "target_critic_update_period",
            "min_replay_size",
            "prefetch_batches",
            "variable_update_period",
            "skill_steps",
        )
        one_of("improvement_critic", self.improvement_critic, IMPROVEMENT_CRITICS)
        one_of("target_update", self.target_update, TARGET_UPDATES)
        if self.target_update_rate > 1.0:
            raise ValueError(
                f"target_update_rate must be in (0, 1], got {self.target_update_rate}"
            )
        one_of("evaluation", self.evaluation, EVALUATIONS)
        for name in ("policy_keys", "critic_keys"):
            if not getattr(self, name):
                raise ValueError(f"{name} must name an observation, got none")
        if self.critic_rnn_size < 0:
            raise ValueError(
                "critic_rnn_size must be positive, or 0 for no RNN, got "
                f"{self.critic_rnn_size}"
            )
        if not 0.0 <= self.discount <= 1.0:
            raise ValueError(f"discount must be in [0, 1], got {self.discount}")
        if self.sequence_length < 2:
            raise ValueError(
                "sequence_length must be 2 or more (a transition needs the next "
                f"observation), got {self.sequence_length}"
            )
        # Each row but the last of a sequence starts a transition, so a longer period
        # would leave transitions that no sequence holds.
        if not 1 <= self.sequence_period < self.sequence_length:
            raise ValueError(
                "sequence_period must be from 1 to sequence_length - 1 = "
                f"{self.sequence_length - 1}, got {self.sequence_period}"
            )
        if not 1 <= self.n_step < self.sequence_length:
            raise ValueError(
                "n_step must be from 1 to sequence_length - 1 = "
                f"{self.sequence_length - 1}, got {self.n_step}"
            )
        if not 0.0 <= self.demonstration_share < 1.0:
            raise ValueError(
                f"demonstration_share must be in [0, 1), got {self.demonstration_share}"
            )
        if self.demonstration_share and not self.num_demonstrations:
            raise ValueError(
                f"a demonstration_share of {self.demonstration_share} is less than one "
                f"sequence of a batch of {self.batch_size}"
            )
        if self.max_replay_size < self.min_replay_size:
            raise ValueError(
                f"max_replay_size ({self.max_replay_size}) is under min_replay_size "
                f"({self.min_replay_size}): nothing would ever be sampled"
            )
        check_not_negative(self, "samples_per_insert", "critic_warmup_steps")
        if self.policy_learning_rate is not None:
            check_positive(self, "policy_learning_rate")

    @property
    def stores_skills(self) -> bool:
        """Whether replay also stores a decision's skill and the one before."""
        return False

    @property
    def num_demonstrations(self) -> int:
        """Number of sequences of a batch that are demonstrations."""
        return int(self.demonstration_share * self.batch_size)

    @property
    def replay_batch_size(self) -> int:
        """Number of sequences of a batch that come from replay."""
        return self.batch_size - self.num_demonstrations

    @property
    def burn_in_steps(self) -> int:
        """Number of first rows that only warm, unless a sequence starts an episode."""
        if not (self.burn_in and self.critic_rnn_size):
            return 0
        return self.sequence_length - 1 - self.sequence_period


@dataclasses.dataclass(frozen=True)
class CategoricalMPOConfig(MPOConfig):
    """Configuration of MPO on K actions, all of which are evaluated.

    Attributes:
      epsilon_policy: bound on the policy's KL(target || online), nats.
      eta_y: weight of the KL(online || prior) of the skills' probabilities.
      eta_y_half_life: learner steps that halve eta_y; 0: it is constant.
      init_log_temperature: initial temperature, through softplus.
      init_log_alpha: initial multiplier of the bound epsilon_policy, through softplus.
    """

    epsilon_policy: float = 0.0025  # Acme, categorical MPO
    eta_y: float = 0.01  # Table 5 (vision: 0.1)
    eta_y_half_life: int = 0
    init_log_temperature: float = 3.0  # Acme, categorical MPO
    init_log_alpha: float = 3.0  # Acme, categorical MPO

    def __post_init__(self) -> None:
        super().__post_init__()
        check_positive(self, "epsilon_policy")
        check_not_negative(self, "eta_y", "eta_y_half_life")


@dataclasses.dataclass(frozen=True)
class SampledMPOConfig(MPOConfig):
    """Configuration of MPO on continuous actions, of which N are drawn per state.

    Attributes:
      num_samples: number N of actions drawn per state.
      epsilon_mean: bound on the means' KL(target || online), nats.
      epsilon_stddev: bound on the deviations' KL(target || online), nats.
      init_log_temperature: initial temperature, through softplus.
      init_log_alpha_mean: initial multiplier of the bound epsilon_mean, through
        softplus.
      init_log_alpha_stddev: initial multiplier of the bound epsilon_stddev, through
        softplus.
      init_stddev: deviation of a new policy.
    """

    improvement_critic: str = "target"  # Acme; online doubles the critic's work
    num_samples: int = 20  # Table 5
    epsilon_mean: float = 2.5e-3  # Acme
    epsilon_stddev: float = 1e-6  # Acme
    init_log_temperature: float = 10.0  # Acme
    init_log_alpha_mean: float = 10.0  # Acme
    init_log_alpha_stddev: float = 1000.0  # Acme
    init_stddev: float = 0.3  # Acme

    def __post_init__(self) -> None:
        super().__post_init__()
        check_positive(
            self, "num_samples", "epsilon_mean", "epsilon_stddev", "init_stddev"
        )


@dataclasses.dataclass(frozen=True)
class GaussianMPOConfig(SampledMPOConfig):
    """Configuration of MPO on a Gaussian policy.

    Attributes:
      per_dim_constraining: whether each dimension has a trust region of its own.
      action_penalization: whether actions beyond [-1, 1] are penalised.
      epsilon_penalty: bound on the E-step's KL of the penalty, nats.
    """

    # A field in the agents that act on the environment's actions.
    finger: ClassVar[str | None] = "gaussian"

    per_dim_constraining: bool = True  # Acme
    action_penalization: bool = True  # Acme
    epsilon_penalty: float = 1e-3  # Acme

    def __post_init__(self) -> None:
        super().__post_init__()
        check_positive(self, "epsilon_penalty")


@dataclasses.dataclass(frozen=True)
class ActionMPOConfig(GaussianMPOConfig):
    """Configuration of MPO whose policy is over the environment's actions.

    Attributes:
      finger: the action's last component, whose sign opens or closes the hand:
        gaussian; or bernoulli, a draw of that sign. Clones take the bundle's.
      epsilon_finger: bound on the KL(target || online) of a Bernoulli finger, nats.
      init_log_alpha_finger: initial multiplier of the bound epsilon_finger, through
        softplus.
    """

    # One of FINGERS; None is valid for a clone only.
    finger: str | None = "gaussian"  # type: ignore[misc]  # the base has it fixed
    epsilon_finger: float = 0.0025  # as of a categorical policy
    init_log_alpha_finger: float = 3.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.finger is not None:
            one_of("finger", self.finger, FINGERS)
        check_positive(self, "epsilon_finger")


def one_of(name: str, value: object, valid: tuple[str, ...]) -> None:
    """Raises ValueError, naming the valid values, unless `value` is one of them."""
    if value not in valid:
        raise ValueError(f"{name} must be one of {', '.join(valid)}, got {value!r}")


def check_positive(config: MPOConfig, *names: str) -> None:
    """Raises ValueError for the first of the named settings that is not positive."""
    for name in names:
        if not getattr(config, name) > 0:
            raise ValueError(f"{name} must be positive, got {getattr(config, name)}")


def check_not_negative(config: MPOConfig, *names: str) -> None:
    """Raises ValueError for the first of the named settings that is negative."""
    for name in names:
        if getattr(config, name) < 0:
            raise ValueError(
                f"{name} must not be negative, got {getattr(config, name)}"
            )
