"""Flags that name the features of a data set from elsewhere."""

from __future__ import annotations

from collections.abc import Callable

from absl import flags

from datasets.rlds.columns import Columns

flags.disclaim_key_flags()

_TEXTS = {
    "proprio": "Observations of the robot itself, in order, as "
    "observation/joints,gripper: nested names are joined by slashes. Of a data set "
    "from elsewhere.",
    "objects": "Observations of what is around it, likewise.",
    "action": "Features of the action; by default expert_action where there is one, "
    "else action.",
}


def define() -> Callable[[], Columns]:
    """Defines --proprio, --objects and --action.

    Returns:
      A function that makes the columns from the flags; it raises ValueError, in one
      line, where some are missing.
    """
    holders = [flags.DEFINE_list(name, [], text) for name, text in _TEXTS.items()]
    return lambda: Columns.given(*(holder.value for holder in holders))
