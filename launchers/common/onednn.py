"""Whether TensorFlow computes with oneDNN, in every process of ours.

oneDNN's products of tall matrices are quicker, so learners have it. A call for a single
observation takes 1.07 to 1.2 times as long with it, so nodes that only act do not
(docs/reports/learner.md). Who sets TensorFlow's variable decides for all processes.

TensorFlow reads the variable when it loads: `launchers` chooses on import, nodes that
are processes start with what `variables` says.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

VARIABLE = "TF_ENABLE_ONEDNN_OPTS"
_OURS = "HELMS_CHOSE_ONEDNN"  # set beside it where the choice was not the user's


def choose() -> None:
    """Turns oneDNN on in this process and its children, unless the user chose."""
    if VARIABLE not in os.environ:
        os.environ.update({VARIABLE: "1", _OURS: "1"})


def undecided(environment: Mapping[str, str]) -> dict[str, str]:
    """An environment without our choice; the user's stays."""
    ours = {VARIABLE, _OURS} if _OURS in environment else set()
    return {key: value for key, value in environment.items() if key not in ours}


def variables(acts: bool) -> dict[str, str]:
    """Environment variables of a node that only acts, or of another."""
    if _OURS not in os.environ:
        return {VARIABLE: os.environ.get(VARIABLE, "1")}
    return {VARIABLE: "0" if acts else "1", _OURS: "1"}
