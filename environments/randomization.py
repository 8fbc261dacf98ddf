"""Domain randomisation, drawn once per episode.

Every parameter of the physics is its nominal value times a factor, so the ranges hold
for any model, and drift cannot build up: each draw starts from stored nominal values.
The paper's ranges are not public. U(0.9, 1.1) comes from a third party's
reconstruction, whose nominal values are those of the models here except for the
fingers' damping (0.2 there). Sizes, gravity compensation and noise are our choice.

MuJoCo gives a contact the larger friction of its two geoms: an object's sliding
friction acts on other objects and the fingertips; on the basket the basket's acts.
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from environments import scene as scene_lib
from environments.noise import ObservationNoise
from environments.objects import ObjectSlots
from environments.rendering import mujoco

Range = tuple[float, float]


def times(low: float, high: float, description: str) -> Range:
    """Makes a field of `RandomizationConfig`: range of the uniform factor."""
    return dataclasses.field(default=(low, high), metadata={"description": description})


@dataclasses.dataclass(frozen=True)
class RandomizationConfig:
    """Ranges of uniform factors on nominal values; (1, 1) switches one off.

    `str()` of a configuration is a table of all parameters.
    """

    object_mass: Range = times(0.9, 1.1, "each object's mass (0.2 kg) and inertia")
    # Density does not change: mass scales with the third power, then by object_mass.
    object_size: Range = times(0.97, 1.03, "each object's lengths (3 to 10 cm)")
    object_sliding_friction: Range = times(0.9, 1.1, "each object's 0.5")
    object_torsional_friction: Range = times(0.9, 1.1, "each object's 0.005 m")
    object_rolling_friction: Range = times(0.9, 1.1, "each object's 0.0001 m")
    basket_friction: Range = times(0.9, 1.1, "basket's 1, 0.005 m and 0.0001 m")
    # The reconstruction draws 0.3 to 0.6, 0.1 and 0.005 to 0.05 m.
    fingertip_sliding_friction: Range = times(0.6, 1.2, "fingertips' 0.5")
    fingertip_torsional_friction: Range = times(0.9, 1.1, "fingertips' 0.1 m")
    fingertip_rolling_friction: Range = times(0.5, 1.0, "fingertips' 0.01 m")
    gripper_force: Range = times(0.9, 1.1, "limit of the fingers' actuator (5 N m)")
    finger_gain: Range = times(0.9, 1.1, "stiffness of the fingers' servo")
    finger_damping: Range = times(0.9, 1.1, "driver joints' 1 N m s")
    finger_armature: Range = times(0.9, 1.1, "driver joints' 0.1 kg m2")
    spring_link_damping: Range = times(0.9, 1.1, "spring links' 0.00125 N m s")
    arm_damping: Range = times(0.9, 1.1, "each arm joint's 0.1 N m s")
    arm_armature: Range = times(0.9, 1.1, "each arm joint's 1 kg m2")
    arm_friction_loss: Range = times(0.9, 1.1, "each arm joint's 0.3 or 0.1 N m")
    # Gain and bias scale together: the stiffness changes, the set point does not.
    arm_gain: Range = times(0.9, 1.1, "each arm servo's 500 N m and 50 N m s a rad")
    gravity_compensation: Range = times(0.95, 1.05, "carried weight of each arm link")
    noise: ObservationNoise = ObservationNoise()

    def __post_init__(self) -> None:
        """Raises ValueError unless every range is of positive numbers, low <= high."""
        for name, (low, high) in self.ranges().items():
            if not (0 < low <= high and math.isfinite(high)):
                raise ValueError(
                    f"range of {name} is ({low}, {high}); valid: 0 < low <= high"
                )

    def ranges(self) -> dict[str, Range]:
        """Returns the ranges of factors by name: all fields except the noise."""
        names = [f.name for f in dataclasses.fields(self) if f.name != "noise"]
        return {name: getattr(self, name) for name in names}

    def scaled(self, strength: float) -> RandomizationConfig:
        """Scales the ranges about 1 and the noise by `strength`; below 1 narrows them.

        Raises:
          ValueError: the strength is negative, or makes a factor not positive.
        """
        if not strength >= 0:
            raise ValueError(f"randomization strength is {strength}, below 0")
        ranges = {
            name: (1 + (low - 1) * strength, 1 + (high - 1) * strength)
            for name, (low, high) in self.ranges().items()
        }
        return RandomizationConfig(**ranges, noise=self.noise.scaled(strength))

    def describe(self) -> str:
        """Returns a table of the parameters: name, distribution and quantity."""
        rows = [
            (
                field.name,
                "x U({:.4g}, {:.4g})".format(*getattr(self, field.name)),
                field,
            )
            for field in dataclasses.fields(self)
            if field.name != "noise"
        ] + [
            (
                f"noise.{field.name}",
                f"+ N(0, {getattr(self.noise, field.name):.4g})",
                field,
            )
            for field in dataclasses.fields(self.noise)
        ]
        return "\n".join(
            f"{name:30}{distribution:20}{field.metadata['description']}"
            for name, distribution, field in rows
        )

    __str__ = describe


class Randomizer:
    """Randomiser that draws the physics of an episode and writes them into the model.

    Attributes:
      gravity_compensation: [nbody], share of each body's weight that is compensated.
    """

    def __init__(
        self,
        model: mujoco.MjModel,
        scene: scene_lib.Scene,
        slots: ObjectSlots,
        config: RandomizationConfig | None = None,
    ) -> None:
        """Takes the model's present values as nominal; the objects' are in `slots`."""
        self._model = model
        self._scene = scene
        self._slots = slots
        self._config = config or RandomizationConfig()
        self._basket = np.flatnonzero(
            np.isin(model.geom_bodyid, scene.basket_bodies)
            & ((model.geom_contype != 0) | (model.geom_conaffinity != 0))
        )
        self._driver_dof = model.jnt_dofadr[scene.driver_joints].copy()
        self._spring_dof = model.jnt_dofadr[scene.spring_joints].copy()
        # Index of the last arm joint that moves each body: 0 to 6; 7 for none.
        self._link = np.full(model.nbody, scene_lib.NUM_ARM_JOINTS)
        for body in range(1, model.nbody):
            self._link[body] = self._link[model.body_parentid[body]]
            moved = np.flatnonzero(model.jnt_bodyid[scene.arm_joints] == body)
            if len(moved):
                self._link[body] = moved[0]
        self.gravity_compensation = np.ones(model.nbody)
        names = (
            "geom_friction dof_damping dof_armature dof_frictionloss "
            "actuator_gainprm actuator_biasprm actuator_forcerange"
        )
        self._nominal = {n: getattr(model, n).copy() for n in names.split()}

    def restore(self) -> None:
        """Writes the nominal values back."""
        for name, value in self._nominal.items():
            getattr(self._model, name)[:] = value
        self.gravity_compensation[:] = 1.0
        self._slots.write(self._slots.ids)

    def draw(self, rng: np.random.Generator) -> dict[str, float]:
        """Draws every parameter anew and writes it.

        Returns:
          The factors by name; where a parameter has several, one per object or joint,
          the name ends in the index.
        """
        model, scene, nominal = self._model, self._scene, self._nominal
        info: dict[str, float] = {}

        def factors(name: str, count: int = 1) -> np.ndarray:
            low, high = getattr(self._config, name)
            values = rng.uniform(low, high, size=count)
            for index, value in enumerate(values.tolist()):
                info[name if count == 1 else f"{name}_{index}"] = value
            return values

        mass = factors("object_mass", 3)
        self._slots.write(self._slots.ids, factors("object_size", 3))
        model.body_mass[scene.object_body] *= mass
        model.body_inertia[scene.object_body] *= mass[:, None]

        friction, was = model.geom_friction, nominal["geom_friction"]
        objects, tips = scene.object_geom, scene.fingertip_geoms
        for column, kind in enumerate(("sliding", "torsional", "rolling")):
            factor = factors(f"object_{kind}_friction", 3)
            friction[objects, column] = was[objects, column] * factor
            factor = factors(f"fingertip_{kind}_friction")
            friction[tips, column] = was[tips, column] * factor
        friction[self._basket] = was[self._basket] * factors("basket_friction")

        joints, arm, drivers = scene_lib.NUM_ARM_JOINTS, scene.arm_dof, self._driver_dof
        for field, dofs, factor in (
            ("dof_damping", arm, factors("arm_damping", joints)),
            ("dof_armature", arm, factors("arm_armature", joints)),
            ("dof_frictionloss", arm, factors("arm_friction_loss", joints)),
            ("dof_damping", drivers, factors("finger_damping")),
            ("dof_armature", drivers, factors("finger_armature")),
            ("dof_damping", self._spring_dof, factors("spring_link_damping")),
        ):
            getattr(model, field)[dofs] = nominal[field][dofs] * factor

        fingers = scene.finger_ctrl
        for actuators, gain in (
            (scene.arm_ctrl, factors("arm_gain", joints)[:, None]),
            (fingers, factors("finger_gain")),
        ):
            for field in ("actuator_gainprm", "actuator_biasprm"):
                getattr(model, field)[actuators] = nominal[field][actuators] * gain
        model.actuator_forcerange[fingers] = nominal["actuator_forcerange"][
            fingers
        ] * factors("gripper_force")
        carried = factors("gravity_compensation", joints)
        self.gravity_compensation = np.append(carried, 1.0)[self._link]
        self._slots.update_constants()
        return info
