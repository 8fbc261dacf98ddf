"""Controller from an agent's action to the actuators: Cartesian 4D velocity, fingers.

The action is five numbers in [-1, 1]: velocity of the tool along x, y, z and about z,
and the fingers. The tool keeps pointing down and stays in the workspace, and its
velocity is mapped to joint velocities. The rules follow the reference cell's 4D
effector, and the mapping follows dm_robotics' `Cartesian6dToJointVelocityMapper`.
"""

from __future__ import annotations

import math
from typing import Any

import numba
import numpy as np

from environments import scene as scene_lib
from environments.rendering import mujoco

ACTION_SIZE = 5
_ACTION_SLACK = 1e-5  # float32 rounding
MAX_LINEAR_VELOCITY = 0.07  # m/s
MAX_ANGULAR_VELOCITY = 1.0  # rad/s
MAX_FINGER_SPEED = 255.0  # tics/s
WRIST_RANGE = (-np.pi / 2, np.pi / 2)  # rad, of the last arm joint

# Posture that the nullspace control pulls the redundant arm towards, rad.
NULLSPACE_POSTURE = np.array(
    [
        0.0,
        -0.5186220703125,
        -0.529384765625,
        1.220857421875,
        0.40857421875,
        1.07831640625,
        0.0,
    ]
)
JOINT_VELOCITY_LIMITS = np.array(
    [1.74, 1.328, 1.957, 1.957, 3.485, 3.485, 4.545]
)  # rad/s
JOINT_MARGIN = 0.01  # rad, distance kept from the ends of a joint's range
JOINT_LIMIT_GAIN = 0.95 / scene_lib.CONTROL_TIMESTEP  # 1/s
REGULARIZATION = 1e-2
# Weight of the nullspace's task against the tool's. The tool's error that it causes is
# about dm_robotics' slack, 1e-4 m/s or rad/s.
NULLSPACE_WEIGHT = 1e-5
_NULLSPACE_GAIN = 0.025 / scene_lib.CONTROL_TIMESTEP  # 1/s
_WRIST_JOINT = 6
_DOWNWARD_GAIN = 0.8  # 1/s, how fast a tilt of the tool is corrected.


@numba.njit(cache=True)
def _clip(action: np.ndarray, limit: float) -> bool:
    """Clips an action to [-1, 1]; returns False, without change, beyond the limit."""
    for value in action:
        if not abs(value) <= limit:  # also for NaN
            return False
    for i in range(len(action)):
        action[i] = min(max(action[i], -1.0), 1.0)
    return True


def checked(action: Any) -> np.ndarray:
    """Returns an action as a new array, float64 [5] in [-1, 1].

    Raises:
      ValueError: the action has another shape, is not finite, or is outside [-1, 1] by
        more than rounding.
    """
    action = np.array(action, dtype=np.float64)
    if action.shape != (ACTION_SIZE,):
        raise ValueError(f"action has shape {action.shape}; valid: ({ACTION_SIZE},)")
    if not _clip(action, 1.0 + _ACTION_SLACK):
        raise ValueError(f"action {action.tolist()} is not finite and in [-1, 1]")
    return action


@numba.njit(cache=True)
def _solve_programs(
    jacobian: np.ndarray, twist: np.ndarray, bias: np.ndarray, bounds: np.ndarray
) -> tuple[bool, np.ndarray]:
    """Solves both programs of `JointVelocityMapper` without the bounds.

    Returns:
      Whether both solutions are within the bounds, so that they solve the programs; and
      the second solution, [7].
    """
    size = jacobian.shape[1]
    hessian = np.empty((size, size))  # lower triangle of the tool's task
    for i in range(size):
        for j in range(i + 1):
            total = 0.0
            for k in range(6):
                total += jacobian[k, i] * jacobian[k, j]
            hessian[i, j] = total
    solution = np.zeros(size)
    factor = np.empty((size, size))
    right = np.empty(size)
    for program in range(2):
        diagonal = REGULARIZATION if program == 0 else NULLSPACE_WEIGHT
        for i in range(size):
            if program == 0:
                total = 0.0
                for k in range(6):
                    total += jacobian[k, i] * twist[k]
            else:
                total = NULLSPACE_WEIGHT * min(max(bias[i], bounds[0, i]), bounds[1, i])
                for k in range(size):
                    total += solution[k] * (hessian[i, k] if k <= i else hessian[k, i])
            right[i] = total
        # Cholesky's factorisation, then both triangles.
        for i in range(size):
            for j in range(i + 1):
                total = hessian[i, j]
                if i == j:
                    total += diagonal
                for k in range(j):
                    total -= factor[i, k] * factor[j, k]
                factor[i, j] = math.sqrt(total) if i == j else total / factor[j, j]
        for i in range(size):
            for k in range(i):
                right[i] -= factor[i, k] * right[k]
            right[i] /= factor[i, i]
        for i in range(size - 1, -1, -1):
            for k in range(i + 1, size):
                right[i] -= factor[k, i] * right[k]
            right[i] /= factor[i, i]
        for i in range(size):
            solution[i] = right[i]
            # Also false for NaN.
            if not bounds[0, i] <= right[i] <= bounds[1, i]:
                return False, solution
    return True, solution


@numba.njit(cache=True)
def _bounds(joints: np.ndarray, ranges: np.ndarray) -> np.ndarray:
    """Returns joint velocity bounds [2, 7]; see `JointVelocityMapper.bounds`."""
    bounds = np.empty((2, len(joints)))
    for i in range(len(joints)):
        limit = JOINT_VELOCITY_LIMITS[i]
        low = (ranges[i, 0] + JOINT_MARGIN - joints[i]) * JOINT_LIMIT_GAIN
        high = (ranges[i, 1] - JOINT_MARGIN - joints[i]) * JOINT_LIMIT_GAIN
        bounds[0, i] = min(max(low, -limit), 0.0)
        bounds[1, i] = max(min(high, limit), 0.0)
    return bounds


class JointVelocityMapper:
    """Map from a tool's velocity to joint velocities within the joints' bounds.

    The first program finds the joint velocities q' that minimise |J q' - v|^2 +
    regularisation |q'|^2. The second finds, among those that move the tool alike, the
    velocities closest to a bias. Both are quadratic programs with a box, solved in
    closed form where no bound is reached, else exactly by MuJoCo's `mju_boxQP`. The box
    holds the joints' velocity limits, and slows a joint down before its range ends.
    """

    def __init__(self, joint_ranges: np.ndarray) -> None:
        """Takes the joints' lowest and highest angles, `joint_ranges` [7, 2], rad."""
        self._ranges = np.ascontiguousarray(joint_ranges)

    def bounds(self, joints: np.ndarray) -> np.ndarray:
        """Returns lowest and highest joint velocities [2, 7] at angles [7], rad/s.

        A joint beyond an end of its range cannot move further out.
        """
        return _bounds(joints, self._ranges)

    def __call__(
        self,
        jacobian: np.ndarray,
        joints: np.ndarray,
        twist: np.ndarray,
        bias: np.ndarray,
    ) -> np.ndarray | None:
        """Solves both programs.

        Args:
          jacobian: [6, 7], of the tool's linear and angular velocity.
          joints: [7], joint angles, rad.
          twist: [6], velocity of the tool, m/s and rad/s.
          bias: [7], rad/s; clipped to the bounds.

        Returns:
          Joint velocities [7], rad/s; None where there is no solution.
        """
        bounds = _bounds(joints, self._ranges)
        free, solution = _solve_programs(jacobian, twist, bias, bounds)
        return solution if free else _solve_boxed(jacobian, twist, bias, bounds)


def _solve_boxed(
    jacobian: np.ndarray, twist: np.ndarray, bias: np.ndarray, bounds: np.ndarray
) -> np.ndarray | None:
    """Solves both programs of `JointVelocityMapper` within the bounds [2, 7]."""
    size = jacobian.shape[1]
    low, high = bounds
    tool = jacobian.T @ jacobian
    solution, factor = np.zeros(size), np.zeros((size, size + 7))

    def solve(diagonal: float, gradient: np.ndarray) -> bool:
        hessian = tool + diagonal * np.eye(size)
        rank = mujoco.mju_boxQP(solution, factor, None, hessian, gradient, low, high)
        return rank >= 0

    if not solve(REGULARIZATION, -(twist @ jacobian)):
        return None
    # The second program, scaled by its weight, starts from the first solution.
    gradient = -NULLSPACE_WEIGHT * np.clip(bias, low, high) - tool @ solution
    return solution if solve(NULLSPACE_WEIGHT, gradient) else None


@numba.njit(cache=True)
def _twist(
    action: np.ndarray,
    pinch: np.ndarray,
    wrist: float,
    rotation: np.ndarray,
    limits: np.ndarray,
) -> np.ndarray:
    """Returns the wrist's velocity [6] for an action: world frame, m/s and rad/s.

    Args:
      action: [5] in [-1, 1].
      pinch: [3], position of the tool, m. wrist: angle of the last arm joint, rad.
      rotation: [9], rotation matrix of the wrist, by rows.
      limits: [4, 3], lowest state, highest state and speed of x, y, z and wrist.
    """
    command = np.empty(4)
    for i in range(4):
        # The wrist's state is the joint's negative: a positive command lowers the
        # angle.
        state = pinch[i] if i < 3 else -wrist
        u = action[i]
        out = (state < limits[i, 0] and u < 0) or (state > limits[i, 1] and u > 0)
        command[i] = 0.0 if out else u * limits[i, 2]
    # The wrist's z axis should be the world's -z; in the wrist's frame the shortest
    # turn there has no component about z, which is left to the command.
    down_x, down_y, down_z = -rotation[6], -rotation[7], -rotation[8]
    sine = math.hypot(down_x, down_y)
    gain = 0.0
    if sine > 1e-9:
        gain = _DOWNWARD_GAIN * math.atan2(sine, down_z) / sine
    # The turn is about z x down. The wrist's z points down, so the command changes
    # sign.
    turn_x, turn_y, turn_z = -gain * down_y, gain * down_x, -command[3]
    twist = np.empty(6)
    for i in range(3):
        twist[i] = command[i]
        twist[3 + i] = (
            rotation[3 * i] * turn_x
            + rotation[3 * i + 1] * turn_y
            + rotation[3 * i + 2] * turn_z
        )
    for start, limit in ((0, MAX_LINEAR_VELOCITY), (3, MAX_ANGULAR_VELOCITY)):
        part = twist[start : start + 3]
        norm = math.sqrt(part[0] ** 2 + part[1] ** 2 + part[2] ** 2)
        if norm > limit:
            for i in range(3):
                part[i] *= limit / norm
    return twist


@numba.njit(cache=True)
def _command(
    action: np.ndarray,
    pinch: np.ndarray,
    joints: np.ndarray,
    rotation: np.ndarray,
    jacobian: np.ndarray,
    limits: np.ndarray,
    ranges: np.ndarray,
) -> tuple[bool, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Computes a control step's joint velocities in one call.

    Returns:
      Whether no bound is reached; the joint velocities [7], valid if so; and twist [6],
      bias [7] and bounds [2, 7] for a boxed solution.
    """
    twist = _twist(action, pinch, joints[_WRIST_JOINT], rotation, limits)
    bias = _NULLSPACE_GAIN * (NULLSPACE_POSTURE - joints)
    bounds = _bounds(joints, ranges)
    free, velocities = _solve_programs(jacobian, twist, bias, bounds)
    return free, velocities, twist, bias, bounds


class CartesianController:
    """Controller that sets `data.ctrl` from a normalised action.

    Attributes:
      failures: number of control steps without a solution for the joint velocities, in
        which the arm stands still.
    """

    def __init__(
        self, model: mujoco.MjModel, data: mujoco.MjData, scene: scene_lib.Scene
    ) -> None:
        """Takes the simulation to control."""
        self._model, self._data, self._site = model, data, scene.wrist_site
        jacobian = np.zeros((6, model.nv))
        self._linear, self._angular = jacobian[:3], jacobian[3:]
        half = scene_lib.WORKSPACE_SIZE / 2
        limits = np.zeros((4, 3))
        limits[:3, 0] = scene_lib.WORKSPACE_CENTRE - half
        limits[:3, 1] = scene_lib.WORKSPACE_CENTRE + half
        limits[:3, 2] = MAX_LINEAR_VELOCITY
        limits[3] = -WRIST_RANGE[1], -WRIST_RANGE[0], MAX_ANGULAR_VELOCITY
        # Views of MuJoCo's arrays, whose memory stays where it is.
        self._inputs = (
            data.site_xpos[scene.pinch_site],
            data.qpos[scene.arm_qpos],
            data.site_xmat[scene.wrist_site],
            jacobian[:, scene.arm_dof],
            limits,
            np.ascontiguousarray(model.jnt_range[scene.arm_joints]),
        )
        self._arm_ctrl = data.ctrl[scene.arm_ctrl]
        self._finger_ctrl = data.ctrl[scene.finger_ctrl : scene.finger_ctrl + 1]
        self.failures = 0

    def apply(self, action: np.ndarray) -> None:
        """Writes the actuators' commands for one control step.

        Positions must be up to date: `mj_step1` or `mj_forward` has run.

        Args:
          action: float64 [5] in [-1, 1].
        """
        mujoco.mj_jacSite(
            self._model, self._data, self._linear, self._angular, self._site
        )
        free, velocities, twist, bias, bounds = _command(action, *self._inputs)
        if not free:
            jacobian = self._inputs[3]
            velocities = _solve_boxed(jacobian, twist, bias, bounds)
            if velocities is None:
                self.failures += 1
                velocities = np.zeros(scene_lib.NUM_ARM_JOINTS)
        self._arm_ctrl[:] = velocities
        # Bang-bang control: the sign selects full closing or full opening.
        self._finger_ctrl[0] = MAX_FINGER_SPEED if action[4] > 0 else -MAX_FINGER_SPEED
