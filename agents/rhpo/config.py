"""Configuration of RHPO agents; Table 5 of the HeLMS paper where it gives a value."""

from __future__ import annotations

import dataclasses

from agents.mpo.config import SampledMPOConfig, check_not_negative, check_positive


@dataclasses.dataclass(frozen=True)
class RHPOConfig(SampledMPOConfig):
    """Options of MPO on a mixture of Gaussians."""

    # Trust regions, nats: KL(target || online) of each part. Table 5.
    epsilon_categorical: float = 1.0
    epsilon_mean: float = 5e-3
    epsilon_stddev: float = 1e-4
    # Duals, through softplus: ours. Acme's 1000 for the deviation is made for its
    # epsilon of 1e-6.
    init_log_temperature: float = 3.0
    init_log_alpha_categorical: float = 1.0
    init_log_alpha_mean: float = 10.0
    init_log_alpha_stddev: float = 100.0
    eta_y: float = 0.01  # KL(online categorical || prior); Table 5 (vision: 0.1)
    eta_y_half_life: int = 0  # learner steps that halve eta_y; 0: it is constant
    # KL(online component || its prior); Table 5: 0.1 for the pyramid and vision, 0.01
    # for object generalisation.
    eta_z: float = 0.01

    def __post_init__(self) -> None:
        """See `MPOConfig`."""
        super().__post_init__()
        check_positive(self, "epsilon_categorical")
        check_not_negative(self, "eta_y", "eta_y_half_life", "eta_z")
