"""Columns of a data set that learners read: which features, in which order.

A data set of this project has those of `environments.observations.GROUPS`, and actions
in [-1, 1]. Any other one is read by the names of its features, and its actions are
scaled to [-1, 1] by their bounds.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from datasets.rlds import files, reader, schema
from environments import mapping, observations, scene, tasks

# A dimension that varies less keeps its value and gets bounds of 1 to either side.
_MIN_RANGE = 1e-6
_MAX_RANK = 2  # arrays of more dimensions are images or volumes

Bounds = tuple[tuple[float, ...], tuple[float, ...]]  # low [D], high [D]


@dataclasses.dataclass(frozen=True)
class Columns:
    """Names of the features that learners read.

    Attributes:
      proprio, objects: observations, whose flattened values are concatenated in order;
        nested names are joined by slashes, with or without `observation/` before them.
      action: features of the action, as above; empty for `expert_action` where a data
        set has it and else `action`.
      bounds: low and high of the action, which become -1 and 1; None takes those of
        the features (`value_range` of their documentation, a JSON list of low and high)
        or else the least and greatest of the data.
    """

    proprio: tuple[str, ...] = observations.PROPRIOCEPTION
    objects: tuple[str, ...] = observations.OBJECTS
    action: tuple[str, ...] = ()
    bounds: Bounds | None = None

    @classmethod
    def given(
        cls, proprio: Sequence[str], objects: Sequence[str], action: Sequence[str] = ()
    ) -> Columns:
        """Returns the columns of a user's keys, or this project's without any.

        Raises:
          ValueError: only some are given, or one is empty.
        """
        if not (proprio or objects or action):
            return OWN
        keys = {"proprio": proprio, "objects": objects}
        for name, value in keys.items():
            if not value:
                raise ValueError(
                    f"--{name} is missing: --proprio and --objects name the "
                    "observations of a data set from elsewhere"
                )
        if not all((*proprio, *objects, *action)):
            raise ValueError("a key is empty; valid: names with commas between them")
        return cls(tuple(proprio), tuple(objects), tuple(action))

    @classmethod
    def of_bundle(cls, description: Mapping[str, Any]) -> Columns:
        """Returns the columns that a bundle was learned from, by its description."""
        action, names = description.get("action"), description["observation_names"]
        if action is None:
            by_role = tuple(names["objects"]) == BY_ROLE.objects
            return BY_ROLE if by_role else OWN
        return cls(
            tuple(names["proprio"]),
            tuple(names["objects"]),
            tuple(action["names"]),
            (tuple(action["low"]), tuple(action["high"])),
        )

    @property
    def is_own(self) -> bool:
        """Whether these are the columns of this project's own data sets."""
        return (
            self.proprio == observations.PROPRIOCEPTION
            and self.objects in (observations.OBJECTS, observations.OBJECTS_BY_ROLE)
            and self.action in ((), ("action",), (schema.EXPERT_ACTION,))
            and self.bounds in (None, _OWN_BOUNDS)
        )

    @property
    def object_order(self) -> str:
        """Order of the objects, one of `observations.OBJECT_ORDERS`."""
        by_role = self.objects == observations.OBJECTS_BY_ROLE
        return "role" if by_role else "color"

    @property
    def sources(self) -> tuple[str, ...]:
        """Names in the data set of the observations that are read."""
        objects = observations.OBJECTS if self.is_own else self.objects
        return (*self.proprio, *objects)

    @property
    def groups(self) -> dict[str, tuple[str, ...]]:
        """Names of the observations by group."""
        return {"proprio": self.proprio, "objects": self.objects}

    def action_facts(self) -> dict[str, Any] | None:
        """Returns the action's names and bounds for a bundle; None for our own."""
        if self.is_own:
            return None
        assert self.bounds is not None, "loaded columns have bounds"
        low, high = map(list, self.bounds)
        return {"names": list(self.action), "low": low, "high": high}

    def resolved(self, source: reader.Records) -> Columns:
        """Returns the columns by the data set's own names, with bounds if it has them.

        Raises:
          ValueError: a feature is missing or is no vector of numbers; the message has
            the valid ones.
        """
        if self.is_own:
            return dataclasses.replace(_resolved_own(source), objects=self.objects)
        vectors = _vectors(source)

        def refuse(text: str) -> ValueError:
            return files.refusal(source.directory, files.FEATURES, text)

        found = {}
        for group, keys in self.groups.items():
            try:
                found[group] = mapping.resolve(keys, vectors)
            except ValueError as e:
                images = [k for k in keys if k in source.observation_features]
                what = f"; {images[0]} is no vector of numbers" if images else ""
                raise refuse(f"does not fit --{group}: {e}{what}") from e
        action = self.action or (
            (schema.EXPERT_ACTION,)
            if schema.EXPERT_ACTION in source.step_features
            else ("action",)
        )
        actions = {k: f for k, f in source.step_features.items() if is_vector(f)}
        try:
            action = mapping.resolve(action, actions)
        except ValueError as e:
            raise refuse(f"does not fit --action: {e}") from e
        bounds = self.bounds or said_bounds([actions[name] for name in action])
        return dataclasses.replace(self, **found, action=action, bounds=bounds)

    @property
    def executed(self) -> tuple[str, ...]:
        """Features of the action that was executed, where `action` is a label."""
        return ("action",) if self.action == (schema.EXPERT_ACTION,) else self.action

    def observations(
        self, values: Mapping[str, Any], task: str = ""
    ) -> dict[str, np.ndarray]:
        """Groups an episode's arrays [F, ...]: proprio [F, P] and objects [F, O].

        Args:
          values: the arrays by name.
          task: the episode's task, which decides the roles of the objects.

        Raises:
          ValueError: the objects are to be in the order of their roles, and there is no
            such task.
        """
        if self.is_own:
            if self.object_order == "color":
                return observations.group(values)
            scene.one_of("task of an episode", task, tasks.TASKS)
            return observations.group(values, tasks.TASKS[task].roles)
        return {
            group: mapping.vector(values, names, lead=1)
            for group, names in self.groups.items()
        }


OWN = Columns()
BY_ROLE = Columns(objects=observations.OBJECTS_BY_ROLE)
_OWN_BOUNDS: Bounds = ((-1.0,) * schema.ACTION_SIZE, (1.0,) * schema.ACTION_SIZE)


def _vectors(source: reader.Records) -> dict[str, Any]:
    """Returns the observations that are vectors of numbers; refuses where none is."""
    features = sorted(source.observation_features.items())
    found = {name: feature for name, feature in features if is_vector(feature)}
    if not found:
        names = ", ".join(source.observation_features) or "nothing"
        text = (
            f"has no observation that is a vector of numbers, only {names}: a model of "
            "skills needs such as joint positions and poses of objects"
        )
        raise files.refusal(source.directory, files.FEATURES, text)
    return found


def _resolved_own(source: reader.Records) -> Columns:
    vectors = _vectors(source)
    names = (*observations.PROPRIOCEPTION, *observations.OBJECTS)
    if not any(name in vectors for name in names):
        text = (
            "has none of this project's observations: name its own by --proprio and "
            f"--objects; valid: {', '.join(vectors)}"
        )
        raise files.refusal(source.directory, files.FEATURES, text)
    has_label = schema.EXPERT_ACTION in source.step_features
    label = schema.EXPERT_ACTION if has_label else "action"
    valid = (schema.ACTION_SIZE,)
    for key in (label, "action"):
        feature = source.step_features[key]
        if reader.array_shape(feature) != valid:
            text = f"says: {reader.wrong_shape(key, feature, valid)}"
            raise files.refusal(source.directory, files.FEATURES, text)
    source.check_groups()
    return Columns(action=(label,), bounds=_OWN_BOUNDS)


def is_vector(feature: Any) -> bool:
    """Returns whether a feature is plain numbers that can be a part of a vector."""
    shape = reader.array_shape(feature)
    return shape is not None and len(shape) <= _MAX_RANK


def bounds_of(low: np.ndarray, high: np.ndarray) -> Bounds:
    """Returns bounds as plain numbers; a constant dimension gets some room."""
    low, high = np.asarray(low, np.float64), np.asarray(high, np.float64)
    room = np.where(high - low < _MIN_RANGE, 1.0, 0.0)
    return tuple((low - room).tolist()), tuple((high + room).tolist())


def scaled(values: np.ndarray, bounds: Bounds) -> np.ndarray:
    """Maps values [..., D] within the bounds to [-1, 1], float32."""
    low, high = np.asarray(bounds[0]), np.asarray(bounds[1])
    return (2.0 * (values - low) / (high - low) - 1.0).astype(np.float32)


def said_bounds(features: Sequence[Any]) -> Bounds | None:
    """Reads the bounds of the features' documentation; None unless all have some."""
    lows, highs = [], []
    for feature in features:
        shape = tuple(feature.shape)
        try:
            low, high = json.loads(feature.doc.value_range or "null")
            lows.append(np.broadcast_to(np.asarray(low, np.float64), shape).ravel())
            highs.append(np.broadcast_to(np.asarray(high, np.float64), shape).ravel())
        except (TypeError, ValueError):  # a text for people, or none
            return None
    low, high = np.concatenate(lows), np.concatenate(highs)
    if not (np.isfinite(low).all() and np.isfinite(high).all() and (low < high).all()):
        return None
    return bounds_of(low, high)
