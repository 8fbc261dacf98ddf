"""Measures, descriptions and a test of difference of the behaviour of skills.

Shape letters: K skills, R initial states (each skill has one rollout from each), F
features of an end state.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from environments.observations import COLORS
from launchers.analysis.rollouts import Rollout

# The features of an end state, by which skills are compared.
END_STATE = ("height_end", "closing_end", *(f"distance_{c}_end" for c in COLORS))

# Thresholds of `words`, on means over rollouts.
_MOVED = 0.02  # m; a smaller movement does not count
_THERE = 0.15  # m, the largest distance at which the tool is at an object
_GRASPED = 0.25  # share of the steps
_OPEN, _CLOSED = 1 / 3, 2 / 3  # share of the fingers' travel from open to closed


def measure(rollout: Rollout) -> dict[str, float]:
    """Returns measures of one rollout by name: metres, and shares from 0 to 1.

    `closing` is 0 for open and 1 for closed fingers, `grasp_share` the share of steps
    with the grasp flag, `lift` the greatest height of an object above its start,
    `slide` its horizontal distance from its start at the end.
    """
    distances = np.linalg.norm(rollout.objects - rollout.pinch[:, None], axis=-1)
    moved = rollout.objects - rollout.objects[0]
    values = {
        "height_start": rollout.pinch[0, 2],
        "height_end": rollout.pinch[-1, 2],
        "closing_start": rollout.fingers[0],
        "closing_end": rollout.fingers[-1],
        "grasp_share": rollout.grasps.mean(),
    }
    for i, color in enumerate(COLORS):
        values[f"distance_{color}_start"] = distances[0, i]
        values[f"distance_{color}_end"] = distances[-1, i]
        values[f"lift_{color}"] = moved[:, i, 2].max()
        values[f"slide_{color}"] = np.linalg.norm(moved[-1, i, :2])
    return {name: float(value) for name, value in values.items()}


def by_skill(rollouts: Sequence[Rollout]) -> list[dict[str, np.ndarray]]:
    """Returns name -> [R] for each skill, initial states in the same order for all."""
    rows = sorted(rollouts, key=lambda r: (r.skill, r.seed))
    groups: dict[int, list[dict[str, float]]] = {}
    for rollout in rows:
        groups.setdefault(rollout.skill, []).append(measure(rollout))
    return [
        {name: np.array([m[name] for m in group]) for name in group[0]}
        for group in groups.values()
    ]


def words(means: Mapping[str, float]) -> str:
    """Describes a skill's mean measures by rules, as "descends to red, fingers open".

    The tool's change of height (2 cm or more) gives the verb. The goal is the object
    that the tool ends nearest to, if that is within 15 cm and nearer than at the start,
    or "the objects" if another one is as near (within 2 cm). Then follow a grasp (a
    quarter of the steps), lifts and pushes (2 cm or more), and the fingers.
    """
    rise = means["height_end"] - means["height_start"]
    ends = {color: means[f"distance_{color}_end"] for color in COLORS}
    nearest, second, _ = sorted(COLORS, key=ends.__getitem__)
    nearer = means[f"distance_{nearest}_start"] - ends[nearest]
    verb = "descends" if rise <= -_MOVED else "rises" if rise >= _MOVED else "stays"
    if nearer >= _MOVED and ends[nearest] <= _THERE:
        alone = ends[second] - ends[nearest] >= _MOVED
        target = nearest if alone else "the objects"
        text = f"{'moves level' if verb == 'stays' else verb} to {target}"
    else:
        text = "stays where it is" if verb == "stays" else verb
    parts = [text]
    if means["grasp_share"] >= _GRASPED:
        parts.append("grasps")
    for verb, name in (("lifts", "lift"), ("pushes", "slide")):
        moved = [c for c in COLORS if means[f"{name}_{c}"] >= _MOVED]
        if verb == "pushes":  # a lifted object is carried, not pushed
            moved = [c for c in moved if means[f"lift_{c}"] < _MOVED]
        if moved:
            parts.append(f"{verb} {' and '.join(moved)}")
    closing = means["closing_end"]
    how = "open" if closing < _OPEN else "closed" if closing > _CLOSED else "half open"
    return ", ".join([*parts, f"fingers {how}"])


@dataclasses.dataclass(frozen=True)
class Separation:
    """A test of whether skills end in different states.

    Attributes:
      statistic: ratio of the end state's variance between skills to that within a skill
        (an F statistic over all features); 1 is expected of skills that do not differ.
      p_value: share of the permutations with a statistic at least as large.
      explained: [F] share of each feature's variance explained by the skill.
      distances: [K, K] between mean end states, in standard deviations within a skill.
    """

    statistic: float
    p_value: float
    explained: np.ndarray
    distances: np.ndarray


def separation(
    ends: np.ndarray, seed: int, permutations: int = 999
) -> Separation | None:
    """Tests whether end states vary more between skills than within a skill.

    All skills start from the same states, so the mean over skills is first subtracted
    for each start: an effect of a state on all skills alike is no difference of skills.
    With features in units of their deviations, the statistic is the between-skill mean
    square over the residual one (a repeated-measures analysis of variance, summed over
    the features); exchanging the skills' names within each start gives its
    distribution under no difference (a permutation test). No classifier is trained.

    Args:
      ends: [K, R, F] end states.
      seed: seed of the permutations.
      permutations: number of permutations.

    Returns:
      None for fewer than two skills or two starts, or where nothing varies.
    """
    num_skills, num_starts, _ = ends.shape
    if num_skills < 2 or num_starts < 2:
        return None
    values = ends - ends.mean(axis=0)  # [K, R, F]
    scale = values.std(axis=(0, 1))
    varies = scale > 1e-9
    if not varies.any():
        return None
    values = values[..., varies] / scale[varies]
    total = np.square(values).sum(axis=(0, 1))  # [F]

    def between(grouped: np.ndarray) -> np.ndarray:
        return num_starts * np.square(grouped.mean(axis=1)).sum(axis=0)  # [F]

    def ratio(grouped: np.ndarray) -> float:
        observed = between(grouped).sum()
        rest = max(total.sum() - observed, 1e-12)
        return float(observed * (num_starts - 1) / rest)  # (K - 1) cancels

    statistic = ratio(values)
    rng = np.random.default_rng(seed)
    as_large = sum(
        ratio(_shuffled(values, rng)) >= statistic - 1e-9 for _ in range(permutations)
    )
    explained = np.zeros(ends.shape[-1])
    explained[varies] = between(values) / total
    means = values.mean(axis=1)  # [K, F]
    degrees = (num_skills - 1) * (num_starts - 1)
    within = np.sqrt(np.maximum((total - between(values)) / degrees, 1e-12))
    apart = (means[:, None] - means[None]) / within
    return Separation(
        statistic=statistic,
        p_value=(as_large + 1) / (permutations + 1),
        explained=explained,
        distances=np.linalg.norm(apart, axis=-1),
    )


def _shuffled(values: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Exchanges the skills [K, R, F] within each start."""
    order = rng.permuted(
        np.tile(np.arange(len(values))[:, None], values.shape[1]), axis=0
    )
    return np.take_along_axis(values, order[..., None], axis=0)
