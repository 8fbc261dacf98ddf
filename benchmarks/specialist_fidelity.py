"""Is the simulation the task on which public agents were trained?

    python -m benchmarks.specialist_fidelity --policy=DIR --object_set=4 --episodes=200

A trained agent of the public `rgb_stacking` environment acts here with nominal physics
and no delay. An episode succeeds if at its end red rests on blue and nothing but blue
touches it. In their own environment the agents reach 79.9 % (set 4), 77.7 % (set 1).

`--physics` overrides settings of the preset, to judge candidates for a faster preset;
`--out` keeps a line per episode, and a run that finds its own lines there resumes after
them.
"""

from __future__ import annotations

import json
import pathlib

from absl import flags

from benchmarks import fidelity
from environments import scene
from launchers.common import cli

_POLICY = flags.DEFINE_string("policy", None, "Directory of the agent's SavedModel.")
_OBJECT_SET = flags.DEFINE_integer("object_set", 4, "Object set, 1 to 5.")
_EPISODES = flags.DEFINE_integer("episodes", 200, "How many.")
_PROCESSES = flags.DEFINE_integer("processes", 1, "Processes to share them.")
_PRESET = flags.DEFINE_string(
    "preset", scene.DEFAULT_PRESET, f"Physics: {', '.join(scene.PRESETS)}."
)
_PHYSICS = flags.DEFINE_string(
    "physics", "", "Settings over the preset's: timestep=0.001,impratio=10"
)
_SEED = flags.DEFINE_integer("seed", 0, "Seed of initial states and of the agent.")
_OUT = flags.DEFINE_string("out", None, "File of one JSON line an episode.")


def main(argv: list[str]) -> None:
    """Runs the missing episodes and prints all results."""
    del argv
    with cli.bad_input():
        from datasets.experts import saved_model

        if _POLICY.value is None:
            raise ValueError("--policy is missing: the directory of a SavedModel")
        saved_model.check(_POLICY.value)
        scene.one_of("object set", _OBJECT_SET.value, scene.OBJECT_SETS)
        for flag in (_EPISODES, _PROCESSES):
            if flag.value < 1:
                raise ValueError(f"--{flag.name} is {flag.value}; valid: 1 or more")
        setting = fidelity.Setting(
            _POLICY.value, _OBJECT_SET.value, _PRESET.value, _PHYSICS.value
        )
        setting.physics  # noqa: B018  raises if invalid
    seeds = range(_SEED.value, _SEED.value + _EPISODES.value)
    out = pathlib.Path(_OUT.value) if _OUT.value else None
    records = fidelity.evaluate(setting, seeds, _PROCESSES.value, out)
    result = fidelity.summary(records, setting)
    for name, value in result.items():
        print(f"{name:25s}{value if isinstance(value, str) else round(value, 4)}")
    print(json.dumps(result))


if __name__ == "__main__":
    cli.run(main)
