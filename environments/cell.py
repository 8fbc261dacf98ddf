"""RGB-stacking cell in MJCF: Sawyer, Robotiq 2F-85, basket, three objects.

Models and props come from dm_robotics; their places are those of the public reference
(https://github.com/google-deepmind/rgb_stacking).
"""

from __future__ import annotations

import numpy as np

from environments import objects, observations
from environments.rendering import mujoco

# isort: split
from dm_control import mjcf
from dm_robotics.manipulation.standard_cell import rgb_basket
from dm_robotics.moma import prop
from dm_robotics.moma.models.arenas import empty
from dm_robotics.moma.models.end_effectors.robot_hands import robotiq_2f85
from dm_robotics.moma.models.end_effectors.wrist_sensors import robotiq_fts300
from dm_robotics.moma.models.robots.robot_arms import sawyer, sawyer_constants

BASKET_CENTRE = np.array([0.6, 0.0])  # m
BASKET_HEIGHT = 0.0498  # m
CAMERAS = ("basket_front_left", "basket_front_right", "basket_back_left")
MAIN_CAMERA = "main"

_FOVY_DEGREES = 30.0
_GRIPPER_TICS = 255.0
ROBOT = "robot0"
HAND = f"{ROBOT}/robotiq_fts300/robotiq_2f85"
_LINK_GEOMS = ("coupler_geom", "spring_link_geom", "driver_geom", "follower_geom")


def compose(
    object_ids: tuple[str, ...], basket: str = "boxes", hand_links: bool = True
) -> mjcf.RootElement:
    """Composes arena, basket, robot, cameras and three objects.

    Args:
      object_ids: ids of the red, green and blue object.
      basket, hand_links: see `scene.Physics`.
    """
    arena = empty.Arena()
    arena.mjcf_model.size.nconmax = 5000
    arena.mjcf_model.size.njmax = 5000
    world = arena.mjcf_model.worldbody
    basket_site = world.add(
        "site", pos=(*BASKET_CENTRE, BASKET_HEIGHT), rgba="0 0 0 0", size="0.01"
    )
    basket_model = rgb_basket.RGBBasket()
    if basket == "planes":
        make_planes(basket_model.mjcf_model)
        # The floor's plane is infinite, so nothing gets through it.
        ground = arena.mjcf_model.find("geom", "ground")
        ground.contype = ground.conaffinity = 0
    arena.attach(basket_model, basket_site)

    arm = sawyer.Sawyer(
        name=ROBOT, actuation=sawyer_constants.Actuation.INTEGRATED_VELOCITY
    )
    hand = robotiq_2f85.Robotiq2F85()
    wrist = robotiq_fts300.RobotiqFTS300()
    wrist.attach(hand)
    arm.attach(wrist)
    arena.attach(arm)
    drop_idle_collisions(arm.mjcf_model)
    if not hand_links:
        for geom in arm.mjcf_model.find_all("geom"):
            if HAND in geom.full_identifier and geom.name.endswith(_LINK_GEOMS):
                geom.contype = geom.conaffinity = 0
    # dm_robotics clamps the integrated set points in Python after each substep; a limit
    # on the activation does the same inside mj_step.
    limits = sawyer_constants.JOINT_LIMITS
    for actuator, low, high in zip(
        arm.actuators, limits["min"], limits["max"], strict=True
    ):
        actuator.actlimited, actuator.actrange = True, (low, high)
    (fingers,) = hand.actuators
    fingers.actlimited, fingers.actrange = True, (0.0, _GRIPPER_TICS)

    world.add(
        "camera",
        name=MAIN_CAMERA,
        pos="1.4 0.0 0.45",
        quat="0.541 0.455 0.456 0.541",
        fovy="45",
    )
    for name in CAMERAS:
        arena.mjcf_model.find("camera", f"base/{name}").fovy = _FOVY_DEGREES

    for index, (object_id, color) in enumerate(
        zip(object_ids, observations.COLORS, strict=True)
    ):
        rgba = [0.0, 0.0, 0.0, 1.0]
        rgba[index] = 1.0
        name = f"rgb_object_{color}"
        inner = objects.prop(object_id, name, color=rgba)
        arena.add_free_entity(prop.WrapperProp(wrapped_entity=inner, name=name))
    return arena.mjcf_model


def make_planes(basket: mjcf.RootElement) -> None:
    """Replaces the colliding boxes by planes through their inner faces."""
    inside = np.array([0.0, 0.0, 0.2])  # m, above the floor's middle
    for geom in basket.find_all("geom"):
        if geom.type != "box" or geom.contype == 0:
            continue
        quaternion, normal = np.array([1.0, 0.0, 0.0, 0.0]), np.zeros(3)
        if geom.axisangle is not None:
            mujoco.mju_axisAngle2Quat(quaternion, geom.axisangle[:3], geom.axisangle[3])
        mujoco.mju_rotVecQuat(normal, np.array([0.0, 0.0, 1.0]), quaternion)
        normal *= np.sign(normal @ (inside - geom.pos))  # boxes are thin along z
        geom.pos = geom.pos + normal * geom.size[2]
        geom.type, geom.size = "plane", (0.0, 0.0, 1.0)
        del geom.axisangle
        geom.zaxis = normal


def drop_idle_collisions(robot: mjcf.RootElement) -> None:
    """Removes from collision detection what cannot touch anything in the workspace.

    The tool points down and its centre stays within 0.27 m of the ground, so the arm
    and the wrist sensor are above everything else. Within the hand only the fingertips
    can meet; couplers and spring links may touch objects, like the hand's other links.
    No contact is lost: trajectories are bit-identical (scene_test).
    """
    for geom in robot.find_all("geom"):
        if geom.contype == 0 and geom.conaffinity == 0:
            continue
        name = geom.full_identifier
        if HAND not in name or name.endswith("/base_mount_geom"):
            geom.contype = geom.conaffinity = 0
        elif name.endswith(_LINK_GEOMS[:2]):
            geom.contype, geom.conaffinity = 2, 1
