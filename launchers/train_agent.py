"""Reuses skills by reinforcement learning.

python -m launchers.train_agent --agent=helms_cat --skills=DIR --workdir=DIR

Writes logs (CSV and TensorBoard), checkpoints and summary.json into the work directory.
The same command goes on where it stopped; Ctrl-C stops with a checkpoint.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from absl import flags

from launchers import command

_AGENT = flags.DEFINE_string("agent", "helms_cat", "Agent: helms_cat.")
_SKILLS = flags.DEFINE_string(
    "skills", None, "Directory of the skill bundle (WORKDIR/skills of train_skills)."
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
_OBJECT_SET = command.define_object_set()
_LAUNCH = flags.DEFINE_string(
    "launch", "single_process", "Launch: single_process, local_mt or local_mp."
)
_NUM_ACTORS = flags.DEFINE_integer("num_actors", 1, "Actors of a distributed launch.")
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
_EVALUATION = flags.DEFINE_string(
    "evaluation", "sampled", "Skills in evaluation: sampled as in training, or greedy."
)
_LOG_SECONDS = flags.DEFINE_float(
    "log_seconds", 10.0, "Seconds between lines in the terminal."
)

_BATCH_SIZE = flags.DEFINE_integer("batch_size", 512, "Sequences a learner step.")
_LEARNING_RATE = flags.DEFINE_float("learning_rate", 2e-4, "Of policy and critic.")
_PRIOR_WEIGHT = flags.DEFINE_float(
    "prior_weight", 0.01, "eta_y: weight of the KL to the uniform categorical."
)
_DISCOUNT = flags.DEFINE_float("discount", 0.99, "Discount of a control step.")
_SEQUENCE_LENGTH = flags.DEFINE_integer(
    "sequence_length", 10, "Control steps of a sequence in replay."
)
_SEQUENCE_PERIOD = flags.DEFINE_integer(
    "sequence_period", 5, "Control steps between the starts of sequences."
)
_SAMPLES_PER_INSERT = flags.DEFINE_float(
    "samples_per_insert", 32.0, "How often a sequence is sampled; 0: no limit."
)
_MIN_REPLAY_SIZE = flags.DEFINE_integer(
    "min_replay_size", 1000, "Sequences in replay before learning starts."
)
_MAX_REPLAY_SIZE = flags.DEFINE_integer(
    "max_replay_size", 1_000_000, "Sequences in replay; the oldest go first."
)
_TARGET_UPDATE_PERIOD = flags.DEFINE_integer(
    "target_update_period", 100, "Learner steps between updates of the targets."
)
_CRITIC_RNN_SIZE = flags.DEFINE_integer(
    "critic_rnn_size", 256, "LSTM units of the critic; 0: no RNN."
)
_CHECKPOINT_MINUTES = flags.DEFINE_float(
    "checkpoint_minutes", 5.0, "Least minutes between checkpoints."
)
_VARIABLE_UPDATE_PERIOD = flags.DEFINE_integer(
    "variable_update_period",
    400,
    "Actor steps between fetches of variables (distributed launches).",
)


def _config():
    """What the flags ask for; raises ValueError in one line."""
    from launchers import experiment

    experiment.check_agent(_AGENT.value)
    experiment.check_launch(_LAUNCH.value)
    for flag in (_SKILLS, _WORKDIR):
        if not flag.value:
            raise ValueError(f"--{flag.name} is required")
    # Cheap and without TensorFlow's graph, so before anything is loaded.
    from environments import factory

    factory.validate(
        _TASK.value, _REWARD.value, _OBJECT_SET.value, _MAX_ACTION_DELAY.value
    )
    return experiment.RunConfig(
        agent=_AGENT.value,
        skills=_SKILLS.value,
        workdir=_WORKDIR.value,
        task=_TASK.value,
        reward=_REWARD.value,
        object_set=_OBJECT_SET.value,
        seed=_SEED.value,
        domain_randomization=_DOMAIN_RANDOMIZATION.value,
        max_action_delay=_MAX_ACTION_DELAY.value,
        agent_config=experiment.HelmsCatConfig(
            batch_size=_BATCH_SIZE.value,
            learning_rate=_LEARNING_RATE.value,
            prior_weight=_PRIOR_WEIGHT.value,
            discount=_DISCOUNT.value,
            sequence_length=_SEQUENCE_LENGTH.value,
            sequence_period=_SEQUENCE_PERIOD.value,
            samples_per_insert=_SAMPLES_PER_INSERT.value or None,
            min_replay_size=_MIN_REPLAY_SIZE.value,
            max_replay_size=_MAX_REPLAY_SIZE.value,
            target_policy_update_period=_TARGET_UPDATE_PERIOD.value,
            target_critic_update_period=_TARGET_UPDATE_PERIOD.value,
            critic_rnn_size=_CRITIC_RNN_SIZE.value,
            checkpoint_minutes=_CHECKPOINT_MINUTES.value,
            variable_update_period=_VARIABLE_UPDATE_PERIOD.value,
            evaluation=_EVALUATION.value,
        ),
        budget=experiment.Budget(
            max_actor_steps=_MAX_ACTOR_STEPS.value or None,
            run_seconds=_RUN_SECONDS.value or None,
            eval_every=_EVAL_EVERY.value,
            eval_episodes=_EVAL_EPISODES.value,
            log_seconds=_LOG_SECONDS.value,
        ),
    )


def main(argv: Sequence[str]) -> None:
    """Trains, and says what came out."""
    del argv
    with command.bad_input():
        config = _config()
        from launchers import agent_training

        made, resumed = agent_training.prepare(config, _LAUNCH.value, _NUM_ACTORS.value)
    if resumed:
        print(f"goes on with the run in {config.workdir}", flush=True)
    try:
        summary = agent_training.run(
            made,
            _LAUNCH.value,
            _NUM_ACTORS.value,
            resumed,
            report=lambda line: print(line, flush=True),
        )
    except (RuntimeError, FloatingPointError) as e:
        print(f"error: {e}", file=sys.stderr)
        raise SystemExit(1) from None
    print(agent_training.describe(summary))
    if summary["stopped_by"] == "signal":
        print(
            f"stopped; the same command goes on (see {config.workdir})", file=sys.stderr
        )
        raise SystemExit(130)


if __name__ == "__main__":
    command.run(main)
