"""Do resting objects stay where they are, on each face and in piles, for 20 s?

    python -m benchmarks.resting [--preset=reference]

Each object of the five test sets lies on each face on which it can stand, in the
basket, with the hand far above; and each set's red object lies on its blue one. Prints
a Markdown table of how far objects move and turn after their first second, and of the
number of contacts that hold them.
"""

from __future__ import annotations

import json

import numpy as np
import tqdm
from absl import flags

import environments
from benchmarks import rests
from environments import objects, scene
from launchers.common import cli

_PRESET = flags.DEFINE_string(
    "preset", scene.DEFAULT_PRESET, f"Physics: {', '.join(scene.PRESETS)}."
)
_PHYSICS = flags.DEFINE_string(
    "physics", "", "Settings over the preset's: timestep=0.001,impratio=10"
)
_SECONDS = flags.DEFINE_float("seconds", 20.0, "How long they are watched.")


def main(argv: list[str]) -> None:
    """Measures all rests and prints the table."""
    del argv
    with cli.bad_input():
        if _SECONDS.value < 2 * scene.CONTROL_TIMESTEP:
            raise ValueError(f"--seconds is {_SECONDS.value}; valid: from 0.1")
        scene.one_of("preset", _PRESET.value, scene.PRESETS)
        environment = environments.make(
            preset=scene.PRESETS[_PRESET.value].override(_PHYSICS.value), seed=0
        )
    ids = sorted({i for triplet in objects.SETS.values() for i in triplet})
    rows = []
    for object_id in tqdm.tqdm(ids, unit="object"):
        rows += rests.on_faces(environment, object_id, _SECONDS.value)
    for triplet in objects.SETS.values():
        rest = rests.piled(environment, triplet, _SECONDS.value)
        if rest is not None:
            rows.append(rest)
    print(rests.table(rows))
    moved = np.array([r.moved for r in rows])
    print(
        json.dumps(
            {
                "rests": len(rows),
                "moved_mm_mean": 1e3 * float(moved.mean()),
                "moved_mm_worst": 1e3 * float(moved.max()),
                "turned_degrees_worst": max(r.turned for r in rows),
                "preset": _PRESET.value,
                "physics": _PHYSICS.value,
            }
        )
    )


if __name__ == "__main__":
    cli.run(main)
