"""Domain randomisation of the physics, drawn once an episode.

Every parameter is its nominal value times a factor, so the ranges hold for whatever
models are loaded, and drift cannot build up: each draw starts from stored nominal
values. The paper's ranges are not public; these are a third party's reconstruction
(nominal x U(0.9, 1.1) for most), with object mass in the same band.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from environments import scene as scene_lib
from environments.rendering import mujoco

_BAND = (0.9, 1.1)


@dataclasses.dataclass(frozen=True)
class RandomizationConfig:
    """Ranges of uniform factors on nominal values; (1, 1) switches one off."""

    # Mass and inertia of each object, by an own factor.
    object_mass: tuple[float, float] = _BAND
    # Sliding, torsional and rolling friction of each object together.
    object_friction: tuple[float, float] = _BAND
    # Of the basket's floor and sides.
    basket_friction: tuple[float, float] = _BAND
    # Of the fingertips. Relative to our nominal 0.5: the reconstruction's 0.3 to 0.6.
    fingertip_sliding_friction: tuple[float, float] = (0.6, 1.2)
    fingertip_torsional_friction: tuple[float, float] = _BAND
    fingertip_rolling_friction: tuple[float, float] = (0.5, 1.0)
    # Of the seven arm joints, each by an own factor.
    arm_damping: tuple[float, float] = _BAND
    arm_armature: tuple[float, float] = _BAND
    arm_friction_loss: tuple[float, float] = _BAND
    # Force per unit of position and velocity error of the arm's servos.
    arm_gain: tuple[float, float] = _BAND
    # Of the fingers' driver joints.
    finger_damping: tuple[float, float] = _BAND
    finger_armature: tuple[float, float] = _BAND
    finger_gain: tuple[float, float] = _BAND

    def scaled(self, strength: float) -> RandomizationConfig:
        """Ranges drawn toward 1 (strength below 1) or widened (above 1).

        Raises:
          ValueError: a negative strength, or one that makes a factor not positive.
        """
        if strength < 0:
            raise ValueError(f"randomization strength is {strength}, below 0")
        values = {}
        for field in dataclasses.fields(self):
            low, high = getattr(self, field.name)
            values[field.name] = (1 + (low - 1) * strength, 1 + (high - 1) * strength)
            if values[field.name][0] <= 0:
                raise ValueError(
                    f"randomization strength {strength} makes {field.name} negative"
                )
        return RandomizationConfig(**values)


class Randomizer:
    """Draws the physics of an episode and writes it into the model."""

    def __init__(
        self,
        model: mujoco.MjModel,
        scene: scene_lib.Scene,
        config: RandomizationConfig | None = None,
    ) -> None:
        self._model = model
        self._config = config or RandomizationConfig()
        self._scene = scene
        self._scratch = mujoco.MjData(model)
        self._basket = np.flatnonzero(
            np.isin(model.geom_bodyid, scene.basket_bodies)
            & ((model.geom_contype != 0) | (model.geom_conaffinity != 0))
        )
        self._driver_dof = model.jnt_dofadr[scene.driver_joints].copy()
        names = (
            "body_mass body_inertia geom_friction dof_damping dof_armature "
            "dof_frictionloss actuator_gainprm actuator_biasprm"
        )
        self._nominal = {n: getattr(model, n).copy() for n in names.split()}

    def restore(self) -> None:
        """Writes the nominal values back."""
        for name, value in self._nominal.items():
            getattr(self._model, name)[:] = value
        mujoco.mj_setConst(self._model, self._scratch)

    def draw(self, rng: np.random.Generator) -> dict[str, float]:
        """Draws every parameter anew and writes it.

        Returns:
          The factors by name; where a parameter has several (an object's, a joint's)
          the name ends in their index.
        """
        config, model, scene, nominal = (
            self._config,
            self._model,
            self._scene,
            self._nominal,
        )
        info: dict[str, float] = {}

        def factors(name: str, count: int) -> np.ndarray:
            values = rng.uniform(*getattr(config, name), size=count)
            for index, value in enumerate(values):
                info[name if count == 1 else f"{name}_{index}"] = float(value)
            return values

        mass = factors("object_mass", 3)
        bodies = scene.object_body
        model.body_mass[bodies] = nominal["body_mass"][bodies] * mass
        model.body_inertia[bodies] = nominal["body_inertia"][bodies] * mass[:, None]

        friction, was = model.geom_friction, nominal["geom_friction"]
        geoms = scene.object_geom
        friction[geoms] = was[geoms] * factors("object_friction", 3)[:, None]
        friction[self._basket] = was[self._basket] * factors("basket_friction", 1)
        tips = scene.fingertip_geoms
        for column, kind in enumerate(("sliding", "torsional", "rolling")):
            factor = factors(f"fingertip_{kind}_friction", 1)
            friction[tips, column] = was[tips, column] * factor

        arm, drivers = scene.arm_dof, self._driver_dof
        for field, name in (
            ("dof_damping", "damping"),
            ("dof_armature", "armature"),
            ("dof_frictionloss", "friction_loss"),
        ):
            count = scene_lib.NUM_ARM_JOINTS
            getattr(model, field)[arm] = nominal[field][arm] * factors(
                f"arm_{name}", count
            )
        for field, name in (("dof_damping", "damping"), ("dof_armature", "armature")):
            getattr(model, field)[drivers] = nominal[field][drivers] * factors(
                f"finger_{name}", 1
            )
        gains = np.concatenate(
            [factors("arm_gain", scene_lib.NUM_ARM_JOINTS), factors("finger_gain", 1)]
        )[:, None]
        # Gain and bias together: the set point stays where it is, the stiffness moves.
        model.actuator_gainprm[:] = nominal["actuator_gainprm"] * gains
        model.actuator_biasprm[:] = nominal["actuator_biasprm"] * gains
        mujoco.mj_setConst(model, self._scratch)
        return info
