"""From an agent's action to the actuators: Cartesian 4D velocity and the fingers.

The action is five numbers in [-1, 1]: velocity of the tool along x, y, z and about z,
and the fingers. The tool keeps pointing down, stays in the workspace, and its velocity
is mapped to joint velocities. What is decided here follows the reference cell's 4D
effector, and the mapping follows dm_robotics' `Cartesian6dToJointVelocityMapper`.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence

import numpy as np

from environments import scene as scene_lib
from environments.rendering import mujoco

ACTION_SIZE = 5
MAX_LINEAR_VELOCITY = 0.07  # m/s
MAX_ANGULAR_VELOCITY = 1.0  # rad/s
MAX_FINGER_SPEED = 255.0  # tics/s
WRIST_RANGE = (-np.pi / 2, np.pi / 2)  # rad, of the last arm joint

# The posture that the arm's redundant joint is drawn to, rad.
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
JOINT_MARGIN = 0.01  # rad, kept from the ends of a joint's range
JOINT_LIMIT_GAIN = 0.95 / scene_lib.CONTROL_TIMESTEP  # 1/s
REGULARIZATION = 1e-2
# Weight of the nullspace's task against the tool's: what it may cost the tool is of the
# size of dm_robotics' slack, 1e-4 m/s or rad/s.
NULLSPACE_WEIGHT = 1e-5
_NULLSPACE_GAIN = 0.025 / scene_lib.CONTROL_TIMESTEP  # 1/s
_WRIST_JOINT = 6
_DOWNWARD_GAIN = 0.8  # 1/s, how fast a tilt of the tool is corrected.


class JointVelocityMapper:
    """Maps a tool's velocity to joint velocities within the joints' bounds.

    First the joint velocities q' that minimise |J q' - v|^2 + regularisation |q'|^2;
    then, of those that move the tool alike, the ones closest to a bias. Both are
    quadratic programs with a box, which MuJoCo's `mju_boxQP` solves exactly. The box
    keeps to the joints' velocity limits, and slows a joint down before its range ends.
    """

    def __init__(self, joint_ranges: np.ndarray) -> None:
        """`joint_ranges` [7, 2] are the joints' lowest and highest angles, rad."""
        size = len(joint_ranges)
        self._low = joint_ranges[:, 0] + JOINT_MARGIN
        self._high = joint_ranges[:, 1] - JOINT_MARGIN
        self._identity = np.eye(size)
        self._regularization = REGULARIZATION * self._identity
        self._factor = np.zeros((size, size + 7))  # `mju_boxQP` works in it
        self._solution = np.zeros(size)

    def bounds(self, joints: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Lowest and highest joint velocities [7] at joint angles [7], rad/s.

        A joint beyond an end of its range does not go further out.
        """
        limits = JOINT_VELOCITY_LIMITS
        low = (self._low - joints) * JOINT_LIMIT_GAIN
        high = (self._high - joints) * JOINT_LIMIT_GAIN
        np.minimum(np.maximum(low, -limits, out=low), 0.0, out=low)
        np.maximum(np.minimum(high, limits, out=high), 0.0, out=high)
        return low, high

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
          joints: [7] rad.
          twist: [6], the tool's velocity, m/s and rad/s.
          bias: [7] rad/s, brought within the bounds.

        Returns:
          [7] rad/s, overwritten by the next call; None where there is no solution.
        """
        low, high = self.bounds(joints)
        bias = np.minimum(np.maximum(bias, low), high)
        tool = jacobian.T @ jacobian
        solution = self._solution
        solution.fill(0.0)
        if not self._solve(tool + self._regularization, -(twist @ jacobian), low, high):
            return None
        # The second program, times its weight; it starts where the first one ended.
        tool_moves = tool @ solution
        hessian = tool + NULLSPACE_WEIGHT * self._identity
        if not self._solve(hessian, -(NULLSPACE_WEIGHT * bias + tool_moves), low, high):
            return None
        return solution

    def _solve(self, hessian, gradient, low, high) -> bool:
        rank = mujoco.mju_boxQP(
            self._solution, self._factor, None, hessian, gradient, low, high
        )
        return rank >= 0


class CartesianController:
    """Sets `data.ctrl` from a normalised action.

    Attributes:
      failures: control steps for which no joint velocities were found; the arm then
        stands still.
    """

    def __init__(self, model: mujoco.MjModel, scene: scene_lib.Scene) -> None:
        self._mapper = JointVelocityMapper(model.jnt_range[scene.arm_joints])
        self._model = model
        self._scene = scene
        self._jacobian = np.zeros((6, model.nv))
        self._arm_jacobian = self._jacobian[:, scene.arm_dof]  # a view
        half = scene_lib.WORKSPACE_SIZE / 2
        # The wrist's state is the joint's negative: a positive command turns it down.
        low = [*(scene_lib.WORKSPACE_CENTRE - half), -WRIST_RANGE[1]]
        high = [*(scene_lib.WORKSPACE_CENTRE + half), -WRIST_RANGE[0]]
        scale = [MAX_LINEAR_VELOCITY] * 3 + [MAX_ANGULAR_VELOCITY]
        self._limits = tuple(zip(low, high, scale, strict=True))
        self.failures = 0

    def apply(self, data: mujoco.MjData, action: Sequence[float]) -> None:
        """Writes the actuators' commands for one control step.

        Args:
          data: with positions up to date (`mj_step1` or `mj_forward` has run).
          action: [5] in [-1, 1].
        """
        position = data.site_xpos[self._scene.pinch_site].tolist()
        state = [*position, -float(data.qpos[_WRIST_JOINT])]
        command = [
            0.0 if (x < low and u < 0) or (x > high and u > 0) else u * scale
            for u, x, (low, high, scale) in zip(
                action, state, self._limits, strict=False
            )
        ]
        data.ctrl[self._scene.arm_ctrl] = self.joint_velocities(data, command)
        # Bang-bang: the sign picks full closing or full opening.
        data.ctrl[self._scene.finger_ctrl] = (
            MAX_FINGER_SPEED if action[4] > 0 else -MAX_FINGER_SPEED
        )

    def joint_velocities(
        self, data: mujoco.MjData, command: Sequence[float]
    ) -> np.ndarray:
        """Maps a velocity [x, y, z m/s, rad/s about z], world frame, to [7] rad/s."""
        # Plain floats: for so few numbers numpy's calls would cost more than the sums.
        rotation = data.site_xmat[self._scene.wrist_site].tolist()  # by rows
        # The wrist's z axis should be the world's -z; in the wrist's frame the shortest
        # turn there has no component about z, which is left to the command.
        down_x, down_y, down_z = (-r for r in rotation[6:])
        sine = math.hypot(down_x, down_y)
        gain = 0.0
        if sine > 1e-9:
            gain = _DOWNWARD_GAIN * math.atan2(sine, down_z) / sine
        # About z x down; the wrist's z points down.
        turn = (-gain * down_y, gain * down_x, -command[3])
        angular = [sum(map(operator.mul, rotation[i : i + 3], turn)) for i in (0, 3, 6)]
        twist = [
            *_limited(command[:3], MAX_LINEAR_VELOCITY),
            *_limited(angular, MAX_ANGULAR_VELOCITY),
        ]
        jacobian = self._jacobian
        mujoco.mj_jacSite(
            self._model, data, jacobian[:3], jacobian[3:], self._scene.wrist_site
        )
        joints = data.qpos[self._scene.arm_qpos]
        bias = _NULLSPACE_GAIN * (NULLSPACE_POSTURE - joints)
        velocities = self._mapper(self._arm_jacobian, joints, np.array(twist), bias)
        if velocities is None:
            self.failures += 1
            return np.zeros(scene_lib.NUM_ARM_JOINTS)
        return velocities


def _limited(vector: Sequence[float], limit: float) -> list[float]:
    """The vector [3], made shorter where it is longer than the limit."""
    norm = math.sqrt(sum(x * x for x in vector))
    scale = limit / norm if norm > limit else 1.0
    return [x * scale for x in vector]
