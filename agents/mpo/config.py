"""Configuration of MPO agents.

Values come from Table 5 of the HeLMS paper where it gives one, else from Acme's MPO
(`acme/agents/jax/mpo/config.py`, `acme/agents/tf/mpo`), else they are ours; each says
so.
"""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class MPOConfig:
    """Options of MPO on a categorical action."""

    # Policy improvement.
    epsilon: float = 0.1  # nats, KL(improved || target); Acme
    epsilon_policy: float = 0.0025  # nats, KL(target || online); Acme, categorical MPO
    prior_weight: float = 0.01  # eta_y, KL(online || uniform); Table 5 (vision: 0.1)
    init_log_temperature: float = 3.0  # through softplus; Acme, categorical MPO
    init_log_alpha: float = 3.0  # through softplus; Acme, categorical MPO

    # Networks.
    policy_hidden_sizes: tuple[int, ...] = (256, 256)  # Table 5
    critic_hidden_sizes: tuple[int, ...] = (256, 256, 256)  # Table 5
    input_size: int = 256  # input representation; Table 5
    critic_rnn_size: int = (
        256  # LSTM units (Table 5: "with RNN"; the size is ours), 0: no
    )

    # Optimisation.
    discount: float = 0.99  # Acme
    batch_size: int = 512  # sequences; Table 5
    learning_rate: float = 2e-4  # policy and critic; Table 5
    dual_learning_rate: float = 1e-2  # Acme
    max_gradient_norm: float = 40.0  # global norm of each loss; Acme
    target_policy_update_period: int = 100  # learner steps; Acme
    target_critic_update_period: int = 100  # learner steps; Acme

    # Replay.
    sequence_length: int = 10  # steps; Table 5
    sequence_period: int = 5  # steps between the starts of sequences; ours
    min_replay_size: int = 1000  # sequences before the first sample; Acme
    max_replay_size: int = 1_000_000  # sequences; Acme
    # How often a sequence is sampled on average; None: no limit. Acme.
    samples_per_insert: float | None = 32.0
    prefetch_batches: int = 2  # ours

    # Acting.
    variable_update_period: int = 400  # actor steps between fetches, one episode; ours

    # Checkpoints.
    checkpoint_minutes: float = 5.0  # ours

    def __post_init__(self):
        """Raises ValueError, naming the field, for values that cannot work together."""
        for name in (
            "epsilon",
            "epsilon_policy",
            "input_size",
            "batch_size",
            "learning_rate",
            "dual_learning_rate",
            "max_gradient_norm",
            "target_policy_update_period",
            "target_critic_update_period",
            "min_replay_size",
            "prefetch_batches",
            "variable_update_period",
            "checkpoint_minutes",
        ):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be positive, got {getattr(self, name)}")
        if self.prior_weight < 0:
            raise ValueError(
                f"prior_weight must not be negative, got {self.prior_weight}"
            )
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
        if self.max_replay_size < self.min_replay_size:
            raise ValueError(
                f"max_replay_size ({self.max_replay_size}) is under min_replay_size "
                f"({self.min_replay_size}): nothing would ever be sampled"
            )
        if self.samples_per_insert is not None and self.samples_per_insert <= 0:
            raise ValueError(
                "samples_per_insert must be positive, or None for no limit, got "
                f"{self.samples_per_insert}"
            )
