"""Configuration of MPO agents.

Values come from Table 5 of the HeLMS paper where it gives one, else from Acme's MPO
(`acme/agents/jax/mpo/config.py`, `acme/agents/tf/mpo`), else they are ours; each says
so.
"""

from __future__ import annotations

import dataclasses
from typing import ClassVar

from agents.offline.config import FINGERS

IMPROVEMENT_CRITICS = ("online", "target")
TARGET_UPDATES = ("periodic", "polyak")
EVALUATIONS = ("sampled", "greedy")
# new: drawn from the seed; distilled: from the skills' posterior, as the bundle has it
# (`agents.high_level.distillation`).
HIGH_LEVELS = ("new", "distilled")
# What eta_y keeps the high level near: uniform (the paper), transition (the bundle's
# p(y_t | y_{t-1}) given the skill of the last decision), or distilled (the bundle's).
SKILL_PRIORS = ("uniform", "transition", "distilled")


@dataclasses.dataclass(frozen=True)
class MPOConfig:
    """Options of every MPO agent; a kind of action adds those of its improvement."""

    # Agents over skills make these options; the others have them fixed.
    skill_steps: ClassVar[int] = 1  # control steps that a decision lasts
    skill_prior: ClassVar[str | None] = "uniform"  # what eta_y keeps the skill near

    # Which observations each network reads: two lists make an asymmetric actor-critic.
    policy_keys: tuple[str, ...] = ("proprio", "objects")  # Table 5
    critic_keys: tuple[str, ...] = ("proprio", "objects")  # Table 5

    # Policy improvement.
    epsilon: float = 0.1  # nats, KL(improved || target); Acme
    # The critic that weighs actions in the E-step: online (Eq. 7), or target, whose
    # values the bootstrap has already (Acme).
    improvement_critic: str = "online"

    # Networks.
    policy_hidden_sizes: tuple[int, ...] = (256, 256)  # Table 5
    critic_hidden_sizes: tuple[int, ...] = (256, 256, 256)  # Table 5
    input_size: int = 256  # input representation; Table 5
    critic_rnn_size: int = (
        256  # LSTM units (Table 5: "with RNN"; the size is ours), 0: no
    )
    # Rows of a sequence that the one before has trained only warm the LSTM's state,
    # which begins every sequence at zero; ours.
    burn_in: bool = True

    # Optimisation.
    discount: float = 0.99  # of a control step; Acme
    n_step: int = 1  # rows of rewards in a critic's target; 1, TD(0), is the paper's
    batch_size: int = 512  # sequences; Table 5
    learning_rate: float = 2e-4  # policy and critic; Table 5
    policy_learning_rate: float | None = None  # None: as the critic's
    # Learner steps at the start in which only the critic learns.
    critic_warmup_steps: int = 0
    dual_learning_rate: float = 1e-2  # Acme
    max_gradient_norm: float = 40.0  # global norm of each loss; Acme
    # How both targets follow: copied each period (Acme), or moved by a share of the
    # difference each learner step.
    target_update: str = "periodic"
    target_update_rate: float = 0.01  # polyak's share; ours: a period of 100, smoothed
    target_policy_update_period: int = 100  # learner steps; Acme
    target_critic_update_period: int = 100  # learner steps; Acme

    # Replay.
    sequence_length: int = 10  # decisions; Table 5
    sequence_period: int = 5  # decisions between the starts of sequences; ours
    min_replay_size: int = 1000  # sequences before the first sample; Acme
    max_replay_size: int = 1_000_000  # sequences; Acme
    # How often a sequence is sampled on average; 0: no limit. Acme.
    samples_per_insert: float = 32.0
    prefetch_batches: int = 2  # ours
    # Share of a batch's sequences that are demonstrations, the rest are replay's.
    demonstration_share: float = 0.0

    # Acting.
    variable_update_period: int = 400  # actor steps between fetches, one episode; ours
    # In evaluation the policy is drawn from as in training, or its mode is taken.
    evaluation: str = "sampled"

    def __post_init__(self) -> None:
        """Raises ValueError, naming the field, for values that cannot work together."""
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
        one_of("skill_prior", self.skill_prior, SKILL_PRIORS)
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
    def num_demonstrations(self) -> int:
        """Sequences of a batch that are demonstrations."""
        return int(self.demonstration_share * self.batch_size)

    @property
    def replay_batch_size(self) -> int:
        """Sequences of a batch that replay gives."""
        return self.batch_size - self.num_demonstrations

    @property
    def burn_in_steps(self) -> int:
        """Rows at a sequence's start that train nothing, unless its episode begins."""
        if not (self.burn_in and self.critic_rnn_size):
            return 0
        return self.sequence_length - 1 - self.sequence_period


@dataclasses.dataclass(frozen=True)
class CategoricalMPOConfig(MPOConfig):
    """Options of MPO on K actions, all of which are evaluated."""

    epsilon_policy: float = 0.0025  # nats, KL(target || online); Acme, categorical MPO
    eta_y: float = 0.01  # weight of KL(online || prior); Table 5 (vision: 0.1)
    eta_y_half_life: int = 0  # learner steps that halve eta_y; 0: it is constant
    init_log_temperature: float = 3.0  # through softplus; Acme, categorical MPO
    init_log_alpha: float = 3.0  # through softplus; Acme, categorical MPO

    def __post_init__(self) -> None:
        """See `MPOConfig`."""
        super().__post_init__()
        check_positive(self, "epsilon_policy")
        check_not_negative(self, "eta_y", "eta_y_half_life")


@dataclasses.dataclass(frozen=True)
class SampledMPOConfig(MPOConfig):
    """Options of MPO on continuous actions, of which N are drawn at each state."""

    improvement_critic: str = "target"  # Acme; online doubles the critic's work
    num_samples: int = 20  # N; Table 5
    epsilon_mean: float = 2.5e-3  # nats; Acme
    epsilon_stddev: float = 1e-6  # nats; Acme
    init_log_temperature: float = 10.0  # through softplus, as all duals; Acme
    init_log_alpha_mean: float = 10.0  # Acme
    init_log_alpha_stddev: float = 1000.0  # Acme
    init_stddev: float = 0.3  # of a new policy; Acme

    def __post_init__(self) -> None:
        """See `MPOConfig`."""
        super().__post_init__()
        check_positive(
            self, "num_samples", "epsilon_mean", "epsilon_stddev", "init_stddev"
        )


@dataclasses.dataclass(frozen=True)
class GaussianMPOConfig(SampledMPOConfig):
    """Options of MPO on a Gaussian policy."""

    # Agents that act on the environment's actions make it an option.
    finger: ClassVar[str | None] = "gaussian"

    per_dim_constraining: bool = True  # a trust region a dimension; Acme
    action_penalization: bool = True  # of actions beyond [-1, 1]; Acme
    epsilon_penalty: float = 1e-3  # nats; Acme

    def __post_init__(self) -> None:
        """See `MPOConfig`."""
        super().__post_init__()
        check_positive(self, "epsilon_penalty")


@dataclasses.dataclass(frozen=True)
class ActionMPOConfig(GaussianMPOConfig):
    """Options of MPO whose policy is over the environment's actions."""

    # One of `FINGERS`; a clone may have None.
    finger: str | None = "gaussian"  # type: ignore[misc]  # the base has it fixed
    # Of a Bernoulli finger, as of a categorical policy.
    epsilon_finger: float = 0.0025  # nats, KL(target || online)
    init_log_alpha_finger: float = 3.0  # through softplus

    def __post_init__(self) -> None:
        """See `MPOConfig`."""
        super().__post_init__()
        if self.finger is not None:
            one_of("finger", self.finger, FINGERS)
        check_positive(self, "epsilon_finger")


def one_of(name: str, value: object, valid: tuple[str, ...]) -> None:
    """Raises ValueError, naming the valid ones, for another value."""
    if value not in valid:
        raise ValueError(f"{name} must be one of {', '.join(valid)}, got {value!r}")


def resolve_skill_prior(config: MPOConfig, high_level: str) -> None:
    """Sets a skill_prior of None: distilled if the high level starts so, or uniform.

    A KL to the uniform would undo that start before the critic knows anything.
    """
    if config.skill_prior is None:
        found = "distilled" if high_level == "distilled" else "uniform"
        object.__setattr__(config, "skill_prior", found)


def check_high_level(config: MPOConfig, high_level: str) -> None:
    """Raises ValueError for one that there is not, or that reads other observations."""
    one_of("high_level", high_level, HIGH_LEVELS)
    distilled = "distilled" in (high_level, config.skill_prior)
    if distilled and set(config.policy_keys) != {"proprio", "objects"}:
        raise ValueError(
            "the distilled high level reads proprio and objects, and this agent's "
            f"policy {', '.join(config.policy_keys)}; use high_level new and "
            "skill_prior uniform or transition"
        )


def check_positive(config: MPOConfig, *names: str) -> None:
    """Raises ValueError for the first of these settings that is not positive."""
    for name in names:
        if not getattr(config, name) > 0:
            raise ValueError(f"{name} must be positive, got {getattr(config, name)}")


def check_not_negative(config: MPOConfig, *names: str) -> None:
    """Raises ValueError for the first of these settings that is negative."""
    for name in names:
        if getattr(config, name) < 0:
            raise ValueError(
                f"{name} must not be negative, got {getattr(config, name)}"
            )
