"""Hyper-parameters of the offline skill model (Table 5 of arXiv:2112.05062)."""

from __future__ import annotations

import dataclasses
import math


@dataclasses.dataclass(frozen=True)
class HelmsConfig:
    """What defines a skill model and its training. The defaults are Table 5's."""

    # Model.
    num_skills: int = 5  # K; the paper: 5 for red_on_blue, 10 for all_pairs
    latent_dim: int = 8
    look_ahead: int = 5  # steps after t that the high level sees: t .. t + look_ahead
    hidden_sizes: tuple[int, ...] = (256, 256)  # of all three levels
    min_stddev: float = 0.01  # of the mid level
    max_stddev: float = 1.0
    action_stddev: float = 0.1  # of the low level, fixed

    # Initial weights. They break the symmetry of the skills without choosing one: the
    # high level starts near the transition prior, the skills' latents start apart.
    initial_stay_probability: float = 0.0  # 0: a uniform transition prior
    initial_latent_spread: float = 1.0  # deviation of the skills' initial latent means

    # Objective (Eq. 3).
    beta_y: float = 1.0
    beta_z: float = 0.1  # 0.0 in the paper's object generalisation

    # Optimisation.
    window: int = 25  # T, steps of a training sequence
    batch_size: int = 128
    learning_rate: float = 1e-4
    max_gradient_norm: float | None = None  # None: no clipping
    seed: int = 0

    def __post_init__(self):
        object.__setattr__(self, "hidden_sizes", tuple(self.hidden_sizes))
        for name in ("num_skills", "latent_dim", "window", "batch_size"):
            _check_integer(name, getattr(self, name), low=1)
        _check_integer("look_ahead", self.look_ahead, low=0)
        _check_integer("seed", self.seed, low=0)
        if not self.hidden_sizes:
            raise ValueError("hidden_sizes must name at least one layer, got none")
        for size in self.hidden_sizes:
            _check_integer("hidden_sizes", size, low=1)
        for name in ("beta_y", "beta_z", "initial_latent_spread"):
            _check_number(name, getattr(self, name), positive=False)
        for name in ("learning_rate", "action_stddev"):
            _check_number(name, getattr(self, name), positive=True)
        if not 0.0 < self.min_stddev < self.max_stddev:
            raise ValueError(
                "need 0 < min_stddev < max_stddev, got "
                f"{self.min_stddev} and {self.max_stddev}"
            )
        if not 0.0 <= self.initial_stay_probability < 1.0:
            raise ValueError(
                "initial_stay_probability must be in [0, 1), got "
                f"{self.initial_stay_probability}"
            )
        if self.max_gradient_norm is not None:
            _check_number("max_gradient_norm", self.max_gradient_norm, positive=True)

    def to_dict(self) -> dict[str, object]:
        """A dict that JSON can hold; `from_dict` reads it back."""
        values = dataclasses.asdict(self)
        values["hidden_sizes"] = list(self.hidden_sizes)
        return values

    @classmethod
    def from_dict(cls, values: dict[str, object]) -> HelmsConfig:
        """The inverse of `to_dict`.

        Raises:
          ValueError: a name is unknown, or a value is not valid.
        """
        names = [field.name for field in dataclasses.fields(cls)]
        unknown = sorted(set(values) - set(names))
        if unknown:
            raise ValueError(
                f"unknown setting {unknown[0]!r}; valid: {', '.join(names)}"
            )
        return cls(**values)


def _check_integer(name: str, value: object, low: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < low:
        raise ValueError(f"{name} must be an integer of at least {low}, got {value!r}")


def _check_number(name: str, value: float, positive: bool) -> None:
    good = math.isfinite(value) and (value > 0.0 if positive else value >= 0.0)
    if not good:
        bound = "positive" if positive else "at least 0"
        raise ValueError(f"{name} must be finite and {bound}, got {value}")
