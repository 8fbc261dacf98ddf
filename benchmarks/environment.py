"""How many control steps a second does one core give, and what takes the time?

    python -m benchmarks.environment [--preset=reference] [--observations=vision]

Bare `mj_step` runs on the same model, from the same states, in turn with the
environment, so that both see the same load of the machine.
"""

from __future__ import annotations

import json
import time

import numpy as np
from absl import flags

import environments
from environments import scene
from environments.rendering import mujoco
from environments.stacking import RgbStacking
from launchers import command

_PRESET = flags.DEFINE_string(
    "preset", scene.DEFAULT_PRESET, f"Physics: {', '.join(scene.PRESETS)}."
)
_PHYSICS = flags.DEFINE_string(
    "physics", "", "Settings over the preset's: timestep=0.001,impratio=10"
)
_OBSERVATIONS = flags.DEFINE_string("observations", "state", "state or vision.")
_SECONDS = flags.DEFINE_float("seconds", 30.0, "About how long to measure.")
_OBJECT_SET = flags.DEFINE_integer("object_set", 4, "Object set, 1 to 5.")
_SEED = flags.DEFINE_integer("seed", 0, "Seed of the episodes and the actions.")

_CHUNK = 20  # control steps between two runs of bare mj_step
_BARE = 5  # control steps of bare mj_step each time


def measure(
    environment: RgbStacking, seconds: float, seed: int = 0
) -> dict[str, float | int]:
    """Runs whole episodes of random actions for about `seconds`.

    Returns:
      Control steps a second and the like, by the names that `main` prints.
    """
    model, data = environment.physics
    bare = mujoco.MjData(model)
    substeps = round(scene.CONTROL_TIMESTEP / model.opt.timestep)
    rng = np.random.default_rng(seed)
    reset_times: list[float] = []
    step_time = bare_time = 0.0
    steps = bare_steps = 0
    clock = time.perf_counter
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
            # The state of now, with the same controls, but nothing around mj_step.
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


def main(argv: list[str]) -> None:
    """Measures and prints."""
    del argv
    with command.bad_input():
        if _SECONDS.value <= 0:
            raise ValueError(f"--seconds is {_SECONDS.value}; valid: above 0")
        scene.one_of("preset", _PRESET.value, scene.PRESETS)
        environment = environments.make(
            object_set=_OBJECT_SET.value,
            observations=_OBSERVATIONS.value,
            preset=scene.PRESETS[_PRESET.value].override(_PHYSICS.value),
            domain_randomization=True,
            max_action_delay=2,
            seed=_SEED.value,
        )
    result = measure(environment, _SECONDS.value, _SEED.value) | {
        "preset": _PRESET.value,
        "physics": _PHYSICS.value,
        "observations": _OBSERVATIONS.value,
        "object_set": _OBJECT_SET.value,
    }
    environment.close()
    for name, value in result.items():
        print(f"{name:35s}{value if isinstance(value, str) else round(value, 4)}")
    print(json.dumps(result))


if __name__ == "__main__":
    command.run(main)
