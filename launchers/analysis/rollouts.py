"""Rollouts that hold one skill for a whole episode, as in figure 3a of the paper.

Shape letters: T control steps, Z latent, F frames, H height, W width.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable

import numpy as np
import tensorflow as tf

import environments
from agents.offline.frozen import Observation
from environments import objects, observations, scene, sensors
from environments.rendering import RenderingUnavailable
from environments.stacking import RgbStacking
from launchers.analysis import models

FRAME_EVERY = 2  # control steps per frame
FRAMES_PER_SECOND = round(1 / (FRAME_EVERY * scene.CONTROL_TIMESTEP))
_HEIGHT, _WIDTH = 240, 320


@dataclasses.dataclass(frozen=True)
class Job:
    """Settings of one rollout; picklable.

    Attributes:
      bundle: directory of the skills.
      object_set: as in `environments.make`.
      skill: number of the skill to hold.
      seed: seed of the initial state and of the draws of z.
      steps: number of control steps.
      sample: whether z is drawn from the mid level instead of its mean.
      film: whether to keep images.
    """

    bundle: str
    object_set: objects.ObjectSet
    skill: int
    seed: int
    steps: int
    sample: bool
    film: bool


@dataclasses.dataclass(frozen=True)
class Rollout:
    """A rollout of one skill from one initial state.

    Attributes:
      skill, seed: those of the job.
      pinch: [T+1, 3] m, position of the tool.
      objects: [T+1, 3, 3] m, positions of red, green, blue.
      fingers: [T+1] from 0 (open) to 1 (closed).
      grasps: bool [T+1], the hand's grasp flag while the fingers close.
      latents: [T, Z] z.
      latent_means, latent_stddevs: [T, Z], the parameters of its distribution.
      frames: uint8 [F, H, W, 3]; every second step, none where nothing was filmed.
      no_frames: why rendering failed, if frames were asked for; "" otherwise.
    """

    skill: int
    seed: int
    pinch: np.ndarray
    objects: np.ndarray
    fingers: np.ndarray
    grasps: np.ndarray
    latents: np.ndarray
    latent_means: np.ndarray
    latent_stddevs: np.ndarray
    frames: np.ndarray
    no_frames: str = ""


def run(job: Job) -> Rollout:
    """Runs a job; caches the environment and compiled skills in the process."""
    environment, decide = _runner(job.bundle, job.object_set)
    colors = environment.task.colors(models.object_order(models.load(job.bundle)))
    environment.seed_episode(job.seed)
    timestep = environment.reset()
    states, latents, camera = [environment.state()], [], _Camera(environment, job.film)
    for step in range(job.steps):
        camera.see(step)
        grouped = observations.group(timestep.observation, colors)
        action, *latent = decide(
            tf.constant(job.skill),
            {key: tf.constant(value) for key, value in grouped.items()},
            tf.constant([job.seed, step], tf.int32),
            tf.constant(job.sample),
        )
        timestep = environment.step(action.numpy())
        states.append(environment.state())
        latents.append([part.numpy() for part in latent])
        if timestep.last():
            break
    camera.see(len(latents))
    drawn, means, stddevs = (np.stack(part) for part in zip(*latents, strict=True))
    return Rollout(
        skill=job.skill,
        seed=job.seed,
        pinch=np.stack([s.pinch for s in states]),
        objects=np.stack([[s.objects[c] for c in observations.COLORS] for s in states]),
        fingers=np.array([s.finger / sensors.FULL_TICS for s in states]),
        grasps=np.array([s.grasp == sensors.INWARD_GRASP for s in states]),
        latents=drawn,
        latent_means=means,
        latent_stddevs=stddevs,
        frames=camera.frames(),
        no_frames=camera.problem,
    )


@functools.lru_cache(maxsize=1)
def _runner(
    bundle: str, object_set: objects.ObjectSet
) -> tuple[RgbStacking, Callable[..., tuple[tf.Tensor, ...]]]:
    skills = models.load(bundle)
    environment = environments.make(object_set=object_set, seed=0)

    @functools.partial(tf.function, autograph=False)
    def decide(
        skill: tf.Tensor, observation: Observation, seed: tf.Tensor, sample: tf.Tensor
    ) -> tuple[tf.Tensor, ...]:
        mean, stddev = skills.mid_level(observation)  # [K, Z]
        mean, stddev = mean[skill], stddev[skill]
        noise = tf.random.stateless_normal(tf.shape(mean), seed)
        latent = mean + tf.cast(sample, tf.float32) * stddev * noise
        action = skills.low_level(latent, observation)
        return tf.clip_by_value(action, -1.0, 1.0), latent, mean, stddev

    return environment, decide


class _Camera:
    """Recorder of every second image, while rendering works."""

    def __init__(self, environment: RgbStacking, film: bool) -> None:
        self._environment = environment
        self._film = film
        self._frames: list[np.ndarray] = []
        self.problem = ""

    def see(self, step: int) -> None:
        if not self._film or self.problem or step % FRAME_EVERY:
            return
        try:
            self._frames.append(self._environment.render(_HEIGHT, _WIDTH))
        except RenderingUnavailable as e:
            self.problem = str(e)

    def frames(self) -> np.ndarray:
        none = np.zeros((0, _HEIGHT, _WIDTH, 3), np.uint8)
        return np.stack(self._frames) if self._frames else none
