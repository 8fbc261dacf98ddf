"""Reuses skills by reinforcement learning.

python -m launchers.train_agent --agent=helms_cat --skills=DIR --workdir=DIR

Writes logs (CSV and TensorBoard), checkpoints and summary.json into the work directory.
The same command goes on where it stopped; Ctrl-C stops with a checkpoint.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import tensorflow as tf
from absl import flags

from agents import scales
from agents.mpo.config import MPOConfig
from agents.rl_agents import AGENTS
from launchers.common import cli, settings
from launchers.distributed.config import Layout

if TYPE_CHECKING:
    from launchers.experiments import config as experiment_config

_AGENT = flags.DEFINE_string("agent", "helms_cat", f"Agent: {', '.join(AGENTS)}.")
_SKILLS = flags.DEFINE_string(
    "skills",
    None,
    "Directory of the bundle that the agent builds on (WORKDIR/skills of "
    "train_skills): helms for helms_mix and helms_cat, else of the agent's name; mpo "
    "takes any, for its observation statistics, or none.",
)
_WORKDIR = flags.DEFINE_string("workdir", None, "Directory of logs and checkpoints.")
_TASK = flags.DEFINE_string(
    "task",
    "stack_red_blue",
    "Task: stack_TOP_BOTTOM, pyramid, lift_COLOR or reach_COLOR.",
)
_REWARD = flags.DEFINE_string(
    "reward", "staged_sparse", "Reward: dense, staged_sparse or sparse."
)
_OBJECT_SET = cli.define_object_set()
_OBSERVATIONS = flags.DEFINE_string(
    "observations",
    None,
    "What the policy sees: state; or vision, images in place of the objects' state "
    "(helms_mix, mpo, asymmetric_mpo). Default: state, of asymmetric_mpo vision.",
)
_CAMERAS = flags.DEFINE_list(
    "cameras", ["basket_front_left"], "Cameras of the images, with vision."
)
_LAUNCH = flags.DEFINE_string(
    "launch",
    "single_process",
    "Launch: single_process; or a program of threads (local_mt; test_mt, which ends "
    "where a node fails and starts no debugger), of processes (local_mp), or of many "
    "machines (ray, vertex_ai: docs/cluster.md).",
)
_RAY_ADDRESS = flags.DEFINE_string(
    "ray_address",
    None,
    "With ray: HOST:PORT of the cluster's head, or auto for the cluster of this host. "
    "Default: a Ray of our own on this host.",
)
_DEBUG = flags.DEFINE_bool(
    "debug",
    False,
    "Run TensorFlow eagerly, so that a debugger can step through everything "
    "(single_process).",
)
_NUM_ACTORS = flags.DEFINE_integer("num_actors", 1, "Actors of a distributed launch.")
_ACTORS_PER_PROCESS = flags.DEFINE_integer(
    "actors_per_process",
    1,
    "Actors that share a process and their policy's calls, in a distributed launch.",
)
_REPLAY_SHARDS = flags.DEFINE_integer(
    "replay_shards", 1, "Replay servers of a distributed launch."
)
_CACHERS = flags.DEFINE_integer(
    "cachers", 0, "Nodes that serve the learner's variables to actors; 0: the learner."
)
_SEED = flags.DEFINE_integer("seed", 0, "Of networks, draws and environments.")
_DOMAIN_RANDOMIZATION = flags.DEFINE_bool(
    "domain_randomization", True, "Draw the physics anew for each episode."
)
_MAX_ACTION_DELAY = flags.DEFINE_integer(
    "max_action_delay", 2, "Control steps; an episode's delay is drawn up to this."
)

_MAX_ACTOR_STEPS = flags.DEFINE_integer(
    "max_actor_steps", 100_000, "Stop at so many actor steps in all; 0: no such limit."
)
_RUN_SECONDS = flags.DEFINE_float(
    "run_seconds", 0.0, "Stop after so many seconds; 0: no such limit."
)
_EVAL_EVERY = flags.DEFINE_integer(
    "eval_every", 20_000, "Actor steps between evaluations."
)
_EVAL_EPISODES = flags.DEFINE_integer(
    "eval_episodes", 10, "Episodes of an evaluation; 0: none."
)
_LOG_SECONDS = flags.DEFINE_float(
    "log_seconds", 10.0, "Seconds between lines in the terminal."
)
_EVAL_VIDEO = flags.DEFINE_bool(
    "eval_video",
    True,
    "Write a video of each evaluation's first episode, where rendering works.",
)
_CHECKPOINT_MINUTES = flags.DEFINE_float(
    "checkpoint_minutes", 5.0, "Least minutes between checkpoints."
)
_CHECKPOINT_REPLAY = flags.DEFINE_bool(
    "checkpoint_replay",
    True,
    "Keep replay with each checkpoint; without, a resumed run starts with none.",
)

_SCALE = flags.DEFINE_string(
    "scale",
    "paper",
    "Settings where no flag gives one: paper (1500 actors) or laptop (two cores; "
    "docs/agents.md has the table).",
)
_DEMONSTRATIONS = flags.DEFINE_string(
    "demonstrations",
    None,
    "Directory of a data set of this task, reward and object set, of which each batch "
    "has demonstration_share (0.5 with it, if not given).",
)
_TARGET_UPDATE_PERIOD = flags.DEFINE_integer(
    "target_update_period",
    None,
    "Learner steps between updates of both targets. Default: 100.",
)
_SETTINGS = settings.Settings(
    "agent",
    {name: agent.config_type() for name, agent in AGENTS.items()},
    {
        "target_update": "Of both targets: periodic (copied each target_update_period) "
        "or polyak (moved each learner step).",
        "target_update_rate": "Share of the difference that polyak moves.",
        "batch_size": "Sequences a learner step.",
        "learning_rate": "Of policy and critic.",
        "policy_learning_rate": "Of the policy alone; none: learning_rate.",
        "critic_warmup_steps": "Learner steps at the start in which the policy rests, "
        "and the duals but the temperature.",
        "dual_learning_rate": "Of temperatures and multipliers.",
        "discount": "Discount of a control step.",
        "n_step": "Rows of rewards in the critic's target; 1: TD(0).",
        "skill_steps": "Control steps that a skill (of npmp: a latent) is held, from 1 "
        "to 399; replay then holds decisions.",
        "skill_prior": "What eta_y keeps the skills' probabilities near: uniform; "
        "transition, the bundle's p(y_t | y_{t-1}) given the last decision's skill; or "
        "distilled, the bundle's high level, the default if that is also the start.",
        "eta_y": "Weight of the KL of the skills' probabilities to their prior.",
        "eta_y_half_life": "Learner steps that halve eta_y; 0: it is constant.",
        "eta_z": "Weight of the KL to what is frozen: of each component to its skill's "
        "posterior, or of NPMP's policy to its prior.",
        "eta_clone": "Weight of the KL of a fine-tuned policy to the frozen clone.",
        "finger": "The action's last component, whose sign opens or closes the hand: "
        "gaussian; or bernoulli, a draw of that sign. Of bc and hierarchical_bc the "
        "bundle's.",
        "components": "Components of the mixture: posteriors (start as the skills and "
        "are trained), frozen, or scratch.",
        "high_level": "The high level at the start: new, or distilled from the skills' "
        "posterior (analyse_skills and benchmarks.ceiling leave it in the bundle).",
        "epsilon": "Bound on the E-step's KL, nats.",
        "epsilon_policy": "Bound on the policy's change, nats.",
        "epsilon_categorical": "Bound on the categorical's change, nats.",
        "epsilon_finger": "Bound on the change of a Bernoulli finger, nats.",
        "epsilon_mean": "Bound on the means' change, nats.",
        "epsilon_stddev": "Bound on the deviations' change, nats.",
        "init_log_temperature": "Initial temperature, through softplus.",
        "init_log_alpha": "Initial multiplier of the bound epsilon_policy, through "
        "softplus, as the four below.",
        "init_log_alpha_categorical": "The same of epsilon_categorical.",
        "init_log_alpha_finger": "The same of epsilon_finger.",
        "init_log_alpha_mean": "The same of epsilon_mean.",
        "init_log_alpha_stddev": "The same of epsilon_stddev.",
        "init_stddev": "Deviation of a new policy.",
        "num_samples": "Actions that are drawn at each state.",
        "improvement_critic": "The critic that weighs them: online or target.",
        "sample_latent": "Whether a skill's z is drawn, or its mean.",
        "evaluation": "In evaluation, draw as in training (sampled) or take the "
        "likeliest (greedy).",
        "sequence_length": "Decisions of a sequence in replay.",
        "sequence_period": "Decisions between the starts of sequences.",
        "samples_per_insert": "How often a sequence is sampled; 0: no limit.",
        "min_replay_size": "Sequences in replay before learning starts.",
        "max_replay_size": "Sequences in replay; the oldest go first.",
        "demonstration_share": "Share of each batch that demonstrations have.",
        "policy_hidden_sizes": "Units of the policy's hidden layers.",
        "critic_hidden_sizes": "Units of the critic's hidden layers.",
        "critic_rnn_size": "LSTM units of the critic; 0: no RNN.",
        "burn_in": "Rows that overlap the sequence before only warm the LSTM's state.",
        "variable_update_period": "Actor steps between fetches of variables "
        "(distributed launches).",
    },
)


def _cameras() -> tuple[str, ...]:
    """The cameras of the images, none on state; raises ValueError for bad ones."""
    from environments import factory, scene

    default = "vision" if AGENTS[_AGENT.value].asymmetric else "state"
    observations = _OBSERVATIONS.value or default
    scene.one_of("observations", observations, factory.OBSERVATIONS)
    if observations == "state":
        return ()
    for camera in _CAMERAS.value:
        scene.one_of("camera", camera, scene.CAMERAS)
    return tuple(_CAMERAS.value)


def _agent_config(cameras: Sequence[str]) -> MPOConfig:
    from launchers.experiments import config as experiment_config

    agent = AGENTS[_AGENT.value]
    values = scales.settings(_SCALE.value, _AGENT.value)
    values.update(agent.default_settings(experiment_config.image_keys(cameras)))
    if _DEMONSTRATIONS.value:
        values["demonstration_share"] = 0.5  # RLPD
    values.update(_SETTINGS.given(_AGENT.value))
    if values.get("demonstration_share") and not _DEMONSTRATIONS.value:
        raise ValueError("--demonstration_share needs --demonstrations")
    # Here with the most that it may be, which the agent's own check does not know.
    experiment_config.check_skill_steps(values.get("skill_steps", 1))
    if _TARGET_UPDATE_PERIOD.value is not None:
        for target in ("policy", "critic"):
            values[f"target_{target}_update_period"] = _TARGET_UPDATE_PERIOD.value
    return agent.config_type(**values)


def _config() -> experiment_config.RunConfig:
    """What the flags ask for; raises ValueError in one line."""
    from launchers.experiments import config as experiment_config

    experiment_config.check_agent(_AGENT.value)
    experiment_config.check_launch(_LAUNCH.value)
    needed = [_WORKDIR]
    if AGENTS[_AGENT.value].model is not None:
        needed.append(_SKILLS)
    for flag in needed:
        if not flag.value:
            raise ValueError(f"--{flag.name} is required")
    if _DEBUG.value and _LAUNCH.value != "single_process":
        raise ValueError("--debug is for --launch=single_process")
    if _RAY_ADDRESS.value and _LAUNCH.value != "ray":
        raise ValueError("--ray_address is for --launch=ray")
    # Cheap and without TensorFlow's graph, so before anything is loaded.
    from environments import factory

    factory.validate(
        _TASK.value, _REWARD.value, _OBJECT_SET.value, _MAX_ACTION_DELAY.value
    )
    cameras = _cameras()
    return experiment_config.RunConfig(
        agent=_AGENT.value,
        skills=_SKILLS.value,
        workdir=_WORKDIR.value,
        task=_TASK.value,
        reward=_REWARD.value,
        object_set=_OBJECT_SET.value,
        seed=_SEED.value,
        domain_randomization=_DOMAIN_RANDOMIZATION.value,
        max_action_delay=_MAX_ACTION_DELAY.value,
        cameras=cameras,
        demonstrations=_DEMONSTRATIONS.value,
        agent_config=_agent_config(cameras),
        budget=experiment_config.Budget(
            max_actor_steps=_MAX_ACTOR_STEPS.value or None,
            run_seconds=_RUN_SECONDS.value or None,
            eval_every=_EVAL_EVERY.value,
            eval_episodes=_EVAL_EPISODES.value,
            eval_video=_EVAL_VIDEO.value,
            log_seconds=_LOG_SECONDS.value,
            checkpoint_minutes=_CHECKPOINT_MINUTES.value,
            checkpoint_replay=_CHECKPOINT_REPLAY.value,
        ),
    )


def main(argv: Sequence[str]) -> None:
    """Trains, and says what came out."""
    del argv
    with cli.bad_input():
        config = _config()
        from launchers.experiments import training

        if _DEBUG.value:
            tf.config.run_functions_eagerly(True)
        layout = Layout(
            actors_per_process=_ACTORS_PER_PROCESS.value,
            replay_shards=_REPLAY_SHARDS.value,
            cachers=_CACHERS.value,
        )
        made, resumed = training.prepare(
            config, _LAUNCH.value, _NUM_ACTORS.value, _RAY_ADDRESS.value
        )
    if resumed:
        print(f"goes on with the run in {config.workdir}", flush=True)
    if _LAUNCH.value == "vertex_ai":
        from launchers.distributed import vertex

        vertex.launch(made, _NUM_ACTORS.value, layout)
        return
    try:
        summary = training.run(
            made,
            _LAUNCH.value,
            _NUM_ACTORS.value,
            resumed,
            report=lambda line: print(line, flush=True),
            layout=layout,
            ray_address=_RAY_ADDRESS.value,
        )
    except (RuntimeError, FloatingPointError) as e:
        print(f"error: {e}", file=sys.stderr)
        raise SystemExit(1) from None
    print(training.describe(summary))
    if summary["stopped_by"] == "signal":
        print(
            f"stopped; the same command goes on (see {config.workdir})", file=sys.stderr
        )
        raise SystemExit(130)


if __name__ == "__main__":
    cli.run(main)
