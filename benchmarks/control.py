"""Do our agents learn as Acme's MPO does, on tasks of dm_control?

    python -m benchmarks.control --task=cartpole:swingup --agents=ours,acme --seeds=3
    python -m benchmarks.control --task=catch --agents=categorical
    python -m benchmarks.control --task=two_modes --agents=ours,mixture

Each agent learns from scratch in one process, with as many learner steps an
environment step as Acme's MPO (samples per insert 32 at batches of 256), networks of
the same sizes and the same bounds. `ours` is the Gaussian MPO of `agents.mpo`, `acme`
Acme's learner with one-step returns, `categorical` HeLMS-cat's over the corners and the
centre of the action space, `mixture` HeLMS-mix's over three new components.

The task `two_modes` is ours: it needs a policy with two modes, which a Gaussian is not.
`catch` is bsuite's.

Every run is a CSV of returns in --out; runs that are there are not made again, so the
same command continues. The figure and the last line's JSON are of all runs.
"""

from __future__ import annotations

import csv
import itertools
import json
import pathlib
from collections.abc import Callable, Iterator, Mapping

import dm_env
import numpy as np
import reverb
import sonnet as snt
import tensorflow as tf
import tqdm
from absl import flags
from acme import EnvironmentLoop, core, datasets, specs, wrappers
from acme.adders import reverb as acme_adders
from acme.agents.tf import actors
from acme.tf import networks as acme_networks
from acme.utils import loggers
from dm_control import suite

from agents.helms.config import HelmsConfig
from agents.helms_cat.builder import HelmsCatBuilder
from agents.helms_cat.config import HelmsCatConfig
from agents.helms_mix.builder import HelmsMixBuilder
from agents.helms_mix.config import HelmsMixConfig
from agents.mpo.adder import InterruptibleClient
from agents.mpo.builder import MPOBuilder
from agents.mpo.config import GaussianMPOConfig
from agents.mpo.gaussian import GaussianMPOBuilder
from benchmarks import acme_mpo, catch, curves, two_modes
from launchers import acting, command, files

_AGENTS = ("ours", "acme", "categorical", "mixture")
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

_MIN_TRANSITIONS = 1000  # before the first learner step
_STEPS_A_LEARNER_STEP = 8  # 256 / 32 samples per insert
_COMMON = {
    "policy_keys": ("proprio",),
    "critic_keys": ("proprio",),
    "input_size": 256,
    "policy_hidden_sizes": (256, 256),
    "critic_hidden_sizes": (256, 256),
    "critic_rnn_size": 0,
    "learning_rate": 1e-4,
    "sequence_length": 10,
    "sequence_period": 9,
    "batch_size": 29,  # sequences of 9 transitions: 261
    "min_replay_size": _MIN_TRANSITIONS // 9,
    "samples_per_insert": 29 * 9 / _STEPS_A_LEARNER_STEP,
}
# Of our small tasks, for every agent: they would take hours at Acme's bounds.
_SMALL_TASKS: Mapping[str, Callable[[int], dm_env.Environment]] = {
    "catch": catch.Catch,
    "two_modes": lambda seed: two_modes.TwoModes(),
}
_QUICK = {
    "learning_rate": 1e-3,
    "target_policy_update_period": 25,
    "target_critic_update_period": 25,
}
_QUICK_BOUNDS = {
    "epsilon_mean": 0.1,
    "epsilon_stddev": 0.01,
    "init_log_temperature": 0.0,
    "init_log_alpha_mean": 1.0,
    "init_log_alpha_stddev": 1.0,
}


class _State(wrappers.EnvironmentWrapper):
    """The one vector of observations becomes `proprio`."""

    def observation_spec(self) -> dict[str, specs.Array]:
        return {"proprio": self._environment.observation_spec()}

    def reset(self) -> dm_env.TimeStep:
        return self._named(self._environment.reset())

    def step(self, action: np.ndarray) -> dm_env.TimeStep:
        return self._named(self._environment.step(action))

    def _named(self, timestep: dm_env.TimeStep) -> dm_env.TimeStep:
        return timestep._replace(observation={"proprio": timestep.observation})


class _Actions:
    """Actions in place of skills: a skill is a point, or z is the action itself."""

    object_dim = None  # there are no objects

    def __init__(self, spec: specs.EnvironmentSpec, num_components: int | None = None):
        """As many skills as points, unless it is for a mixture of components."""
        size = spec.actions.shape[0]
        points = [*itertools.product((-1.0, 1.0), repeat=size), (0.0,) * size]
        self._points = tf.constant(points, tf.float32)
        self.num_skills = num_components or len(points)
        self.action_dim = self.latent_dim = size
        self.proprio_dim = spec.observations["proprio"].shape[0]
        self.config = HelmsConfig(num_skills=self.num_skills, latent_dim=size)

    def observation_statistics(self) -> dict:
        return {}

    def decode(self, skill: tf.Tensor, observation: Mapping, seed=None) -> tf.Tensor:
        del observation, seed
        return tf.gather(self._points, skill)

    def low_level(self, latent: tf.Tensor, observation: Mapping) -> tf.Tensor:
        del observation
        return latent


class _Mixture(HelmsMixBuilder):
    """RHPO on the actions themselves, with no prior."""

    def prior(self, data: object) -> None:
        del data


def make_environment(task: str, seed: int) -> dm_env.Environment:
    """A task with one observation vector and actions clipped to [-1, 1].

    Raises:
      ValueError: there is no such task.
    """
    if task in _SMALL_TASKS:
        environment = wrappers.CanonicalSpecWrapper(_SMALL_TASKS[task](seed), clip=True)
        return wrappers.SinglePrecisionWrapper(environment)
    domain, _, name = task.partition(":")
    if (domain, name) not in suite.ALL_TASKS:
        raise ValueError(
            f"unknown task {task!r}; valid: {', '.join(_SMALL_TASKS)}, or as "
            "cartpole:swingup"
        )
    environment = suite.load(domain, name, task_kwargs={"random": seed})
    environment = wrappers.ConcatObservationWrapper(environment)
    environment = wrappers.CanonicalSpecWrapper(environment, clip=True)
    return wrappers.SinglePrecisionWrapper(environment)


def returns(
    agent: str, task: str, steps: int, seed: int
) -> Iterator[tuple[int, float]]:
    """Trains; yields environment steps so far and the return, after every episode."""
    environment = make_environment(task, seed)
    if agent == "acme":
        server, actor = _acme(specs.make_environment_spec(environment), seed)
    else:
        environment = _State(environment)
        quick = task in _SMALL_TASKS
        spec = specs.make_environment_spec(environment)
        server, actor = _ours(agent, spec, seed, quick)
    loop = EnvironmentLoop(environment, actor, logger=loggers.NoOpLogger())
    done = 0
    while done < steps:
        result = loop.run_episode()
        done += result["episode_length"]
        yield done, float(result["episode_return"])
    server.stop()


def _learning(
    actor: core.Actor, learner: core.Learner, due: Callable[[int], int]
) -> core.Actor:
    """The actor, each of whose steps is followed by the learner steps then due.

    `due` maps environment steps to the learner steps they pay for.
    """
    acted = learned = 0

    def learn() -> None:
        nonlocal acted, learned
        acted += 1
        while learned < due(acted):
            learner.step()
            learned += 1

    return acting.Hooked(actor, learn)


def _ours(
    agent: str, spec: specs.EnvironmentSpec, seed: int, quick: bool
) -> tuple[reverb.Server, core.Actor]:
    common = {**_COMMON, **(_QUICK if quick else {})}
    sampled = {**common, **(_QUICK_BOUNDS if quick else {})}
    if agent == "ours":
        builder: MPOBuilder = GaussianMPOBuilder(GaussianMPOConfig(**sampled))
    elif agent == "categorical":
        config = HelmsCatConfig(**common, eta_y=0.0)
        builder = HelmsCatBuilder(config, _Actions(spec))
    else:
        config = HelmsMixConfig(**sampled, components="scratch", eta_y=0.0, eta_z=0.0)
        builder = _Mixture(config, _Actions(spec, num_components=3))
    server = reverb.Server(builder.make_replay_tables(spec, limit_rate=False))
    client = reverb.Client(f"localhost:{server.port}")
    networks = builder.make_networks(spec, seed)
    learner = builder.make_learner(networks, builder.make_dataset_iterator(client))
    policy = builder.make_policy(networks)
    actor = builder.make_actor(policy, seed, builder.make_adder(client))
    return server, _learning(actor, learner, builder.learner_steps_due)


def _acme(spec: specs.EnvironmentSpec, seed: int) -> tuple[reverb.Server, core.Actor]:
    """Acme's learner and actor; its agent as a whole does not run on Reverb 0.7.

    (Its adders ask the client for an argument that came later; see `agents.mpo.adder`.)
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
        return max(0, steps - _MIN_TRANSITIONS) // _STEPS_A_LEARNER_STEP

    return server, _learning(actor, learner, due)


def run(out: pathlib.Path, agent: str, task: str, steps: int, seed: int) -> np.ndarray:
    """Rows (steps, return) of a run, made now or read."""
    path = out / f"{task.replace(':', '_')}_{agent}_{steps}_{seed}.csv"
    if not path.exists():
        rows = []
        with tqdm.tqdm(total=steps, desc=path.stem, unit="step") as bar:
            for done, value in returns(agent, task, steps, seed):
                rows.append((done, value))
                bar.set_postfix({"return": f"{value:.0f}"}, refresh=False)
                bar.update(done - bar.n)
        with files.aside(path) as aside, open(aside, "w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["environment_steps", "return"])
            writer.writerows(rows)
    return np.genfromtxt(path, delimiter=",", skip_header=1, ndmin=2)


def main(argv: list[str]) -> None:
    """Trains, draws and prints."""
    del argv
    task, out = _TASK.value, pathlib.Path(_OUT.value)
    with command.bad_input():
        for agent in _AGENT_NAMES.value:
            if agent not in _AGENTS:
                raise ValueError(
                    f"unknown agent {agent!r}; valid: {', '.join(_AGENTS)}"
                )
        if task in _SMALL_TASKS and "acme" in _AGENT_NAMES.value:
            raise ValueError(f"{task} is for ours, categorical and mixture")
        make_environment(task, 0)
        out.mkdir(parents=True, exist_ok=True)
    runs: dict[str, list[np.ndarray]] = {agent: [] for agent in _AGENT_NAMES.value}
    for seed in range(_SEEDS.value):  # agents advance together
        for agent, found in runs.items():
            found.append(run(out, agent, task, _STEPS.value, seed))
    steps = _STEPS.value
    curves.draw(out / f"{task.replace(':', '_')}.png", runs, steps, task)
    result = {"task": task, "steps": steps, **curves.summary(runs, steps)}
    print(json.dumps(result))


if __name__ == "__main__":
    command.run(main)
