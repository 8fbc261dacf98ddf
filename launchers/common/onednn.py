"""Choice of whether TensorFlow uses oneDNN, for every process of a run.

oneDNN multiplies tall matrices faster, so learners use it. A call for a single
observation takes 1.07 to 1.2 times as long with it, so nodes that only act do not
(docs/reports/learner.md). A user who sets TensorFlow's variable decides for all
processes.

TensorFlow reads the variable when it loads: `launchers` sets it on import, and nodes
that are processes start with the environment variables of `variables`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

VARIABLE = "TF_ENABLE_ONEDNN_OPTS"
_OURS = "HELMS_CHOSE_ONEDNN"  # marks the variable as set here, not by the user


def choose() -> None:
    """Turns oneDNN on in this process and its children, unless the user chose."""
    if VARIABLE not in os.environ:
        os.environ.update({VARIABLE: "1", _OURS: "1"})


def undecided(environment: Mapping[str, str]) -> dict[str, str]:
    """Removes the choice of `choose` from an environment; keeps the user's."""
    ours = {VARIABLE, _OURS} if _OURS in environment else set()
    return {key: value for key, value in environment.items() if key not in ours}


def variables(acts: bool) -> dict[str, str]:
    """Returns environment variables for a node; `acts` means that it only acts."""
    if _OURS not in os.environ:
        return {VARIABLE: os.environ.get(VARIABLE, "1")}
    return {VARIABLE: "0" if acts else "1", _OURS: "1"}
