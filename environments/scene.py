"""Compiled MuJoCo model of the cell: physics, presets, addresses.

Tasks, rewards and episodes are defined elsewhere.
"""

from __future__ import annotations

import copy
import dataclasses
import functools
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from environments import cell, objects, observations
from environments.cell import (  # noqa: F401  users of a scene import them from here
    BASKET_CENTRE,
    BASKET_HEIGHT,
    CAMERAS,
    HAND,
    MAIN_CAMERA,
    ROBOT,
)
from environments.rendering import mujoco

# isort: split
from dm_control import mjcf

OBJECT_SETS = tuple(objects.SETS)
WORKSPACE_CENTRE = np.array([0.6, 0.0, 0.1698])  # m
WORKSPACE_SIZE = np.array([0.25, 0.25, 0.2])  # m

CONTROL_TIMESTEP = 0.05  # s
NUM_ARM_JOINTS = 7


def one_of(name: str, value: object, valid: Iterable[object]) -> None:
    """Raises a ValueError, naming the valid values, unless `value` is one."""
    valid = tuple(valid)
    if isinstance(value, bool) or value not in valid:
        values = ", ".join(str(v) for v in valid)
        raise ValueError(f"unknown {name} {value!r}; valid: {values}")


def substeps(timestep: float) -> int:
    """Returns the number of physics steps of `timestep` seconds in a control step."""
    return round(CONTROL_TIMESTEP / timestep)


INTEGRATORS: Mapping[str, int] = {
    "euler": mujoco.mjtIntegrator.mjINT_EULER,
    "implicitfast": mujoco.mjtIntegrator.mjINT_IMPLICITFAST,
    "discrete": mujoco.mjtIntegrator.mjINT_DISCRETE,
}
CONES: Mapping[str, int] = {
    "elliptic": mujoco.mjtCone.mjCONE_ELLIPTIC,
    "pyramidal": mujoco.mjtCone.mjCONE_PYRAMIDAL,
}
BASKETS = ("boxes", "planes")


@dataclasses.dataclass(frozen=True)
class Physics:
    """Physics settings of a preset, which trade accuracy for time.

    Attributes:
      timestep: physics step in seconds; it divides the control step.
      integrator: a key of `INTEGRATORS`.
      noslip_iterations: iterations of MuJoCo's noslip solver; the reference's five take
        half of a step's time.
      impratio: ratio of frictional to normal constraint impedance; a higher ratio does
        the noslip solver's work (less creep under a grasp) at less cost.
      cone: friction cones, a key of `CONES`.
      iterations: largest number of iterations of the constraint solver.
      tolerance: tolerance of the constraint solver.
      multiccd: whether two convex meshes have several contacts instead of one at a
        time.
      basket: shape of the basket in contacts, one of `BASKETS`. Its boxes are thick and
        reach below and behind its visible walls; planes through their inner faces cost
        less.
      hand_links: whether the links that drive the fingers touch, besides the hand's
        base and the fingertips.
      pad_solref: stiffness and damping of the fingertips' contacts, as MuJoCo's
        negative `solref`.
      pad_solimp: impedance of the fingertips' contacts.
    """

    timestep: float
    integrator: str = "euler"
    noslip_iterations: int = 0
    impratio: float = 1.0
    cone: str = "elliptic"
    iterations: int = 100
    tolerance: float = 1e-8
    multiccd: bool = False
    basket: str = "boxes"
    hand_links: bool = True
    pad_solref: tuple[float, float] = (-30000.0, -200.0)
    pad_solimp: tuple[float, ...] = (0.9, 0.95, 0.001, 0.01, 2.0)

    def __post_init__(self) -> None:
        """Raises ValueError for settings that are not valid."""
        one_of("integrator", self.integrator, INTEGRATORS)
        one_of("cone", self.cone, CONES)
        one_of("basket", self.basket, BASKETS)
        steps = CONTROL_TIMESTEP / self.timestep if self.timestep > 0 else 0.0
        if round(steps) < 1 or abs(steps - round(steps)) > 1e-6:
            raise ValueError(
                f"physics timestep {self.timestep} s does not divide the control step, "
                f"{CONTROL_TIMESTEP} s"
            )

    @property
    def substeps(self) -> int:
        """Number of physics steps in a control step."""
        return substeps(self.timestep)

    def override(self, text: str) -> Physics:
        """Returns a copy of the settings with those of `name=value,...` replaced.

        The numbers of a tuple are separated by colons.

        Raises:
          ValueError: a name is unknown, or a value has another type.
        """
        changes: dict[str, Any] = {}
        for part in filter(None, text.split(",")):
            name, _, value = part.partition("=")
            one_of("setting of physics", name, vars(self))
            kind = type(getattr(self, name))
            try:
                if kind is tuple:
                    changes[name] = tuple(float(v) for v in value.split(":"))
                else:
                    changes[name] = bool(int(value)) if kind is bool else kind(value)
            except ValueError:
                raise ValueError(
                    f"{name} is {value!r}; valid: a {kind.__name__}"
                ) from None
        return dataclasses.replace(self, **changes)

    def apply(self, model: mujoco.MjModel) -> None:
        """Writes the settings into a model."""
        option = model.opt
        option.timestep = self.timestep
        option.integrator = INTEGRATORS[self.integrator]
        option.noslip_iterations = self.noslip_iterations
        option.impratio = self.impratio
        option.cone = CONES[self.cone]
        option.iterations = self.iterations
        option.tolerance = self.tolerance
        one_contact = int(mujoco.mjtDisableBit.mjDSBL_MULTICCD)
        option.disableflags = (option.disableflags & ~one_contact) | (
            0 if self.multiccd else one_contact
        )
        pads = Scene(model).fingertip_geoms
        model.geom_solref[pads] = self.pad_solref
        model.geom_solimp[pads] = self.pad_solimp


PRESETS: Mapping[str, Physics] = {
    # Settings of the public environment, with the present defaults of MuJoCo.
    "reference": Physics(timestep=0.0005, noslip_iterations=5, multiccd=True),
    "fast": Physics(
        timestep=0.002,
        integrator="implicitfast",
        impratio=30.0,
        multiccd=True,
        basket="planes",
        hand_links=False,
    ),
}
DEFAULT_PRESET = "fast"


def physics(preset: str | Physics) -> Physics:
    """Returns the settings of a preset, or `preset` itself if it is settings.

    Raises:
      ValueError: the preset does not exist.
    """
    if isinstance(preset, Physics):
        return preset
    one_of("preset", preset, PRESETS)
    return PRESETS[preset]


def build(
    object_set: objects.ObjectSet = 4, preset: str | Physics = DEFAULT_PRESET
) -> mujoco.MjModel:
    """Compiles the simulated scene, without anything that is only visible.

    Args:
      object_set: 1 to 5, the test triplets of dm_robotics; the ids of three objects; or
        "random", which leaves them to be written before use.
      preset: a key of `PRESETS`, or custom settings.

    Returns:
      A new model; changing it changes no other.

    Raises:
      ValueError: the object set or preset does not exist.
    """
    objects.check(object_set)
    settings = physics(preset)
    model = copy.copy(_simulated(settings.basket, settings.hand_links))
    settings.apply(model)
    if object_set != objects.RANDOM:
        objects.ObjectSlots(model).write(objects.triplet(object_set))
    return model


def build_visible() -> mujoco.MjModel:
    """Compiles the drawn scene: the same bodies and joints, with all meshes.

    Returns:
      A new model, with the largest object in every slot.
    """
    return copy.copy(_visible())


@functools.cache
def _simulated(basket: str, hand_links: bool) -> mujoco.MjModel:
    root = cell.compose(_SLOTS, basket, hand_links)
    # Geoms that are only visible are 90 of 110, and take nearly all of the memory.
    root.compiler.discardvisual = True
    return _compiled(root)


@functools.cache
def _visible() -> mujoco.MjModel:
    return _compiled(cell.compose(_SLOTS))


_SLOTS = (objects.LARGEST,) * len(observations.COLORS)


def _compiled(root: mjcf.RootElement) -> mujoco.MjModel:
    return mujoco.MjModel.from_xml_string(root.to_xml_string(), root.get_assets())


class Scene:
    """Addresses of the values that the code reads and writes in a compiled model.

    Attributes:
      arm_qpos, arm_dof: slices of the seven arm joints.
      arm_ctrl, arm_act: slices of the arm's actuators.
      finger_ctrl, finger_act: indices of the gripper's actuator.
      pinch_site, wrist_site: site ids.
      object_qpos: [3], first qpos address of red, green, blue (position, quaternion).
      object_position: [3, 3], qpos addresses of their positions.
      object_dof: [3], first dof addresses.
      object_body: [3], body ids. object_geom: [3], collision geom ids.
      robot_bodies: ids of the arm's, wrist sensor's and hand's bodies.
      pad_geoms: ids of the two fingertip geoms that the grasp flag reads.
      fingertip_geoms: ids of all fingertip geoms that collide.
    """

    def __init__(self, model: mujoco.MjModel) -> None:
        self.arm_joints = [model.joint(f"{ROBOT}/right_j{i}").id for i in range(7)]
        assert list(model.jnt_qposadr[self.arm_joints]) == list(range(7))
        self.arm_qpos = self.arm_dof = self.arm_ctrl = self.arm_act = slice(0, 7)
        finger = model.actuator(f"{HAND}/fingers_actuator").id
        self.finger_ctrl = finger
        self.finger_act = int(model.actuator_actadr[finger])
        self.pinch_site = model.site(f"{HAND}/pinch_site").id
        self.wrist_site = model.site(f"{ROBOT}/wrist_site").id
        self.finger_joint = model.joint(f"{HAND}/left_driver_joint").id
        self.driver_joints = [
            model.joint(f"{HAND}/{side}_driver_joint").id for side in ("left", "right")
        ]
        self.spring_joints = [
            model.joint(f"{HAND}/{side}_spring_link_joint").id
            for side in ("left", "right")
        ]

        names = [f"rgb_object_{color}" for color in observations.COLORS]
        joints = [model.joint(f"{name}/").id for name in names]
        self.object_qpos = model.jnt_qposadr[joints].copy()
        self.object_position = self.object_qpos[:, None] + np.arange(3)
        self.object_dof = model.jnt_dofadr[joints].copy()
        self.object_body = np.array([model.body(f"{n}/{n}/").id for n in names])
        collides = (model.geom_contype != 0) | (model.geom_conaffinity != 0)
        self.object_geom = np.array(
            [
                int(np.flatnonzero((model.geom_bodyid == body) & collides)[0])
                for body in self.object_body
            ]
        )
        bodies = [model.body(i).name for i in range(model.nbody)]
        self.robot_bodies = np.array(
            [i for i, name in enumerate(bodies) if name.startswith(f"{ROBOT}/")]
        )
        self.basket_bodies = np.array(
            [i for i, name in enumerate(bodies) if name.startswith("base/")]
        )
        self.pad_geoms = np.array(
            [
                model.geom(f"{HAND}/reinforced_{side}_fingertip_geom").id
                for side in ("right", "left")
            ]
        )
        self.fingertip_geoms = np.flatnonzero(
            np.isin(model.geom_bodyid, model.geom_bodyid[self.pad_geoms]) & collides
        )
        # Owner of each body in contacts: object 0 to 2, robot 3, the rest 4.
        owner = np.full(model.nbody, self.ELSEWHERE)
        owner[self.robot_bodies] = self.ROBOT
        owner[self.object_body] = np.arange(len(names))
        self.geom_owner = owner[model.geom_bodyid]

    ROBOT = 3
    ELSEWHERE = 4
