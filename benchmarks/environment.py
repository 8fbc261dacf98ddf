"""How many control steps a second does one core give, and what takes the time?

    python -m benchmarks.environment [--preset=reference] [--observations=vision]

Bare `mj_step` runs on the same model, from the same states, in turn with the
environment, so that both see the same load of the machine.
"""

from __future__ import annotations

import json

from absl import flags

import environments
from benchmarks import stepping
from environments import scene
from launchers import command

_PRESET = flags.DEFINE_string(
    "preset", scene.DEFAULT_PRESET, f"Physics: {', '.join(scene.PRESETS)}."
)
_PHYSICS = flags.DEFINE_string(
    "physics", "", "Settings over the preset's: timestep=0.001,impratio=10"
)
_OBSERVATIONS = flags.DEFINE_string("observations", "state", "state or vision.")
_SECONDS = flags.DEFINE_float("seconds", 30.0, "About how long to measure.")
_OBJECT_SET = command.define_object_set()
_SEED = flags.DEFINE_integer("seed", 0, "Seed of the episodes and the actions.")


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
    result = stepping.measure(environment, _SECONDS.value, _SEED.value) | {
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
