"""RGB-stacking environment: a `dm_env.Environment` on plain MuJoCo."""

from __future__ import annotations

import collections
import math

import dm_env
import numba
import numpy as np
from dm_env import specs

from environments import (
    cameras,
    contacts,
    controller,
    initializers,
    objects,
    observations,
    rewards,
)
from environments import scene as scene_lib
from environments.config import EnvironmentConfig
from environments.noise import NoiseSequence
from environments.randomization import Randomizer
from environments.rendering import mujoco
from environments.sensors import FINGER_VELOCITY_INTERVAL, Sensors
from environments.tasks import TASKS, Task

EPISODE_STEPS = 400

_NOISE_STREAM = 1
_NO_SENSORS = int(mujoco.mjtDisableBit.mjDSBL_SENSOR)


# Indices in a frame of the values that rewards need besides the objects.
_STATE = np.array(
    [
        *np.r_[observations.LAYOUT["sawyer/pinch/pose"]][:3],
        observations.LAYOUT["gripper/joints/angle"].start,
        observations.LAYOUT["gripper/grasp"].start,
    ]
)


@numba.njit(cache=True)
def _is_sound(qpos: np.ndarray, qvel: np.ndarray, warnings: np.ndarray) -> bool:
    """Returns whether MuJoCo has no warnings and all numbers are finite.

    MuJoCo itself warns of bad numbers; the sums are a second check.
    """
    return warnings.sum() == 0 and math.isfinite(qpos.sum() + qvel.sum())


class RgbStacking(dm_env.Environment):
    """Environment of a Sawyer arm with three objects: 400 control steps of 0.05 s.

    The action is [5] in [-1, 1]: tool velocity along x, y, z (times 0.07 m/s), about z
    (times 1 rad/s), and the fingers (above 0 closes, else opens). Observations are
    those of `observations`; images of cameras are uint8 [H, W, 3], named `NAME/pixels`.

    An episode ends at the time limit with discount 1. If the simulation diverges, it
    ends at once with discount 0 and the last good observation; `divergences` counts
    these.
    """

    def __init__(
        self,
        model: mujoco.MjModel,
        config: EnvironmentConfig,
        seed: int | None = None,
    ) -> None:
        """Takes over a model compiled for `config`, which randomisation changes."""
        self._model = model
        self._data = mujoco.MjData(model)
        self._warnings = self._data.warning.number  # a view
        self._scene = scene_lib.Scene(model)
        self._task = self._next_task = TASKS[config.task]
        self._config = config
        self._cameras = config.image_cameras
        self._substeps = scene_lib.substeps(model.opt.timestep)
        self._finger_substeps = max(
            1, round(FINGER_VELOCITY_INTERVAL / model.opt.timestep)
        )
        self._controller = controller.CartesianController(
            model, self._data, self._scene
        )
        self._sensors = Sensors(model, self._data, self._scene)
        self._objects = objects.ObjectSlots(model)
        self._object_set = config.object_set
        self._randomizer = None
        self._randomization = config.randomization
        if self._randomization is not None:
            self._randomizer = Randomizer(
                model, self._scene, self._objects, self._randomization
            )
        self._noise: NoiseSequence | None = None  # of this episode
        self._views = cameras.Views(self._objects)
        self._images: dict[str, np.ndarray] = {}
        self._seeds = np.random.default_rng(seed)
        self._episode_seed: int | None = None
        self._info: dict[str, float | int | str] = {}
        self._step = -1  # -1: the next call must be a reset
        self._measured = np.zeros(observations.FRAME_SIZE)  # without noise
        # The last frames, newest first, as observed.
        self._frames = np.zeros(
            (observations.STACK, observations.FRAME_SIZE), np.float32
        )
        self._delayed: collections.deque[np.ndarray] = collections.deque()
        self.divergences = 0
        # Weight of every robot body, which is compensated as in the real arm.
        self._weight = np.zeros((model.nbody, 6))
        robot = self._scene.robot_bodies
        self._weight[robot, :3] = -model.opt.gravity * model.body_mass[robot, None]

    # Methods of dm_env.

    def action_spec(self) -> specs.BoundedArray:
        """Returns the spec of an action, [5] float32 in [-1, 1]."""
        return specs.BoundedArray(
            (controller.ACTION_SIZE,), np.float32, -1.0, 1.0, name="action"
        )

    def observation_spec(self) -> dict[str, specs.Array]:
        """Returns the specs of the observations by name."""
        if self._config.grouped:
            spec = observations.group_specs()
        else:
            names = (*observations.FRAME_SIZES, observations.PREVIOUS_ACTION)
            spec = {
                name: specs.Array(
                    observations.shape(name), observations.dtype(name), name=name
                )
                for name in names
            }
        for camera in self._cameras:
            name = f"{camera}/pixels"
            shape = (*self._config.image_size, 3)
            spec[name] = specs.BoundedArray(shape, np.uint8, 0, 255, name=name)
        return spec

    def reward_spec(self) -> specs.Array:
        """Returns the spec of the reward, a scalar float32 in [0, 1]."""
        return specs.BoundedArray((), np.float32, 0.0, 1.0, name="reward")

    def reset(self) -> dm_env.TimeStep:
        """Starts an episode: draws physics, delay, tool and objects anew."""
        seed = self._episode_seed
        if seed is None:
            seed = int(self._seeds.integers(2**31))
        self._episode_seed = None
        self._task = self._next_task
        self._step = -1  # until the end, so that a failed reset must be repeated
        rng = np.random.default_rng(seed)
        randomization = self._randomization
        if randomization is not None and not randomization.noise.is_off:
            # A separate stream, so that noise changes nothing else of an episode.
            stream = np.random.default_rng((seed, _NOISE_STREAM))
            self._noise = randomization.noise.draw(stream, EPISODE_STEPS + 1)
        self._info = {"seed": seed}
        ids = objects.triplet(self._object_set, rng)
        if ids != self._objects.ids:
            self._objects.write(ids)
        for color, object_id in zip(observations.COLORS, ids, strict=True):
            self._info[f"object_{color}"] = object_id
        if self._randomizer is not None:
            self._info.update(self._randomizer.draw(rng))
        delay = int(rng.integers(self._config.max_action_delay + 1))
        self._info["action_delay"] = delay
        still = np.zeros(controller.ACTION_SIZE)
        self._delayed = collections.deque([still] * delay)

        model, data = self._model, self._data
        mujoco.mj_resetData(model, data)
        data.xfrc_applied[:] = self._weight
        if self._randomizer is not None:
            carried = self._randomizer.gravity_compensation
            data.xfrc_applied *= carried[:, None]
        tool = rng.uniform(initializers.TOOL_LOW, initializers.TOOL_HIGH)
        initializers.place_tool(model, data, self._scene, tool[:3], tool[3])
        initializers.drop_objects(model, data, self._scene, rng)
        data.act[self._scene.finger_act] = 0.0
        data.qacc_warmstart[:] = 0.0
        data.time = 0.0
        mujoco.mj_forward(model, data)
        self._warnings[:] = 0
        self._sensors.note_finger()
        self._step = 0
        # As in the reference, the first "previous" action is what a zero action sends.
        self._controller.apply(still)
        self._observe(data.ctrl)
        self._frames[:] = self._frames[0]
        return dm_env.restart(self._observation())

    def step(self, action: np.ndarray) -> dm_env.TimeStep:
        """Advances 0.05 s.

        Raises:
          ValueError: the action has another shape, is not finite, or is outside
            [-1, 1].
        """
        if self._step < 0:
            return self.reset()
        action = controller.checked(action)
        self._delayed.append(action)
        data = self._data
        self._controller.apply(self._delayed.popleft())
        self._advance()
        self._step += 1
        if not _is_sound(data.qpos, data.qvel, self._warnings):
            self.divergences += 1
            self._info["diverged"] = 1
            self._step = -1
            return dm_env.termination(np.float32(0.0), self._observation())
        self._observe(data.ctrl)
        reward = np.float32(self._task.reward(self._config.reward, self._look()))
        if self._step >= EPISODE_STEPS:
            self._step = -1
            return dm_env.truncation(reward, self._observation())
        return dm_env.transition(reward, self._observation())

    def close(self) -> None:
        """Frees the OpenGL contexts, if any."""
        self._views.close()

    # Methods that dm_env does not have.

    def seed_episode(self, seed: int) -> None:
        """Sets the seed from which the next `reset` draws everything."""
        self._episode_seed = int(seed)

    def set_objects(self, object_set: objects.ObjectSet) -> None:
        """Changes the objects from the next reset on; rebuilds nothing.

        Args:
          object_set: 1 to 5, "random", or the ids of red, green and blue, such as
            ("s0", "g5", "b6").

        Raises:
          ValueError: the set or an object does not exist.
        """
        objects.check(object_set)
        self._object_set = object_set

    def set_task(self, name: str) -> None:
        """Changes the task from the next reset on; changes nothing else.

        Raises:
          ValueError: the task does not exist.
        """
        scene_lib.one_of("task", name, TASKS)
        self._next_task = TASKS[name]

    @property
    def needs_reset(self) -> bool:
        """Whether no episode runs, so that the next `step` starts one."""
        return self._step < 0

    def episode_info(self) -> dict[str, float | int | str]:
        """Returns the draws of this episode: seed, delay, objects, physics."""
        return dict(self._info)

    def stage_rewards(self) -> list[float]:
        """Returns the present rewards of the task's stages in order, each in [0, 1]."""
        return self._task.stages(self.state())

    def success(self) -> bool:
        """Returns whether the task's goal is reached now; `tasks` defines the goals."""
        if self._info.get("diverged"):
            return False
        return self._task.success(self.state(with_contacts=True))

    def state(self, with_contacts: bool = False) -> rewards.State:
        """Returns the state that rewards and experts see; success needs contacts."""
        seen = self._look()
        touching = None
        if with_contacts:
            touching = contacts.find(self._model, self._data, self._scene)
        return seen._replace(
            pinch=np.array(seen.pinch),
            objects={color: np.array(place) for color, place in seen.objects.items()},
            contacts=touching,
        )

    @property
    def task(self) -> Task:
        """Task of this episode."""
        return self._task

    @property
    def controller_failures(self) -> int:
        """Number of control steps in which the arm stood still without a solution."""
        return self._controller.failures

    @property
    def physics(self) -> tuple[mujoco.MjModel, mujoco.MjData]:
        """Model and data of the simulation, which has no visual meshes."""
        return self._model, self._data

    def visible(self) -> tuple[mujoco.MjModel, mujoco.MjData]:
        """Returns a model with all meshes and its data, at the present positions.

        Every call returns the same two objects; the next call or image updates them.
        """
        return self._views.update(self._data)

    @property
    def scene(self) -> scene_lib.Scene:
        """Addresses in the model."""
        return self._scene

    def render(
        self, height: int = 240, width: int = 320, camera: str = scene_lib.MAIN_CAMERA
    ) -> np.ndarray:
        """Returns a view, uint8 [H, W, 3].

        Raises:
          RenderingUnavailable: no OpenGL library can be loaded.
          ValueError: the camera does not exist, or the size is not valid.
        """
        return self._views.render(self._data, camera, (height, width), coarse=False)

    # Implementation.

    def _look(self) -> rewards.State:
        """Returns the state in plain floats, without contacts."""
        values = self._measured.take(_STATE).tolist()
        positions = self._data.qpos.take(self._scene.object_position).tolist()
        return rewards.State(
            pinch=values[:3],
            objects=dict(zip(observations.COLORS, positions, strict=True)),
            finger=values[3],
            grasp=int(values[4]),
        )

    def _advance(self) -> None:
        """Integrates a control step and updates positions, velocities and contacts.

        The last control step, or the reset, has computed these for the first substep.
        Sensors do not affect the motion, so only those of the last substep are
        computed.
        """
        model, data, option = self._model, self._data, self._model.opt
        flags = option.disableflags
        option.disableflags = flags | _NO_SENSORS
        late = self._finger_substeps
        mujoco.mj_step2(model, data)
        mujoco.mj_step(model, data, nstep=self._substeps - late - 1)
        self._sensors.note_finger()
        mujoco.mj_step(model, data, nstep=late - 1)
        option.disableflags = flags
        mujoco.mj_step(model, data)
        mujoco.mj_step1(model, data)

    def _observe(self, sent: np.ndarray) -> None:
        """Pushes a new frame onto the stacks and draws the images."""
        frame = self._measured = self._sensors.measure(sent)
        if self._noise is not None:
            frame = self._noise.apply(frame)
        observations.push(self._frames, frame)
        if not self._cameras:
            return
        size = self._config.image_size
        self._images = {
            f"{camera}/pixels": self._views.render(self._data, camera, size, True)
            for camera in self._cameras
        }

    def _observation(self) -> dict[str, np.ndarray]:
        if self._config.grouped:
            colors = self._task.colors(self._config.object_order)
            return observations.groups_of_frames(self._frames, colors) | self._images
        return observations.of_frames(self._frames) | self._images
