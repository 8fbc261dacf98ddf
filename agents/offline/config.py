"""Configuration of every offline model (Table 5 of arXiv:2112.05062), and checks."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any, ClassVar, TypeVar

from agents.distributions.policies import FINGERS

_Config = TypeVar("_Config", bound="OfflineConfig")

_MOST_UNITS = 65_536  # of a layer, and sequences of a batch: more fits in no memory
_MOST = 2**31 - 1  # TensorFlow's sizes are int32
LEARNING_RATE_SCHEDULES = ("constant", "cosine")


@dataclasses.dataclass(frozen=True)
class OfflineConfig:
    """Configuration of a model and its training, to which each model adds its own.

    Attributes:
      hidden_sizes: units of the hidden layers of every network.
      action_stddev: standard deviation of the action's Gaussian, which is fixed.
      finger: the action's last component, whose sign opens or closes the hand:
        gaussian; or bernoulli, a draw of that sign.
      window: steps of a training sequence.
      batch_size: sequences per learner step.
      learning_rate: step size of Adam.
      learning_rate_schedule: constant; or cosine, which falls to a tenth over the
        learner steps.
      learning_rate_steps: learner steps of cosine.
      max_gradient_norm: norm at which the gradient is clipped; none: no clipping.
      seed: seed of initial weights, order of the data and noise.
    """

    # Steps after t that the model sees besides t. A model that looks ahead turns this
    # into a field.
    look_ahead: ClassVar[int] = 0

    # Model.
    hidden_sizes: tuple[int, ...] = (256, 256)
    action_stddev: float = 0.1
    finger: str = "gaussian"  # one of FINGERS

    # Optimisation.
    window: int = 25
    batch_size: int = 128
    learning_rate: float = 1e-4
    learning_rate_schedule: str = "constant"  # one of LEARNING_RATE_SCHEDULES
    learning_rate_steps: int = 0
    max_gradient_norm: float | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "hidden_sizes", tuple(self.hidden_sizes))
        for name in ("window", "batch_size"):
            check_integer(name, getattr(self, name), low=1, high=_MOST_UNITS)
        for name, valid in (
            ("finger", FINGERS),
            ("learning_rate_schedule", LEARNING_RATE_SCHEDULES),
        ):
            if getattr(self, name) not in valid:
                raise ValueError(
                    f"unknown {name} {getattr(self, name)!r}; valid: {', '.join(valid)}"
                )
        check_integer(
            "learning_rate_steps",
            self.learning_rate_steps,
            low=int(self.learning_rate_schedule != "constant"),
        )
        for name in ("look_ahead", "seed"):
            check_integer(name, getattr(self, name), low=0)
        if not self.hidden_sizes:
            raise ValueError("hidden_sizes must name at least one layer, got none")
        for size in self.hidden_sizes:
            check_integer("hidden_sizes", size, low=1, high=_MOST_UNITS)
        for name in ("learning_rate", "action_stddev"):
            check_number(name, getattr(self, name), positive=True)
        if self.max_gradient_norm is not None:
            check_number("max_gradient_norm", self.max_gradient_norm, positive=True)

    def to_dict(self) -> dict[str, Any]:
        """Returns a dict that JSON can hold; `from_dict` reads it back."""
        values = dataclasses.asdict(self)
        values["hidden_sizes"] = list(self.hidden_sizes)
        return values

    @classmethod
    def from_dict(cls: type[_Config], values: Mapping[str, Any]) -> _Config:
        """Returns the configuration that `to_dict` wrote.

        Raises:
          ValueError: a name is unknown, or a value is not valid.
        """
        names = cls.names()
        unknown = sorted(set(values) - set(names))
        if unknown:
            raise ValueError(
                f"unknown setting {unknown[0]!r}; valid: {', '.join(names)}"
            )
        return cls(**values)

    @classmethod
    def names(cls) -> tuple[str, ...]:
        """Returns the names of all settings."""
        return tuple(field.name for field in dataclasses.fields(cls))


@dataclasses.dataclass(frozen=True)
class LatentConfig(OfflineConfig):
    """Configuration of a model with a continuous latent z.

    Attributes:
      latent_dim: dimensions of the latent z.
      min_stddev: least standard deviation of the posterior over z.
      max_stddev: largest standard deviation of the posterior over z.
      beta_z: weight of the latent KL.
    """

    latent_dim: int = 8
    min_stddev: float = 0.01
    max_stddev: float = 1.0
    beta_z: float = 0.1  # the paper's object generalisation: 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_integer("latent_dim", self.latent_dim, low=1, high=_MOST_UNITS)
        check_number("beta_z", self.beta_z, positive=False)
        if not 0.0 < self.min_stddev < self.max_stddev:
            raise ValueError(
                "need 0 < min_stddev < max_stddev, got "
                f"{self.min_stddev} and {self.max_stddev}"
            )


def check_integer(name: str, value: object, low: int, high: int = _MOST) -> None:
    """Raises ValueError unless `value` is an integer from `low` to `high`."""
    if isinstance(value, bool) or not isinstance(value, int) or value < low:
        raise ValueError(f"{name} must be an integer of at least {low}, got {value!r}")
    if value > high:
        raise ValueError(f"{name} must be at most {high}, got {value}")


def check_number(name: str, value: float, positive: bool) -> None:
    """Raises ValueError unless `value` is finite and positive (or 0, if allowed)."""
    good = math.isfinite(value) and (value > 0.0 if positive else value >= 0.0)
    if not good:
        bound = "positive" if positive else "at least 0"
        raise ValueError(f"{name} must be finite and {bound}, got {value}")
