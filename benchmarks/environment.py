"""How many control steps per second does one core take, and what takes the time?

    python -m benchmarks.environment [--preset=reference] [--observations=vision]
    python -m benchmarks.environment --against=COMMIT

Bare `mj_step` runs on the same model, from the same states, in turns with the
environment, so that both see the same load of the machine.

`--against` then builds another commit and runs its environment in turns with this one,
by the same random actions: `ratio` is the control steps per CPU second here over those
there, resets included.
"""

from __future__ import annotations

import dataclasses
import json
import pathlib
from typing import Any

from absl import flags

import environments
from benchmarks import against, stepping
from environments import EnvironmentConfig, scene
from launchers.common import cli, environment_flags

_ENVIRONMENT = environment_flags.define(
    EnvironmentConfig.paper(), "object_set", "observations", "preset"
)
_PHYSICS = flags.DEFINE_string(
    "physics", "", "Settings over the preset's: timestep=0.001,impratio=10"
)
_SECONDS = flags.DEFINE_float("seconds", 30.0, "About how long to measure.")
_SEED = flags.DEFINE_integer("seed", 0, "Seed of the episodes and the actions.")
_AGAINST = flags.DEFINE_string(
    "against",
    None,
    "A commit to compare with, for --seconds more. It is built under runs/against and "
    "kept; where it asks for other packages that takes minutes and 2 GB.",
)

_ROUND = pathlib.Path(__file__).with_name("against_environment.py")


def _compare(commit: str) -> dict[str, Any]:
    """Measures in turns with another commit; raises ValueError if that cannot run."""
    config = _ENVIRONMENT().to_dict()
    names = ["object_set", "observations", "domain_randomization", "max_action_delay"]
    # The name of the default preset there is unknown.
    if flags.FLAGS["preset"].present:
        names.append("preset")
    settings = {name: config[name] for name in names} | {"seed": _SEED.value}
    sides = against.ours(), against.build(commit)
    rounds = against.alternate(
        sides, _ROUND, settings, _SECONDS.value, seed=_SEED.value
    )
    return against.summarise(*rounds) | {"against": against.resolve(commit)}


def main(argv: list[str]) -> None:
    """Measures and prints."""
    del argv
    with cli.bad_input():
        if _SECONDS.value <= 0:
            raise ValueError(f"--seconds is {_SECONDS.value}; valid: above 0")
        if _AGAINST.value is not None:
            if _PHYSICS.value:
                raise ValueError("--physics is of this commit: not with --against")
            against.resolve(_AGAINST.value)
        config = _ENVIRONMENT()
        physics = scene.physics(config.preset).override(_PHYSICS.value)
        environment = environments.build(
            dataclasses.replace(config, preset=physics), _SEED.value
        )
    result = stepping.measure(environment, _SECONDS.value, _SEED.value) | {
        "preset": config.preset,
        "physics": _PHYSICS.value,
        "observations": config.observations,
        "object_set": config.object_set,
    }
    environment.close()
    if _AGAINST.value is not None:
        with cli.bad_input():
            result |= _compare(_AGAINST.value)
    for name, value in result.items():
        print(f"{name:35s}{value if isinstance(value, str) else round(value, 4)}")
    print(json.dumps(result))


if __name__ == "__main__":
    cli.run(main)
