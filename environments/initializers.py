"""Initial states: the pose of the tool, and the poses in which the objects rest."""

from __future__ import annotations

import numpy as np

from environments import controller, observations
from environments import scene as scene_lib
from environments.rendering import mujoco

# Uniform tool pose: x, y, z [m] and yaw [rad], pointing down.
TOOL_LOW = np.array([0.5, -0.14, 0.22, -np.pi / 4])
TOOL_HIGH = np.array([0.7, 0.14, 0.43, np.pi / 4])
# Uniform object position [m] before the fall; the orientation is uniform too.
OBJECT_LOW = np.array([0.50, -0.10, 0.12])
OBJECT_HIGH = np.array([0.70, 0.10, 0.12])

_SETTLE_TIMESTEP = 0.002  # s; accurate enough for a fall, with a quarter of the steps
_SETTLE_CHUNK = 25  # steps between checks
_SETTLE_MAX_SECONDS = 2.0
_SETTLE_MAX_VELOCITY = 0.05  # m/s, rad/s
_SETTLE_MAX_MOVE = 1e-5  # m between two checks
_INSIDE = 0.16  # m from the basket's centre, along x and y
_MAX_DRAWS = 50
_IK_MAX_STEPS = 200
_IK_DAMPING = 1e-6


class InitializationError(RuntimeError):
    """Error of a reset without a valid initial state; names the part that failed."""


def _down_with_yaw(yaw: float) -> np.ndarray:
    """Returns the rotation [3, 3] of a tool that points down, turned by yaw about z."""
    c, s = np.cos(yaw), np.sin(yaw)
    return np.array([[c, -s, 0.0], [-s, -c, 0.0], [0.0, 0.0, -1.0]])


def place_tool(
    model: mujoco.MjModel,
    data: mujoco.MjData,
    scene: scene_lib.Scene,
    position: np.ndarray,
    yaw: float,
) -> None:
    """Sets the arm's joints (damped least squares from the nullspace posture).

    Of the redundant arm's solutions it takes the one nearest to the middle of the
    joints' ranges, as in the reference: agents that were trained there see joint
    angles.

    Args:
      position: position of the pinch site, [3] m, world frame.
      yaw: angle about the tool's z, which points down, rad.

    Raises:
      InitializationError: the arm does not reach the pose.
    """
    target = _down_with_yaw(yaw)
    low, high = model.jnt_range[scene.arm_joints].T
    joints = data.qpos[scene.arm_qpos]  # a view
    joints[:] = controller.NULLSPACE_POSTURE
    jacobian = np.zeros((6, model.nv))
    factor, solution = np.zeros((6, 6)), np.zeros(6)
    for _ in range(_IK_MAX_STEPS):
        mujoco.mj_kinematics(model, data)
        mujoco.mj_comPos(model, data)
        rotation = data.site_xmat[scene.pinch_site].reshape(3, 3)
        error = np.concatenate(
            [
                position - data.site_xpos[scene.pinch_site],
                0.5 * np.cross(rotation.T, target.T).sum(0),
            ]
        )
        mujoco.mj_jacSite(model, data, jacobian[:3], jacobian[3:], scene.pinch_site)
        j = jacobian[:, scene.arm_dof]
        # Centres the joints by half, as far as the tool stays, and moves the tool to
        # its target.
        centring = 0.5 * (0.5 * (low + high) - joints)
        factor[:] = j @ j.T + _IK_DAMPING * np.eye(6)
        mujoco.mju_cholFactor(factor, 0.0)
        mujoco.mju_cholSolve(solution, factor, error - j @ centring)
        step = centring + j.T @ solution
        if np.abs(error).max() < 1e-5 and np.abs(step).max() < 1e-3:
            break
        joints += step * min(1.0, 0.5 / np.abs(step).max())
    else:
        raise InitializationError(
            f"no joint angles for the tool pose {position}, {yaw}"
        )
    if not np.all((joints > low) & (joints < high)):
        raise InitializationError(f"joint limits exclude the tool pose {position}")
    data.act[scene.arm_act] = data.qpos[scene.arm_qpos]


def drop_objects(
    model: mujoco.MjModel,
    data: mujoco.MjData,
    scene: scene_lib.Scene,
    rng: np.random.Generator,
) -> None:
    """Drops the three objects into the basket and lets them come to rest.

    Raises:
      InitializationError: many draws fail to bring the objects to rest in the basket.
    """
    hold = data.qpos[: scene.object_qpos[0]].copy()
    for _ in range(_MAX_DRAWS):
        data.qvel[:] = 0.0
        data.qpos[: len(hold)] = hold
        if not _scatter(model, data, scene, rng):
            continue
        _settle(model, data, scene)
        positions = data.qpos[scene.object_position]
        offset = np.abs(positions[:, :2] - scene_lib.BASKET_CENTRE).max()
        if offset < _INSIDE and np.all(positions[:, 2] > scene_lib.BASKET_HEIGHT):
            data.qpos[: len(hold)] = hold
            data.qvel[:] = 0.0
            return
    raise InitializationError("the objects did not come to rest inside the basket")


def _scatter(
    model: mujoco.MjModel,
    data: mujoco.MjData,
    scene: scene_lib.Scene,
    rng: np.random.Generator,
) -> bool:
    """Draws poses of the objects; returns False if two objects touch."""
    # Moves all away first, so that each is compared only with those already placed.
    for i in range(len(observations.COLORS)):
        data.qpos[scene.object_qpos[i] : scene.object_qpos[i] + 3] = [5.0 + i, 0, 5.0]
    for i, address in enumerate(scene.object_qpos):
        for _ in range(20):
            quaternion = rng.normal(size=4)
            data.qpos[address : address + 3] = rng.uniform(OBJECT_LOW, OBJECT_HIGH)
            data.qpos[address + 3 : address + 7] = quaternion / np.linalg.norm(
                quaternion
            )
            mujoco.mj_kinematics(model, data)
            mujoco.mj_comPos(model, data)
            mujoco.mj_collision(model, data)
            owners = scene.geom_owner[data.contact.geom]
            if not np.any(owners == i):
                break
        else:
            return False
    return True


def _settle(model: mujoco.MjModel, data: mujoco.MjData, scene: scene_lib.Scene) -> None:
    """Steps until the objects rest, while the arm holds its set points.

    Several contacts between two meshes are enabled: on a single contact, which jumps
    from corner to corner, an object never rests.
    """
    option = model.opt
    before = option.timestep, option.noslip_iterations, option.disableflags
    option.timestep, option.noslip_iterations = _SETTLE_TIMESTEP, 0
    option.disableflags &= ~int(mujoco.mjtDisableBit.mjDSBL_MULTICCD)
    data.ctrl[:] = 0.0
    try:
        steps = round(_SETTLE_MAX_SECONDS / _SETTLE_TIMESTEP / _SETTLE_CHUNK)
        for _ in range(steps):
            positions = data.qpos[scene.object_position]
            mujoco.mj_step(model, data, nstep=_SETTLE_CHUNK)
            moved = np.abs(data.qpos[scene.object_position] - positions).max()
            speed = np.abs(data.qvel[scene.object_dof[0] :]).max()
            if moved < _SETTLE_MAX_MOVE and speed < _SETTLE_MAX_VELOCITY:
                break
    finally:
        option.timestep, option.noslip_iterations, option.disableflags = before
