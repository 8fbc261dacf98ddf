"""Resting objects, on faces and in piles, for `resting`; defines no flags."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from scipy import spatial

from datasets.experts.scripted import geometry
from environments import observations, scene
from environments.rendering import mujoco
from environments.stacking import RgbStacking

# m, apart from each other, on the flat part of the basket.
_PLACES = np.array([[0.54, -0.06], [0.66, -0.06], [0.60, 0.07]])
_SETTLING = 1.0  # s
_GAP = 2e-4  # m between an object and the surface on which it is put
_MIN_INSIDE = 1e-3  # m, least distance of the centre of mass from a face's edges


class Rest(NamedTuple):
    """Measurements of a resting object.

    Attributes:
      name: the object, or `TOP on BOTTOM`.
      face: number of the face on which it lies.
      moved: m, after the first second.
      turned: degrees, after the first second.
      contacts: mean number of contacts with what it lies on.
    """

    name: str
    face: int
    moved: float
    turned: float
    contacts: float


def faces(solid: geometry.Solid, centre: np.ndarray) -> list[int]:
    """Lists the faces on which a solid with this centre of mass [3] stands alone."""
    stable = []
    for face, normal in enumerate(solid.normals):
        height = solid.vertices @ normal - solid.offsets[face]
        corners = solid.vertices[height > -2e-4]
        if len(corners) < 3 or solid.areas[face] < 1e-4:
            continue
        first = np.cross(normal, [1.0, 0, 0] if abs(normal[0]) < 0.9 else [0, 1.0, 0])
        axes = np.stack([first, np.cross(normal, first)]) / np.linalg.norm(first)
        outline = spatial.ConvexHull(corners @ axes.T)
        inside = outline.equations[:, :2] @ (axes @ centre) + outline.equations[:, 2]
        if inside.max() < -_MIN_INSIDE:
            stable.append(face)
    return stable


def put(
    environment: RgbStacking, slot: int, face: int, place: np.ndarray, floor: float
) -> float:
    """Lays an object on one of its faces, with its centre of mass above a place.

    Args:
      environment: environment of the object.
      slot: 0 to 2, red, green or blue.
      face: number of a face of its solid.
      place: [2] m.
      floor: height [m] of the surface on which it lies.

    Returns:
      The height [m] of its top.
    """
    model, data = environment.physics
    body = environment.scene.object_body[slot]
    solid, centre = read(environment, slot)
    rotation, _ = spatial.transform.Rotation.align_vectors(
        [[0.0, 0.0, -1.0]], [solid.normals[face]]
    )
    position = np.append(place, floor + _GAP) - rotation.apply(
        centre - solid.normals[face] * (solid.normals[face] @ centre)
    )
    # The face's plane is at `offset` along -z.
    position[2] += solid.offsets[face]
    start = environment.scene.object_qpos[slot]
    x, y, z, w = rotation.as_quat()
    data.qpos[start : start + 7] = [*position, w, x, y, z]
    data.qvel[model.body_dofadr[body] : model.body_dofadr[body] + 6] = 0.0
    return float((rotation.apply(solid.vertices) + position)[:, 2].max())


def read(environment: RgbStacking, slot: int) -> tuple[geometry.Solid, np.ndarray]:
    """Reads an object's solid and centre of mass [3] m, both in the body's frame."""
    model, _ = environment.physics
    geom = environment.scene.object_geom[slot]
    solid = geometry.read_solid(model, geom)
    rotation = np.zeros(9)
    mujoco.mju_quat2Mat(rotation, model.geom_quat[geom])
    rotation = rotation.reshape(3, 3)
    placed = geometry.Solid(solid.vertices @ rotation.T + model.geom_pos[geom])
    return placed, model.body_ipos[environment.scene.object_body[slot]].copy()


def watch(
    environment: RgbStacking, seconds: float, below: list[int]
) -> Iterator[tuple[float, float, float]]:
    """Lets the objects rest, with the hand open and still.

    Args:
      environment: environment of the objects.
      seconds: duration.
      below: for each slot, the owner (see `Scene.geom_owner`) of what it lies on.

    Yields:
      For each slot: movement in m and in degrees after the first second, and mean
      contacts.
    """
    model, data = environment.physics
    addresses = environment.scene
    still = np.array([0.0, 0.0, 0.0, 0.0, -1.0], np.float32)
    steps = round(seconds / scene.CONTROL_TIMESTEP)
    settled = round(min(_SETTLING, seconds / 2) / scene.CONTROL_TIMESTEP)
    contacts = np.zeros(len(below))
    starts = addresses.object_qpos
    for step in range(steps):
        if step == settled:
            before = [data.qpos[s : s + 7].copy() for s in starts]
        environment.step(still)
        owners = np.sort(addresses.geom_owner[data.contact.geom], axis=1)
        for slot, owner in enumerate(below):
            pair = np.sort([slot, owner])
            contacts[slot] += (owners == pair).all(axis=1).sum()
    for slot, start in enumerate(starts):
        now = data.qpos[start : start + 7]
        dot = min(1.0, abs(float(now[3:] @ before[slot][3:])))
        yield (
            float(np.linalg.norm(now[:3] - before[slot][:3])),
            float(np.degrees(2 * np.arccos(dot))),
            contacts[slot] / steps,
        )


def prepare(environment: RgbStacking, ids: tuple[str, ...]) -> None:
    """Starts an episode with these objects and the hand out of their way."""
    environment.set_objects(ids)
    for seed in range(1000):
        environment.seed_episode(seed)
        environment.reset()
        if environment.state().pinch[2] > 0.35:
            return
    raise RuntimeError("no initial pose of the hand was high enough")


def on_faces(environment: RgbStacking, object_id: str, seconds: float) -> list[Rest]:
    """Measures an object's rest on each face on which it stands."""
    prepare(environment, (object_id,) * len(observations.COLORS))
    solid, centre = read(environment, 0)
    stable = faces(solid, centre)
    results = []
    for first in range(0, len(stable), len(_PLACES)):
        now = stable[first : first + len(_PLACES)]
        prepare(environment, (object_id,) * len(observations.COLORS))
        # Objects in spare slots lie on a face that is already measured.
        chosen = now + [stable[0]] * (len(_PLACES) - len(now))
        for slot, face in enumerate(chosen):
            put(environment, slot, face, _PLACES[slot], scene.BASKET_HEIGHT)
        mujoco.mj_forward(*environment.physics)
        rests = list(watch(environment, seconds, [scene.Scene.ELSEWHERE] * len(chosen)))
        results += [Rest(object_id, f, *r) for f, r in zip(now, rests, strict=False)]
    return results


def piled(
    environment: RgbStacking,
    ids: tuple[str, ...],
    seconds: float,
    top: int = 0,
    bottom: int = 2,
) -> Rest | None:
    """Measures the rest of one object on another; None if that cannot carry.

    Each lies on its broadest face that has a level one opposite. `top` and `bottom` are
    slots, by default of the red object and the blue one.
    """
    prepare(environment, ids)
    broadest = []
    for slot in range(len(ids)):
        solid, centre = read(environment, slot)
        good = [f for f in faces(solid, centre) if solid.carries[f]]
        broadest.append(max(good, key=lambda f: solid.areas[f]) if good else None)
    (aside,) = set(range(len(ids))) - {top, bottom}
    of_top, of_bottom, of_aside = (broadest[slot] for slot in (top, bottom, aside))
    if of_top is None or of_bottom is None:
        return None
    if of_aside is not None:
        put(environment, aside, of_aside, _PLACES[0], scene.BASKET_HEIGHT)
    height = put(environment, bottom, of_bottom, _PLACES[2], scene.BASKET_HEIGHT)
    put(environment, top, of_top, _PLACES[2], height)
    mujoco.mj_forward(*environment.physics)
    below = [scene.Scene.ELSEWHERE] * len(ids)
    below[top] = bottom
    rest = list(watch(environment, seconds, below))[top]
    return Rest(f"{ids[top]} on {ids[bottom]}", of_top, *rest)


def table(rests: list[Rest]) -> str:
    """Makes a Markdown table: a row per object or pile, a cell per face."""
    lines = [
        "| object | faces | moved, mm (worst) | turned, degrees (worst) | contacts |",
        "|---|---|---|---|---|",
    ]
    for name in dict.fromkeys(r.name for r in rests):
        rows = [r for r in rests if r.name == name]
        moved = ", ".join(f"{1e3 * r.moved:.2f}" for r in rows)
        lines.append(
            f"| {name} | {len(rows)} | {moved} | {max(r.turned for r in rows):.2f} | "
            f"{min(r.contacts for r in rows):.1f} |"
        )
    return "\n".join(lines) + "\n"
