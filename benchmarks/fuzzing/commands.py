"""Commands that are run on a copy of a small data set, bundle and agent."""

from __future__ import annotations

import dataclasses
import pathlib
import subprocess
import sys

_SMALL_MODEL = (
    "--model=helms",
    "--num_skills=2",
    "--latent_dim=2",
    "--hidden_sizes=8",
    "--window=5",
    "--look_ahead=1",
    "--batch_size=4",
)
_SMALL_AGENT = (
    "--agent=helms_cat",
    "--policy_hidden_sizes=8",
    "--critic_hidden_sizes=8",
    "--critic_rnn_size=0",
    "--batch_size=4",
    "--min_replay_size=5",
    "--samples_per_insert=0.2",
    "--eval_episodes=0",
    "--noeval_video",
)


@dataclasses.dataclass(frozen=True)
class Command:
    """A command on the copy of the base; `{}` in an argument is its directory."""

    module: str
    arguments: tuple[str, ...]
    reads: tuple[str, ...] = ()  # what of the base it reads, to be damaged

    def argv(self, root: pathlib.Path) -> list[str]:
        """Returns module and arguments."""
        return [self.module, *(a.replace("{}", str(root)) for a in self.arguments)]


_COLLECT = Command(
    "launchers.collect",
    ("--expert=random", "--episodes=4", "--out={}/data", "--processes=1"),
)
_TRAIN_SKILLS = Command(
    "launchers.train_skills",
    (
        *_SMALL_MODEL,
        "--dataset={}/data",
        "--workdir={}/skills",
        "--steps=4",
        "--eval_every=2",
    ),
)
_TRAIN_AGENT = Command(
    "launchers.train_agent",
    (*_SMALL_AGENT, "--skills={}/skills/skills", "--workdir={}/agent"),
)


def _until(steps: int) -> Command:
    """Returns the training of the agent to so many steps."""
    limit = f"--max_actor_steps={steps}"
    return dataclasses.replace(_TRAIN_AGENT, arguments=(*_TRAIN_AGENT.arguments, limit))


TRAIN_AGENT = _TRAIN_AGENT.module
LEARN = (_TRAIN_SKILLS.module, TRAIN_AGENT)
_BASE = (_COLLECT, _TRAIN_SKILLS, _until(800))
_EVALUATE = Command(
    "launchers.evaluate", ("--workdir={}/agent", "--episodes=1"), ("agent",)
)
ALL = (
    dataclasses.replace(_COLLECT, reads=("data",)),
    Command("launchers.inspect_dataset", ("{}/data",), ("data",)),
    dataclasses.replace(_TRAIN_SKILLS, reads=("data", "skills")),
    dataclasses.replace(_until(1200), reads=("skills/skills", "agent")),
    dataclasses.replace(_until(1200), reads=("agent/checkpoints",)),
    _EVALUATE,
    Command(
        "launchers.export", ("--workdir={}/agent", "--out={}/exported"), ("agent",)
    ),
    Command("launchers.monitor", ("--workdir={}/agent", "--once"), ("agent",)),
)


def flag_names(module: str) -> list[str]:
    """Returns the names of a command's flags, from its help."""
    done = subprocess.run(
        [sys.executable, "-m", module, "--help"],
        capture_output=True,
        text=True,
        check=True,
    )
    found = (line.strip() for line in done.stdout.splitlines())
    names = (line[2:].split(":")[0] for line in found if line.startswith("--"))
    return sorted({name.removeprefix("[no]") for name in names} - {"help", "helpfull"})


def make_base(base: pathlib.Path) -> None:
    """Makes what cases copy, unless an earlier call did."""
    done = base.with_name("base_is_complete")
    if done.exists():
        return
    for command in _BASE:
        module, *arguments = command.argv(base)
        print(f"{module} makes a part of {base}", flush=True)
        subprocess.run([sys.executable, "-m", module, *arguments], check=True)
    done.touch()


def import_libraries() -> None:
    """Imports what commands need, so that a fork of this process starts at once."""
    import environments
    from datasets import loader
    from datasets.experts import factory
    from launchers.skills import training as skill_training
    from launchers.transfer import training

    del environments, loader, factory, skill_training, training
