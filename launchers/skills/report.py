"""Report of an offline training for a terminal, whatever metrics the model has."""

from __future__ import annotations

import itertools
import textwrap
from collections.abc import Mapping
from typing import Any

_COLUMNS = 80  # of a terminal

# Metric, displayed name, format. A model has some of the metrics.
_METRICS = (
    ("elbo", "ELBO", ".3f"),
    ("log_likelihood", "log-likelihood", ".3f"),
    ("latent_kl", "latent KL", ".3f"),
    ("categorical_kl", "categorical KL", ".3f"),
    ("action_mse", "action error", ".4f"),
    ("active_latents", "active latents", "d"),
    ("prior_stay", "prior's diagonal", ".2f"),
    ("use_entropy", "entropy of use", ".2f"),
    ("step_entropy", "of a step", ".2f"),
)


# Share of the entropy of use that a step's posterior leaves where it tells nothing.
_UNTOLD = 0.9
_SAME_SKILLS = (
    "the skills are not told apart yet: the posterior of a step is nearly as uncertain "
    "as their use, so that all may do the same. Train for more --steps, or begin "
    "anew with --variant=discrete --initial_stay_probability=0.8"
)
_ALTERNATE = (
    "skills {} and {} alternate: each is followed by the other more often than by "
    "itself. Begin anew with --switch_cost={:g} for skills that last"
)


def line(
    steps: int, held_out: Mapping[str, Any], train: Mapping[str, Any], is_best: bool
) -> str:
    """Formats an evaluation: held-out metrics, bound on training data.

    Returns:
      A line, or several where it would be longer than 80 characters.
    """
    parts = [
        f"{title} {held_out[key]:{form}}"
        for key, title, form in _METRICS
        if key in held_out
    ]
    if "skill_use" in held_out:
        shares = " ".join(f"{share:.2f}" for share in held_out["skill_use"])
        parts.append(f"use {shares}")
    return _wrapped(
        f"step {steps}: held-out {', '.join(parts)}; train ELBO {train['elbo']:.3f}"
        f"{' *' if is_best else ''}"
    )


def early_end(steps: int, best: Mapping[str, Any]) -> str:
    """Says that training ends early: no evaluation was better than `best` for long."""
    return _wrapped(
        f"step {steps}: no better held-out ELBO since step {best['learner_steps']}; "
        "training ends early"
    )


def _wrapped(text: str) -> str:
    return textwrap.fill(
        text,
        _COLUMNS,
        subsequent_indent="  ",
        break_long_words=False,
        break_on_hyphens=False,
    )


def describe(summary: Mapping[str, Any]) -> str:
    """Formats each metric before training and of the bundle, and each skill's use."""
    before, after = summary["before"], summary["after"]
    lines = [
        _wrapped(
            f"model {summary['model']}: {summary['steps']} steps in "
            f"{summary['seconds']:.0f} s; the best held-out ELBO was at step "
            f"{summary['best_step']}, its weights are the bundle's"
        ),
        "held-out means, nats a step:",
    ]
    for key, title, form in _METRICS:
        if key in after:
            lines.append(f"  {title}: {before[key]:{form}} -> {after[key]:{form}}")
    for skill, share in enumerate(after.get("skill_use", ())):
        bar = "#" * round(40 * share)
        lines.append(f"skill {skill} use: {100 * share:5.1f} % {bar}")
    use, step = (after.get(key, 0.0) for key in ("use_entropy", "step_entropy"))
    if step > max(_UNTOLD * use, 0.01):  # of one skill both are 0
        lines.append(_wrapped(_SAME_SKILLS))
    prior = summary.get("transition_prior", ())
    cost = max(0.5, 2 * summary["config"].get("switch_cost", 0.0))
    for i, j in itertools.combinations(range(len(prior)), 2):
        if prior[i][j] > prior[i][i] and prior[j][i] > prior[j][j]:
            lines.append(_wrapped(_ALTERNATE.format(i, j, cost)))
    return "\n".join(lines)
