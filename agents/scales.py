"""Settings by scale: `paper` for 1500 actors, `laptop` for two cores.

`paper` is the default of the agents' configurations. `laptop` changes the settings of
`LAPTOP`, for a run of hundreds of episodes and about 10,000 learner steps.
`python -m agents.scales` prints the table of docs/guides/agents.md.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from agents.mpo.config import MPOConfig
from agents.registry import AGENTS

SCALES = ("paper", "laptop")


@dataclasses.dataclass(frozen=True)
class Row:
    """Setting that `laptop` changes.

    Attributes:
      setting: name of a field of the agents' configurations.
      value: value at scale laptop.
      why: reason in a few words.
      agents: agents that the row is for; empty: all that have the setting.
      vision: whether the row is for policies that see images alone.
    """

    setting: str
    value: Any
    why: str
    agents: tuple[str, ...] = ()
    vision: bool = False


_CLONES = ("bc", "hierarchical_bc")
_HELD = ("helms_cat", "helms_mix", "npmp")
_MIX = ("helms_mix",)

# A later row overrides an earlier one.
LAPTOP = (
    Row("batch_size", 64, "an eighth of the work a learner step"),
    Row("critic_rnn_size", 0, "a state has three frames already"),
    Row("samples_per_insert", 64.0, "80 learner steps an episode, 16 of held skills"),
    Row("min_replay_size", 400, "five episodes"),
    Row("skill_steps", 5, "what a skill does takes longer than a step", _HELD),
    Row("min_replay_size", 160, "ten episodes", _HELD),
    Row("max_replay_size", 100_000, "1,250 episodes, 0.6 GB"),
    Row("max_replay_size", 6400, "400 episodes: n_step is not corrected", _HELD),
    Row("learning_rate", 5e-4, "fewer learner steps"),
    Row("policy_learning_rate", 2e-4, "the critic leads"),
    Row("critic_warmup_steps", 500, "a new critic's values mislead the policy"),
    Row("critic_warmup_steps", 2000, "they undo a clone", _CLONES),
    Row("target_update", "polyak", "smooth at few learner steps"),
    Row("target_update_rate", 0.02, "a period of 50, smoothed"),
    Row("n_step", 5, "a sparse reward spreads in fewer learner steps"),
    Row("epsilon", 0.05, "the improved policy stays nearer: exploration lasts"),
    # softplus(1) = 1.3 is near a return's spread. From softplus(10) the temperature
    # takes 1,000 learner steps to fall to that; from softplus(-2) the policy decides
    # within 2,000.
    Row("init_log_temperature", 1.0, "neither random for long nor decided at once"),
    Row("dual_learning_rate", 0.05, "the temperature follows values", _MIX),
    Row("init_log_alpha", 1.0, "a multiplier moves by 0.01 a learner step"),
    Row("init_log_alpha_finger", 1.0, "a multiplier moves by 0.01 a learner step"),
    Row("init_log_alpha_mean", 3.0, "a multiplier moves by 0.01 a learner step"),
    Row("init_log_alpha_stddev", 30.0, "from 1000 it never gets down"),
    Row("eta_y", 0.3, "keeps skills in use until there is reward"),
    Row("eta_y_half_life", 1200, "and then lets the policy decide"),
    Row("eta_z", 0.1, "components stay skills", _MIX),
    Row("min_component_stddev", 0.15, "KLs of unused latents rule no gradient"),
    Row("eta_clone", 0.3, "holds the clone while the critic is poor"),
    # On images. A learner step takes 17 ms a row; on state 0.4 ms.
    Row("batch_size", 16, "a row costs 40 times as much", vision=True),
    Row("samples_per_insert", 4.0, "20 learner steps an episode", vision=True),
    Row("samples_per_insert", 16.0, "16 learner steps an episode", _HELD, vision=True),
    Row("critic_warmup_steps", 0, "a new policy has nothing to lose", vision=True),
    # New components start far from the skills that they are to become.
    Row("eta_z", 1.0, "new components reach the skills", _MIX, vision=True),
    Row("epsilon_mean", 1.0, "new components reach the skills", _MIX, vision=True),
    Row("epsilon_stddev", 0.1, "new components reach the skills", _MIX, vision=True),
    Row("init_log_alpha_mean", -2.0, "nothing to hold yet", _MIX, vision=True),
    Row("init_log_alpha_stddev", -2.0, "nothing to hold yet", _MIX, vision=True),
)


def settings(scale: str, agent: str, vision: bool = False) -> dict[str, Any]:
    """Returns the settings, by name, that a scale changes for an agent.

    Args:
      scale: one of `SCALES`.
      agent: one of `AGENTS`.
      vision: whether the policy sees images.

    Raises:
      ValueError: there is no such scale.
    """
    check_scale(scale)
    if scale == "paper":
        return {}
    return {
        row.setting: row.value
        for row in LAPTOP
        if agent in _owners(row) and (vision or not row.vision)
    }


def check_scale(scale: str) -> None:
    """Raises ValueError, naming the valid scales, for an unknown one."""
    if scale not in SCALES:
        raise ValueError(f"unknown scale {scale!r}; valid: {', '.join(SCALES)}")


def table() -> str:
    """Returns `LAPTOP` beside the paper's values as a Markdown table."""
    lines = ["| setting | agents | paper | laptop | why |", "|---|---|---|---|---|"]
    for row in LAPTOP:
        owners = _owners(row)
        defaults = dict.fromkeys(
            str(getattr(_paper(name, row.vision), row.setting)) for name in owners
        )
        agents = "all" if owners == _able(row) else ", ".join(owners)
        agents += " on images" * row.vision
        paper = " or ".join(defaults)
        lines.append(
            f"| `{row.setting}` | {agents} | {paper} | {row.value} | {row.why} |"
        )
    return "\n".join(lines)


def _owners(row: Row) -> list[str]:
    """Returns the agents that a row is for."""
    return [
        name
        for name in _able(row)
        if name in (row.agents or AGENTS) and row.setting in _fields(name)
    ]


def _able(row: Row) -> list[str]:
    """Returns the agents that act on what a row is for."""
    return [n for n in AGENTS if not row.vision or AGENTS[n].vision is not None]


def _paper(agent: str, vision: bool) -> MPOConfig:
    """Returns an agent's configuration at scale paper."""
    kind = AGENTS[agent]
    return kind.config_type(**kind.default_settings(("image",)) if vision else {})


def _fields(agent: str) -> set[str]:
    return {field.name for field in dataclasses.fields(AGENTS[agent].config_type)}


if __name__ == "__main__":
    print(table())
