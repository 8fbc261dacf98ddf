"""Times an environment against bare `mj_step`, for `environment`; defines no flags."""

from __future__ import annotations

import time

import numpy as np

from environments import scene
from environments.rendering import mujoco
from environments.stacking import RgbStacking

_CHUNK = 20  # control steps between two runs of bare mj_step
_BARE = 5  # control steps of each run of bare mj_step


def measure(
    environment: RgbStacking, seconds: float, seed: int = 0
) -> dict[str, float | int]:
    """Runs whole episodes of random actions for about `seconds`.

    Returns:
      Control steps per second and other results, by the names that `main` prints.
    """
    model, data = environment.physics
    bare = mujoco.MjData(model)
    substeps = scene.substeps(model.opt.timestep)
    rng = np.random.default_rng(seed)
    reset_times: list[float] = []
    step_time = bare_time = 0.0
    steps = bare_steps = 0
    clock = time.perf_counter
    environment.reset()  # excludes what is compiled at its first use
    environment.step(rng.uniform(-1, 1, 5))
    end = clock() + seconds
    while clock() < end or not reset_times:
        start = clock()
        timestep = environment.reset()
        reset_times.append(clock() - start)
        while not timestep.last():
            start = clock()
            for _ in range(_CHUNK):
                timestep = environment.step(rng.uniform(-1, 1, 5))
                steps += 1
                if timestep.last():
                    break
            step_time += clock() - start
            # The current state and controls, for mj_step alone.
            bare.qpos[:], bare.qvel[:], bare.act[:] = data.qpos, data.qvel, data.act
            bare.ctrl[:], bare.xfrc_applied[:] = data.ctrl, data.xfrc_applied
            bare.qacc_warmstart[:] = data.qacc_warmstart
            start = clock()
            for _ in range(_BARE):
                mujoco.mj_step(model, bare, nstep=substeps)
                bare_steps += 1
            bare_time += clock() - start
    rate, bare_rate = steps / step_time, bare_steps / bare_time
    return {
        "steps_per_second": steps / (step_time + sum(reset_times)),
        "steps_per_second_without_resets": rate,
        "mj_step_steps_per_second": bare_rate,
        "fraction_outside_mj_step": max(0.0, 1.0 - rate / bare_rate),
        "reset_seconds_mean": float(np.mean(reset_times)),
        "reset_seconds_max": max(reset_times),
        "episodes": len(reset_times),
    }
