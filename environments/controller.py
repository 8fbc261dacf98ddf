"""From an agent's action to the actuators: Cartesian 4D velocity and the fingers.

The action is five numbers in [-1, 1]: velocity of the tool along x, y, z and about z,
and the fingers. The tool keeps pointing down, stays in the workspace, and its velocity
is mapped to joint velocities by dm_robotics' QP mapper. What is decided here follows
the reference cell's 4D effector.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence

import numpy as np
from dm_robotics.controllers import cartesian_6d_to_joint_velocity_mapper as mapper

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
_NULLSPACE_POSTURE = NULLSPACE_POSTURE.tolist()
_NULLSPACE_GAIN = 0.025
_WRIST_JOINT = 6
_DOWNWARD_GAIN = 0.8  # 1/s, how fast a tilt of the tool is corrected.
_JOINT_VELOCITY_LIMITS = [1.74, 1.328, 1.957, 1.957, 3.485, 3.485, 4.545]  # rad/s


class CartesianController:
    """Sets `data.ctrl` from a normalised action."""

    def __init__(self, model: mujoco.MjModel, scene: scene_lib.Scene) -> None:
        parameters = mapper.Parameters()
        parameters.model = model
        parameters.joint_ids = scene.arm_joints
        parameters.object_type = mujoco.mjtObj.mjOBJ_SITE
        parameters.object_name = scene.wrist_site_name
        parameters.integration_timestep = scene_lib.CONTROL_TIMESTEP
        parameters.enable_joint_position_limits = True
        parameters.joint_position_limit_velocity_scale = 0.95
        parameters.minimum_distance_from_joint_position_limit = 0.01
        parameters.enable_joint_velocity_limits = True
        parameters.joint_velocity_magnitude_limits = _JOINT_VELOCITY_LIMITS
        parameters.enable_joint_acceleration_limits = False
        parameters.enable_collision_avoidance = False
        parameters.check_solution_validity = True
        parameters.max_cartesian_velocity_control_iterations = 300
        parameters.regularization_weight = 1e-2
        parameters.solution_tolerance = 1e-3
        parameters.enable_nullspace_control = True
        parameters.return_error_on_nullspace_failure = False
        parameters.nullspace_projection_slack = 1e-4
        parameters.max_nullspace_control_iterations = 300
        # Adaptive steps would be faster, but not the same on every run.
        parameters.use_adaptive_step_size = False
        parameters.log_nullspace_failure_warnings = False
        self._mapper = mapper.Mapper(parameters)
        self._model = model
        self._scene = scene
        half = scene_lib.WORKSPACE_SIZE / 2
        # The wrist's state is the joint's negative: a positive command turns it down.
        low = [*(scene_lib.WORKSPACE_CENTRE - half), -WRIST_RANGE[1]]
        high = [*(scene_lib.WORKSPACE_CENTRE + half), -WRIST_RANGE[0]]
        scale = [MAX_LINEAR_VELOCITY] * 3 + [MAX_ANGULAR_VELOCITY]
        self._limits = tuple(zip(low, high, scale, strict=True))
        # Mapper failures (no solution in time); the arm then stands still for a step.
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
    ) -> Sequence[float]:
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
        joints = data.qpos[self._scene.arm_qpos].tolist()
        bias = [
            _NULLSPACE_GAIN * (posture - q) / scene_lib.CONTROL_TIMESTEP
            for posture, q in zip(_NULLSPACE_POSTURE, joints, strict=True)
        ]
        try:
            return self._mapper.compute_joint_velocities(data, twist, bias)
        except KeyboardInterrupt:
            raise
        except Exception:  # The binding raises many kinds where the QP fails.
            self.failures += 1
            return (0.0,) * scene_lib.NUM_ARM_JOINTS


def _limited(vector: Sequence[float], limit: float) -> list[float]:
    """The vector [3], made shorter where it is longer than the limit."""
    norm = math.sqrt(sum(x * x for x in vector))
    scale = limit / norm if norm > limit else 1.0
    return [x * scale for x in vector]
