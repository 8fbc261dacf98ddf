"""How the scripted expert differs between episodes: its manner and its mistakes."""

from __future__ import annotations

import dataclasses

import numpy as np

from environments import stacking


@dataclasses.dataclass(frozen=True)
class Style:
    """One episode's manner."""

    gain: float  # 1/s, of position errors
    speed: float  # share of full speed
    approach_height: float  # m above the object
    lift_height: float  # m of the object above its target
    grasp_offset: np.ndarray  # [2] m, error of the aim when grasping
    place_offset: np.ndarray  # [2] m, error of the aim when placing
    yaw_offset: float  # rad
    noise: float  # standard deviation of the correlated action noise
    squeeze_steps: int  # steps of closing after the grasp is felt
    early_close: float  # m above the object where it closes once; 0: never
    drops: bool  # lets go of the object once on the way
    pauses: frozenset[int]  # control steps at which it hesitates
    pause_steps: int

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Style:
        """Draws one."""
        return cls(
            gain=rng.uniform(3.5, 5.5),
            speed=rng.uniform(0.85, 1.0),
            approach_height=rng.uniform(0.045, 0.07),
            lift_height=rng.uniform(0.03, 0.055),
            grasp_offset=rng.normal(0.0, 0.0015, 2),
            place_offset=rng.normal(0.0, 0.002, 2),
            yaw_offset=rng.normal(0.0, 0.03),
            noise=rng.uniform(0.02, 0.1),
            squeeze_steps=int(rng.integers(2, 6)),
            early_close=rng.uniform(0.025, 0.04) if rng.random() < 0.04 else 0.0,
            drops=bool(rng.random() < 0.03),
            pauses=frozenset(
                rng.integers(stacking.EPISODE_STEPS, size=rng.poisson(0.7)).tolist()
            ),
            pause_steps=int(rng.integers(3, 10)),
        )
