"""Which settings of the physics are fast and still the same task?

    python -m benchmarks.physics_candidates --policies=DIR --episodes=40

Writes a table. Each candidate is judged by the trained agents of object sets 4 and 1
(see `specialist_fidelity`) and timed, all candidates in turns in one run, so that they
see the same load of the machine. The episodes go to `--out`, and a run resumes after
those that it finds there. The winner is the default preset.
"""

from __future__ import annotations

import json
import pathlib
from collections.abc import Mapping

import numpy as np
from absl import flags

import environments
from benchmarks import fidelity, stepping
from environments import scene
from launchers.common import atomic_files, cli

_POLICIES = flags.DEFINE_string(
    "policies", None, "Directory with mpo_state_rgb_test_triplet1 and ...4."
)
_EPISODES = flags.DEFINE_integer("episodes", 40, "Episodes a candidate and set.")
_PROCESSES = flags.DEFINE_integer("processes", 2, "Processes to share them.")
_SECONDS = flags.DEFINE_float("seconds", 8.0, "How long to time each candidate.")
_OUT = flags.DEFINE_string("out", "runs/fidelity/episodes.jsonl", "Episodes' file.")
_TABLE = flags.DEFINE_string("table", None, "Where to write the table (Markdown).")

OBJECT_SETS = (4, 1)
_ROUNDS = 2

# Name -> preset and its overrides. From the reference on, each goes one step further.
CANDIDATES: Mapping[str, tuple[str, str]] = {
    "the reference": ("reference", ""),
    "the reference, one contact": ("reference", "multiccd=0"),
    "1.25 ms, boxes, links": ("fast", "timestep=0.00125,basket=boxes,hand_links=1"),
    "2 ms, boxes, links": ("fast", "basket=boxes,hand_links=1"),
    "2 ms, links": ("fast", "hand_links=1"),
    "2 ms": ("fast", ""),
    "2.5 ms": ("fast", "timestep=0.0025"),
    "2 ms, one contact": ("fast", "multiccd=0"),
    "2 ms, impratio 10": ("fast", "impratio=10"),
    "2 ms, discrete": ("fast", "integrator=discrete"),
}


def _rates(seconds: float) -> dict[str, float]:
    """Measures control steps per second with resets: the median of rounds in turns."""
    rates: dict[str, list[float]] = {name: [] for name in CANDIDATES}
    for seed in range(_ROUNDS):
        for name, (preset, overrides) in CANDIDATES.items():
            environment = environments.make(
                preset=scene.PRESETS[preset].override(overrides),
                domain_randomization=True,
                max_action_delay=2,
                seed=seed,
            )
            result = stepping.measure(environment, seconds, seed)
            rates[name].append(result["steps_per_second"])
            environment.close()
    return {name: float(np.median(values)) for name, values in rates.items()}


def table(rows: Mapping[str, Mapping]) -> str:
    """Makes the Markdown table of candidates' rates and fidelities."""
    lines = [
        "| physics | steps/s | "
        + " | ".join(f"set {s}: success | mean reward" for s in OBJECT_SETS)
        + " |",
        "|---|---|" + "---|---|" * len(OBJECT_SETS),
    ]
    for name, row in rows.items():
        cells = [name, f"{row['steps_per_second']:.0f}"]
        for object_set in OBJECT_SETS:
            r = row[f"set_{object_set}"]
            cells += [
                f"{r['success']:.0%} ({r['low']:.0%} to {r['high']:.0%}) "
                f"of {r['episodes']}",
                f"{r['mean_reward']:.3f} ± {r['mean_reward_interval']:.3f}",
            ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def main(argv: list[str]) -> None:
    """Judges and times all candidates."""
    del argv
    with cli.bad_input():
        from datasets.experts import saved_model

        if _POLICIES.value is None:
            raise ValueError("--policies is missing: the directory of the agents")
        policies = {
            s: pathlib.Path(_POLICIES.value) / f"mpo_state_rgb_test_triplet{s}"
            for s in OBJECT_SETS
        }
        for path in policies.values():
            saved_model.check(path)
        for flag in (_EPISODES, _PROCESSES):
            if flag.value < 1:
                raise ValueError(f"--{flag.name} is {flag.value}; valid: 1 or more")
    rows: dict[str, dict] = {name: {} for name in CANDIDATES}
    for object_set, policy in policies.items():
        for name, (preset, overrides) in CANDIDATES.items():
            print(f"set {object_set}: {name}", flush=True)
            setting = fidelity.Setting(str(policy), object_set, preset, overrides)
            records = fidelity.evaluate(
                setting,
                range(_EPISODES.value),
                _PROCESSES.value,
                pathlib.Path(_OUT.value),
            )
            rows[name][f"set_{object_set}"] = fidelity.summary(records, setting)
    for name, rate in _rates(_SECONDS.value).items():
        rows[name]["steps_per_second"] = rate
    text = table(rows)
    print(text)
    if _TABLE.value:
        atomic_files.write_text(pathlib.Path(_TABLE.value), text)
    print(json.dumps(rows))


if __name__ == "__main__":
    cli.run(main)
