"""Configuration of RHPO agents, with the HeLMS paper's values (Table 5) if given."""

from __future__ import annotations

import dataclasses

from agents.mpo.config import SampledMPOConfig, check_not_negative, check_positive


@dataclasses.dataclass(frozen=True)
class RHPOConfig(SampledMPOConfig):
    """Configuration of MPO on a mixture of Gaussians.

    Attributes:
      epsilon_categorical: bound on the KL(target || online) of the mixture's
        categorical, nats.
      init_log_alpha_categorical: initial multiplier of the bound epsilon_categorical,
        through softplus.
      eta_y: weight of the KL(online || prior) of the skills' probabilities.
      eta_y_half_life: learner steps that halve eta_y; 0: it is constant.
      eta_z: weight of the KL of each component to its skill's frozen posterior.
    """

    epsilon_categorical: float = 1.0  # Table 5
    epsilon_mean: float = 5e-3  # Table 5
    epsilon_stddev: float = 1e-4  # Table 5
    # Ours: Acme's 1000 for the deviation suits its epsilon of 1e-6.
    init_log_temperature: float = 3.0
    init_log_alpha_categorical: float = 1.0
    init_log_alpha_mean: float = 10.0
    init_log_alpha_stddev: float = 100.0
    eta_y: float = 0.01  # Table 5 (vision: 0.1)
    eta_y_half_life: int = 0
    eta_z: float = 0.01  # Table 5: object generalisation; 0.1 for pyramid and vision

    def __post_init__(self) -> None:
        super().__post_init__()
        check_positive(self, "epsilon_categorical")
        check_not_negative(self, "eta_y", "eta_y_half_life", "eta_z")
