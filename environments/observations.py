"""Names, shapes and grouping of the observations.

Names and shapes are those of the public RGB-stacking reference, so that agents trained
there can act here; the groups are the paper's Table 3. Every observation is stacked
over the last `STACK` control steps, newest first (the previous action over
`ACTION_STACK`); a reset repeats the first value. Cameras are not stacked.

Poses are position [m] then unit quaternion (w, x, y, z), in the world frame.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Mapping
from typing import Any

import numba
import numpy as np
from dm_env import specs

STACK = 3
ACTION_STACK = 2
COLORS = ("red", "green", "blue")

# Sizes in one frame. A size of 0 is a scalar, stacked to shape [STACK]. Poses come
# first, then their differences: the simulation reads and writes each group as one
# array.
FRAME_SIZES: Mapping[str, int] = {
    "sawyer/pinch/pose": 7,  # the gripper's tool centre point
    "sawyer/tcp/pose": 7,  # the wrist site
    "rgb30_red/abs_pose": 7,
    "rgb30_green/abs_pose": 7,
    "rgb30_blue/abs_pose": 7,
    "rgb30_red/to_pinch": 7,  # the object's pose minus the pinch pose, elementwise
    "rgb30_green/to_pinch": 7,
    "rgb30_blue/to_pinch": 7,
    "sawyer/joints/angle": 7,  # rad
    "sawyer/joints/velocity": 7,  # rad/s
    "sawyer/joints/torque": 7,  # N m, about each joint's axis
    "sawyer/tcp/velocity": 6,  # of the wrist site, world: linear m/s, angular rad/s
    "wrist/angle": 0,  # rad, the last arm joint
    "wrist/velocity": 0,  # rad/s
    "wrist/force": 3,  # N, in the sensor's frame
    "wrist/torque": 3,  # N m
    "gripper/joints/angle": 0,  # 0 (open) to 255 (closed), whole tics
    "gripper/joints/velocity": 0,  # tics in the last 12.5 ms
    "gripper/grasp": 0,  # 1 none, 2 grasp while closing, 3 while opening
}
NUM_POSES = 2 + len(COLORS)
PREVIOUS_ACTION = "action/environment"  # 7 joint velocities [rad/s], gripper [tics/s]
PREVIOUS_ACTION_SIZE = 8


def _layout() -> tuple[dict[str, slice], int]:
    layout, start = {}, 0
    for name, size in (*FRAME_SIZES.items(), (PREVIOUS_ACTION, PREVIOUS_ACTION_SIZE)):
        layout[name] = slice(start, start + max(size, 1))
        start = layout[name].stop
    return layout, start


# Slice of each observation in a frame, which is one flat vector in the environment.
LAYOUT, FRAME_SIZE = _layout()
_POSES = slice(0, 7 * NUM_POSES)
_TO_PINCH = slice(_POSES.stop, _POSES.stop + 7 * len(COLORS))


def poses(frame: np.ndarray) -> np.ndarray:
    """Returns a view [5, 7] of a frame: poses of pinch, TCP, red, green and blue."""
    return frame[_POSES].reshape(NUM_POSES, 7)


def to_pinch(frame: np.ndarray) -> np.ndarray:
    """Returns a view [3, 7] of a frame: the objects' poses minus the pinch pose."""
    return frame[_TO_PINCH].reshape(len(COLORS), 7)


# Table 3 of the paper. The table lacks the gripper's opening, which its "wrist angle"
# may mean: without the opening no low level could tell an open hand from a closed one.
PROPRIOCEPTION = (
    "sawyer/joints/angle",
    "sawyer/joints/velocity",
    "sawyer/joints/torque",
    "sawyer/pinch/pose",
    "sawyer/tcp/pose",
    "sawyer/tcp/velocity",
    "wrist/angle",
    "wrist/velocity",
    "wrist/force",
    "wrist/torque",
    "gripper/joints/angle",
    "gripper/joints/velocity",
    "gripper/grasp",
)
OBJECTS = tuple(f"rgb30_{c}/abs_pose" for c in COLORS) + tuple(
    f"rgb30_{c}/to_pinch" for c in COLORS
)
GROUPS: Mapping[str, tuple[str, ...]] = {"proprio": PROPRIOCEPTION, "objects": OBJECTS}

# Orders of the objects in the group: by colour, as `COLORS`, or by their roles in the
# task (`tasks.Task.roles`), so that a model of many tasks finds each in one place.
OBJECT_ORDERS = ("color", "role")
ROLES = ("top", "bottom", "other")
OBJECTS_BY_ROLE = tuple(f"{r}/abs_pose" for r in ROLES) + tuple(
    f"{r}/to_pinch" for r in ROLES
)


def shape(name: str) -> tuple[int, ...]:
    """Returns the stacked shape of one observation."""
    if name == PREVIOUS_ACTION:
        return (ACTION_STACK, PREVIOUS_ACTION_SIZE)
    size = FRAME_SIZES[name]
    return (STACK, size) if size else (STACK,)


def dtype(name: str) -> type:
    """Returns the numpy type of one observation."""
    return np.uint8 if name == "gripper/grasp" else np.float32


@numba.njit(cache=True)
def push(frames: np.ndarray, frame: np.ndarray) -> None:
    """Puts a frame [F] first in a stack [3, F], as the newest."""
    for i in range(len(frames) - 1, 0, -1):
        frames[i] = frames[i - 1]
    for j in range(len(frame)):
        frames[0, j] = frame[j]


def _gather() -> tuple[np.ndarray, list[tuple[str, slice]]]:
    """Returns a flat observation's indices in frames, and its named parts."""
    frames = np.arange(STACK * FRAME_SIZE).reshape(STACK, FRAME_SIZE)
    sources, parts, start = [], [], 0
    for name in (*PROPRIOCEPTION, *OBJECTS, PREVIOUS_ACTION):
        depth = ACTION_STACK if name == PREVIOUS_ACTION else STACK
        sources.append(frames[:depth, LAYOUT[name]].ravel())
        parts.append((name, slice(start, start + len(sources[-1]))))
        start = parts[-1][1].stop
    return np.concatenate(sources), parts


_SOURCES, _PARTS = _gather()
# The flat observation as one record, whose fields are the observations in float32.
_RECORD = np.dtype([(name, np.float32, shape(name)) for name, _ in _PARTS])
_OTHER_TYPES = [(name, dtype(name)) for name, _ in _PARTS if dtype(name) != np.float32]


def of_frames(frames: np.ndarray) -> dict[str, np.ndarray]:
    """Names the observations in a stack of frames.

    Args:
      frames: [STACK, FRAME_SIZE], newest first.

    Returns:
      Arrays by name, most of them views of one array that is not `frames`.
    """
    record = np.asarray(frames, np.float32).take(_SOURCES).view(_RECORD)
    observation = {name: record[name][0] for name, _ in _PARTS}
    for name, kind in _OTHER_TYPES:
        observation[name] = observation[name].astype(kind)
    return observation


GROUP_SIZES: Mapping[str, int] = {
    group: sum(int(np.prod(shape(name))) for name in names)
    for group, names in GROUPS.items()
}


@functools.cache
def objects_of(colors: tuple[str, ...]) -> tuple[str, ...]:
    """Returns the names of `OBJECTS` with the objects in the order of these colours."""
    of_role = dict(zip(ROLES, colors, strict=True))
    named = (name.split("/") for name in OBJECTS_BY_ROLE)
    return tuple(f"rgb30_{of_role[role]}/{part}" for role, part in named)


def group(
    observation: Mapping[str, Any], colors: tuple[str, ...] = COLORS
) -> dict[str, Any]:
    """Concatenates named observations into the vectors that agents see.

    Args:
      observation: arrays or tensors [..., *shape(name)] by name, any leading shape.
      colors: order of the objects.

    Returns:
      `proprio` float32 [..., P] and `objects` float32 [..., O], of the input's kind.

    Raises:
      ValueError: a name is missing.
    """
    missing = [n for names in GROUPS.values() for n in names if n not in observation]
    if missing:
        raise ValueError(f"observations lack {', '.join(missing)}")
    ordered = {**GROUPS, "objects": objects_of(colors)}
    return {key: _concatenate(observation, names) for key, names in ordered.items()}


def _concatenate(observation: Mapping[str, Any], names: tuple[str, ...]) -> Any:
    first = observation[names[0]]
    if isinstance(first, np.ndarray):
        lead = first.shape[: first.ndim - len(shape(names[0]))]
        return np.concatenate(
            [
                # Not -1, which NumPy cannot know for an episode without steps.
                np.asarray(observation[n], np.float32).reshape(
                    *lead, math.prod(shape(n))
                )
                for n in names
            ],
            axis=-1,
        )
    import tensorflow as tf  # the simulation needs no TensorFlow

    flat = []
    for name in names:
        x = tf.cast(observation[name], tf.float32)
        lead = tf.shape(x)[: x.shape.rank - len(shape(name))]
        size = int(np.prod(shape(name)))
        flat.append(tf.reshape(x, tf.concat([lead, [size]], 0)))
    return tf.concat(flat, -1)


def _sources(names: tuple[str, ...]) -> np.ndarray:
    """Returns the indices in frames of the observations of these names."""
    parts = dict(_PARTS)
    return np.concatenate([_SOURCES[parts[name]] for name in names])


_PROPRIO_SOURCE = _sources(PROPRIOCEPTION)
_OBJECT_SOURCES = {
    colors: _sources(objects_of(colors)) for colors in itertools.permutations(COLORS)
}


def groups_of_frames(
    frames: np.ndarray, colors: tuple[str, ...] = COLORS
) -> dict[str, np.ndarray]:
    """Groups a stack of frames: `group(of_frames(frames), colors)` in one step.

    Args:
      frames: float32 [STACK, FRAME_SIZE], newest first.
      colors: order of the objects.

    Returns:
      `proprio` [P] and `objects` [O].
    """
    return {
        "proprio": frames.take(_PROPRIO_SOURCE),
        "objects": frames.take(_OBJECT_SOURCES[colors]),
    }


def group_specs() -> dict[str, specs.Array]:
    """Returns the specs of `proprio` [P] and `objects` [O], float32."""
    return {
        name: specs.Array((size,), np.float32, name=name)
        for name, size in GROUP_SIZES.items()
    }
