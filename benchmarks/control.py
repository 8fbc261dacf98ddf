"""Do this project's agents learn as Acme's MPO does, on tasks of dm_control?

    python -m benchmarks.control --task=cartpole:swingup --agents=ours,acme --seeds=3
    python -m benchmarks.control --task=catch --agents=categorical
    python -m benchmarks.control --task=two_modes --agents=ours,mixture

Each agent learns from scratch in one process, with as many learner steps per
environment step as Acme's MPO (samples per insert 32 at batches of 256), networks of
the same sizes and the same bounds. `ours` is the Gaussian MPO of `agents.mpo`, `acme`
Acme's learner with one-step returns, `categorical` HeLMS-cat's over the corners and the
centre of the action space, `mixture` HeLMS-mix's over three new components.

The task `two_modes` is this project's: it needs a policy with two modes, which a
Gaussian lacks. `catch` is bsuite's.

Every run is a CSV of returns in --out; existing runs are not repeated, so the same
command resumes. The figure and the last line's JSON cover all runs.
"""

from __future__ import annotations

import json
import pathlib
from collections.abc import Iterator

import numpy as np
import reverb
import sonnet as snt
import tensorflow as tf
import tqdm
from absl import flags
from acme import core, datasets, specs
from acme.adders import reverb as acme_adders
from acme.agents.tf import actors
from acme.tf import networks as acme_networks

from agents.mpo.interruptible_writer import InterruptibleClient
from benchmarks import small_tasks
from benchmarks.common import acme_mpo, one_process
from launchers.common import atomic_files, cli, curves

_AGENTS = ("acme", *small_tasks.AGENTS)
_TASK = flags.DEFINE_string(
    "task", "cartpole:swingup", "DOMAIN:TASK of dm_control, catch or two_modes."
)
_AGENT_NAMES = flags.DEFINE_list(
    "agents", ["ours", "acme"], f"Of {', '.join(_AGENTS)}."
)
_SEEDS = flags.DEFINE_integer("seeds", 3, "Runs of each agent.", lower_bound=1)
_STEPS = flags.DEFINE_integer(
    "steps", 40_000, "Environment steps a run.", lower_bound=1000
)
_OUT = flags.DEFINE_string("out", "runs/control", "Directory of the results.")


def returns(
    agent: str, task: str, steps: int, seed: int
) -> Iterator[tuple[int, float]]:
    """Trains; yields environment steps so far and the return, after every episode."""
    if agent == "acme":
        environment = small_tasks.make_environment(task, seed)
        server, actor = _acme(specs.make_environment_spec(environment), seed)
    else:
        environment = small_tasks.make_grouped(task, seed)
        spec = specs.make_environment_spec(environment)
        builder = small_tasks.make_builder(agent, task, spec)
        server, actor = one_process.make(builder, spec, seed)
    for done, result in one_process.episodes(environment, actor, steps):
        yield done, float(result["episode_return"])
    server.stop()


def _acme(spec: specs.EnvironmentSpec, seed: int) -> tuple[reverb.Server, core.Actor]:
    """Makes Acme's learner and actor, as its complete agent does not run on Reverb 0.7.

    Its adders pass the client an argument that a later release added: see
    `agents.mpo.interruptible_writer`.
    """
    tf.random.set_seed(seed)
    table = reverb.Table(
        name=acme_adders.DEFAULT_PRIORITY_TABLE,
        sampler=reverb.selectors.Uniform(),
        remover=reverb.selectors.Fifo(),
        max_size=1_000_000,
        rate_limiter=reverb.rate_limiters.MinSize(1),
        signature=acme_adders.NStepTransitionAdder.signature(spec),
    )
    server = reverb.Server([table])
    client = InterruptibleClient(
        reverb.Client(f"localhost:{server.port}"), lambda: False
    )
    learner, policy = acme_mpo.make_learner(
        spec.observations.shape[0],
        spec.actions.shape[0],
        critic_sizes=(256, 256, 256),
        dataset=datasets.make_reverb_dataset(
            server_address=f"localhost:{server.port}",
            batch_size=acme_mpo.BATCH_SIZE,
            prefetch_size=2,
        ),
    )
    actor = actors.FeedForwardActor(
        snt.Sequential([policy, acme_networks.StochasticSamplingHead()]),
        acme_adders.NStepTransitionAdder(client=client, n_step=1, discount=0.99),
    )

    def due(steps: int) -> int:
        return (
            max(0, steps - small_tasks.MIN_TRANSITIONS)
            // small_tasks.STEPS_A_LEARNER_STEP
        )

    return server, one_process.learning(actor, learner, due)


def run(out: pathlib.Path, agent: str, task: str, steps: int, seed: int) -> np.ndarray:
    """Returns the rows (steps, return) of a run, which is made now or read."""
    path = out / f"{task.replace(':', '_')}_{agent}_{steps}_{seed}.csv"
    if not path.exists():
        rows = []
        with tqdm.tqdm(total=steps, desc=path.stem, unit="step") as bar:
            for done, value in returns(agent, task, steps, seed):
                rows.append((done, value))
                bar.set_postfix({"return": f"{value:.0f}"}, refresh=False)
                bar.update(done - bar.n)
        atomic_files.write_csv(path, ("environment_steps", "return"), rows)
    return curves.read(path)


def main(argv: list[str]) -> None:
    """Trains, draws and prints."""
    del argv
    task, out = _TASK.value, pathlib.Path(_OUT.value)
    with cli.bad_input():
        for agent in _AGENT_NAMES.value:
            if agent not in _AGENTS:
                raise ValueError(
                    f"unknown agent {agent!r}; valid: {', '.join(_AGENTS)}"
                )
        if task in small_tasks.TASKS and "acme" in _AGENT_NAMES.value:
            raise ValueError(f"{task} is for ours, categorical and mixture")
        small_tasks.make_environment(task, 0)
        out.mkdir(parents=True, exist_ok=True)
    runs: dict[str, list[np.ndarray]] = {agent: [] for agent in _AGENT_NAMES.value}
    for seed in range(_SEEDS.value):  # seeds outermost: agents advance together
        for agent, curves_of_agent in runs.items():
            curves_of_agent.append(run(out, agent, task, _STEPS.value, seed))
    steps = _STEPS.value
    curves.draw(out / f"{task.replace(':', '_')}.png", runs, steps, task)
    result = {"task": task, "steps": steps, **curves.summary(runs, steps)}
    print(json.dumps(result))


if __name__ == "__main__":
    cli.run(main)
