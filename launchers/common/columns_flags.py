"""Flags that name the features of a data set from elsewhere."""

from __future__ import annotations

from collections.abc import Callable

from absl import flags

from datasets.rlds.columns import BY_ROLE, OWN, Columns
from environments import observations, scene

flags.disclaim_key_flags()

_TEXTS = {
    "proprio": "Observations of the robot itself, in order, as "
    "observation/joints,gripper: nested names are joined by slashes. Of a data set "
    "from elsewhere.",
    "objects": "Observations of what is around it, likewise.",
    "action": "Features of the action; by default expert_action where there is one, "
    "else action.",
}
_ORDER_TEXT = (
    "Order of the objects of the cell's data: color, or role in each episode's task "
    "(top, bottom, other), for data of several tasks."
)


def define(with_order: bool = False) -> Callable[[], Columns]:
    """Defines --proprio, --objects and --action, and --object_order if asked for.

    Returns:
      A function that makes the columns from the flags; it raises ValueError, in one
      line, where some are missing or do not go together.
    """
    holders = [flags.DEFINE_list(name, [], text) for name, text in _TEXTS.items()]
    orders = observations.OBJECT_ORDERS
    order = (
        flags.DEFINE_string("object_order", orders[0], _ORDER_TEXT)
        if with_order
        else None
    )

    def columns() -> Columns:
        given = Columns.given(*(holder.value for holder in holders))
        if order is None or order.value == orders[0]:
            return given
        scene.one_of("object order", order.value, orders)
        if given != OWN:
            raise ValueError(
                f"--object_order={order.value} is of data of the Sawyer cell: leave it "
                "out, or --proprio, --objects and --action"
            )
        return BY_ROLE

    return columns
