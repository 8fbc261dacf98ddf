"""How far does the actor-learner program scale, and which part is full first?

    python -m benchmarks.scaling --real_actors=1,2,4,8
    python -m benchmarks.scaling --light_actors=1500 --seconds=600
    python -m benchmarks.scaling --saturate [--server_cores=0.1]
    python -m benchmarks.scaling --model_actors=1500 --actor_rate=20

The flags may be combined and run in this order; each writes its results to --out.

- `--real_actors`: the control steps per second of processes that step the real
  environment with the real policy, write to a real Reverb server and fetch variables
  through a cacher. With `--actors_per_process`, actors share a process and batch their
  policy calls.
- `--light_actors`: actors without physics, many per process, that send recorded
  episodes through the real adders and the real variable client, each over its own
  connections. Every item is accounted for: `lost` is the number that adders created
  minus the number that the table received, after a drain. `insert` and `fetch`
  latencies are those of `benchmarks.load.actors`: how long an `adder.add` that creates
  an item delays an actor, and how long variables take.
- `--saturate`: the costs of an insert, a batch, a fetch and a call of the coordinator
  to their servers, as CPU seconds, because the load shares the cores with the servers.
  With `--server_cores` each server is limited to as many cores, and is filled.
- `--model_actors`: from these costs, what a program of as many actors needs and which
  part is full first, and the model's predictions for every run in --out beside the
  measurements.

The learner is idle: it serves variables of the real sizes.
"""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib
from collections.abc import Callable
from typing import Any

import tqdm
from absl import flags

from agents.registry import AGENTS
from benchmarks.load import (
    capacity,
    episodes,
    light,
    limits,
    processes,
    real,
    report,
    saturation,
    servers,
    setup,
    usage,
)
from benchmarks.load.settings import Inputs, Settings
from launchers.common import atomic_files, cli
from launchers.experiments import config as experiment_config

_REAL = flags.DEFINE_list("real_actors", [], "Numbers of real actors: 1,2,4,8.")
_LIGHT = flags.DEFINE_integer("light_actors", None, "Number of light actors.")
_TOGETHER = flags.DEFINE_integer(
    "actors_per_process",
    1,
    "Real actors that share a process, measured or of the model.",
    lower_bound=1,
)
_SATURATE = flags.DEFINE_bool("saturate", False, "Measure what operations cost.")
_MODEL = flags.DEFINE_integer("model_actors", None, "Number of actors to plan for.")

_SECONDS = flags.DEFINE_float("seconds", 60.0, "Of each measurement.")
_RATE = flags.DEFINE_float(
    "steps_per_second",
    None,
    "Of all light actors together. By default 20 each, real time, but 400 at most.",
)
_SERVER_CORES = flags.DEFINE_float(
    "server_cores",
    None,
    "Hold replay, and with --saturate each server, to so many cores. It takes root.",
    lower_bound=limits.LEAST_CORES,
)
_PROCESSES = flags.DEFINE_integer("processes", 2, "Of light actors.", lower_bound=1)
_THREADS = flags.DEFINE_integer(
    "threads", 8, "That step the light actors of a process.", lower_bound=1
)
_RECORD = flags.DEFINE_integer(
    "recorded_episodes",
    2,
    "Real episodes that light actors replay; recorded first.",
    lower_bound=1,
)
_REPLAY_SIZE = flags.DEFINE_integer(
    "replay_size", 10_000, "Sequences that replay holds.", lower_bound=1
)
_UPDATE_PERIOD = flags.DEFINE_integer(
    "update_period",
    None,
    "Steps between an actor's fetches; by default the agent's.",
    upper_bound=10_000,  # light actors take some of the steps when they connect
)
_UPDATE_SECONDS = flags.DEFINE_float(
    "update_seconds", 1.0, "Between the cacher's fetches from the learner."
)

_ACTOR_RATE = flags.DEFINE_float(
    "actor_rate", 20.0, "Model: steps a second of an actor. Real time is 20."
)
_LEARNER_RATE = flags.DEFINE_float(
    "learner_rate", 10.0, "Model: batches a second that the learner takes at most."
)
_MODEL_REPLAY = flags.DEFINE_integer(
    "model_replay_size", 1_000_000, "Model: sequences that replay holds."
)
_SHARD_CORES = flags.DEFINE_float("shard_cores", 4.0, "Model: cores a replay shard.")

_AGENT = flags.DEFINE_string("agent", "helms_mix", f"Agent: {', '.join(AGENTS)}.")
_OUT = flags.DEFINE_string("out", "runs/scaling", "Directory of the figures.")
_RESUME = flags.DEFINE_bool(
    "resume", False, "Keep measurements in --out that were made with the same flags."
)
_SEED = flags.DEFINE_integer("seed", 0, "Of weights and episodes.", lower_bound=0)

_DEFAULT_ACTORS = 100
_HELD_RATE = 400.0  # steps per second that one core holds for load and server
_PUSHING_ACTORS = 300  # at full load, each steps about in real time


def main(argv: list[str]) -> None:
    """Measures, writes and prints."""
    del argv
    out = pathlib.Path(_OUT.value)
    with cli.bad_input():
        real_actors = _check_flags()
        settings = _settings()
        usage.allow_connections(2 * settings.actors)
        limits.check(settings.server_cores)
        out.mkdir(parents=True, exist_ok=True)
        inputs = _inputs(out, settings)
    result: dict[str, Any] = {"cores": os.cpu_count(), "agent": _AGENT.value}
    try:
        points = []
        for count in real_actors:
            asked = dataclasses.replace(settings, actors=count)
            points.append(
                _kept(
                    out / f"{_real_name(count)}.json",
                    asked,
                    lambda s: real.measure(s, inputs),
                )
            )
        if points:
            result["real"] = report.real_rows(points)
        if _LIGHT.value or not (points or _SATURATE.value or _MODEL.value):
            rate = settings.steps_per_second
            name = f"light_{settings.actors}_{rate:.0f}{_held_suffix()}"

            def run(asked: Settings) -> dict[str, Any]:
                lit = light.measure(asked, inputs)
                atomic_files.write_csv(
                    out / f"{name}.csv", usage.Sample._fields, lit.samples
                )
                return lit.result

            result |= _kept(out / f"{name}.json", settings, run)
        if _SATURATE.value:
            asked = dataclasses.replace(
                settings,
                actors=_PUSHING_ACTORS,
                steps_per_second=0.0,
                replay_size=max(settings.replay_size, 200_000),
            )
            result["saturation"] = _kept(
                out / f"saturation{_held_suffix()}.json",
                asked,
                lambda s: _saturate(s, inputs),
            )
    except processes.Failed as e:
        raise SystemExit(f"error: {e}") from None
    with cli.bad_input():
        if _MODEL.value:
            result["model"] = _model(out)
    report.draw(out)
    report.tell(result)
    print(json.dumps(result))


def _check_flags() -> list[int]:
    """Returns the numbers of real actors; raises ValueError for invalid flags."""
    agent = _AGENT.value
    experiment_config.check_agent(agent)
    if AGENTS[agent].vision_only:
        raise ValueError(f"{agent} acts on images; valid: agents on state")
    for flag in (_LIGHT, _MODEL, _UPDATE_PERIOD):
        if flag.value is not None and flag.value < 1:
            raise ValueError(f"--{flag.name} is {flag.value}; valid: 1 or more")
    for flag in (_SECONDS, _RATE, _UPDATE_SECONDS):
        if flag.value is not None and not flag.value > 0:
            raise ValueError(f"--{flag.name} is {flag.value}; valid: above 0")
    counts = [text.strip() for text in _REAL.value]
    if not all(text.isdecimal() and int(text) for text in counts):
        raise ValueError(
            f"--real_actors is {','.join(counts)}; valid: numbers above 0, as 1,2,4"
        )
    return [int(text) for text in counts]


def _real_name(actors: int) -> str:
    together = _TOGETHER.value
    return f"real_{actors}" + (f"_by_{together}" if together > 1 else "")


def _held_suffix() -> str:
    cores = _SERVER_CORES.value
    return "" if cores is None else f"_at_{cores:g}_cores"


def _settings() -> Settings:
    actors = _LIGHT.value or _DEFAULT_ACTORS
    return Settings(
        agent=_AGENT.value,
        actors=actors,
        steps_per_second=_RATE.value or min(setup.REAL_TIME * actors, _HELD_RATE),
        seconds=_SECONDS.value,
        replay_size=_REPLAY_SIZE.value,
        update_period=_UPDATE_PERIOD.value
        or AGENTS[_AGENT.value].config_type().variable_update_period,
        update_seconds=_UPDATE_SECONDS.value,
        processes=_PROCESSES.value,
        threads=_THREADS.value,
        actors_per_process=_TOGETHER.value,
        server_cores=_SERVER_CORES.value,
        seed=_SEED.value,
    )


def _inputs(out: pathlib.Path, settings: Settings) -> Inputs:
    """Makes the episodes of light actors and the variables of the learner."""
    logs = out / "logs"
    setup.one_thread()
    variables = servers.make_variables(settings.agent, settings.seed)
    if not (_LIGHT.value or _SATURATE.value) and (_REAL.value or _MODEL.value):
        return Inputs([], variables, logs)
    recorded = episodes.record(settings.agent, _RECORD.value, settings.seed)
    return Inputs(recorded, variables, logs)


def _kept(
    path: pathlib.Path,
    settings: Settings,
    measure: Callable[[Settings], dict[str, Any]],
) -> dict[str, Any]:
    """Measures and writes a result, or reads it where --resume allows."""
    if _RESUME.value and path.exists():
        measured = atomic_files.read_json(path)
        if measured.get("settings") == dataclasses.asdict(settings):
            tqdm.tqdm.write(f"kept {path}")
            return measured
    measured = measure(settings)
    atomic_files.write_json(path, measured)
    return measured


def _saturate(settings: Settings, inputs: Inputs) -> dict[str, Any]:
    return {
        **saturation.measure_batches(settings, inputs),
        **saturation.measure_fetches(settings, inputs),
        **saturation.measure_calls(settings, inputs),
        **saturation.measure_inserts(settings, inputs),
        "settings": dataclasses.asdict(settings),
    }


def _model(out: pathlib.Path) -> dict[str, Any]:
    path = out / "saturation.json"
    if not path.exists():
        raise ValueError(f"no {path}: the model needs --saturate in this --out first")
    measured = atomic_files.read_json(path)
    agent = _AGENT.value
    if measured["settings"]["agent"] != agent:
        raise ValueError(
            f"{path} is of {measured['settings']['agent']}, not of {agent}"
        )
    costs = capacity.Costs.from_saturation(measured)
    config = AGENTS[agent].config_type()
    demand = capacity.Demand(
        actors=_MODEL.value,
        actor_rate=_ACTOR_RATE.value,
        actors_per_process=_TOGETHER.value,
        update_period=_UPDATE_PERIOD.value or config.variable_update_period,
        samples_per_insert=config.samples_per_insert,
        learner_rate=_LEARNER_RATE.value,
        replay_size=_MODEL_REPLAY.value,
        shard_cores=_SHARD_CORES.value,
    )
    model = {
        "demand": dataclasses.asdict(demand),
        "costs": dataclasses.asdict(costs),
        **capacity.plan(costs, demand),
        "checks": [
            capacity.check(costs, run)
            for run in report.runs(out)
            if run["settings"]["agent"] == agent
        ],
        "full_checks": [
            row
            for run in report.runs(out, "saturation")
            if run["settings"]["agent"] == agent
            for row in capacity.check_full(costs, run)
        ],
    }
    atomic_files.write_json(out / f"model_{demand.actors}.json", model)
    return model


if __name__ == "__main__":
    cli.run(main)
