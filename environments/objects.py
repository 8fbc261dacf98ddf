"""Three objects of a scene: their sets, and their exchange in a compiled model.

The scene is compiled once, with the largest object in all three slots (red, green,
blue). Each slot has its own visual and collision mesh. To put another object there,
`ObjectSlots` copies what MuJoCo's compiler makes of that object alone into the room of
these meshes and into the slot's geoms and body. Nothing is recompiled, the models of
all sets differ only in these numbers, and a slot can be scaled without touching
another.

A renderer holds copies of the meshes: when `ObjectSlots.version` changes, it uploads
`ObjectSlots.meshes` anew (`mujoco.mjr_uploadMesh`).
"""

from __future__ import annotations

import functools
import os
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from environments import observations
from environments.rendering import mujoco

# isort: split
from dm_control import mjcf
from dm_robotics.manipulation.props.rgb_objects import rgb_object

# Test triplets by number: ids of the red, green and blue object.
SETS: dict[int, tuple[str, ...]] = {
    number: tuple(rgb_object.PROP_TRIPLETS_TEST[f"rgb_test_triplet{number}"].ids)
    for number in range(1, 6)
}
RANDOM = "random"  # three training objects, drawn anew for each episode
TRAINING = tuple(sorted(rgb_object.RGB_OBJECTS_TRAIN_SET))
ALL = tuple(sorted(rgb_object.RGB_OBJECTS_FULL_SET))
LARGEST = "r2"  # has the most vertices and faces; a slot has room for it

ObjectSet = int | str | Sequence[str]

# Tables with parts of meshes: the table, the fields of a mesh's address and number of
# rows there, and whether the values are lengths.
_TABLES = (
    ("mesh_vert", "mesh_vertadr", "mesh_vertnum", True),
    ("mesh_normal", "mesh_normaladr", "mesh_normalnum", False),
    ("mesh_face", "mesh_faceadr", "mesh_facenum", False),
    ("mesh_facenormal", "mesh_faceadr", "mesh_facenum", False),
    ("bvh_child", "mesh_bvhadr", "mesh_bvhnum", False),
    ("bvh_depth", "mesh_bvhadr", "mesh_bvhnum", False),
    ("bvh_nodeid", "mesh_bvhadr", "mesh_bvhnum", False),
    ("bvh_aabb", "mesh_bvhadr", "mesh_bvhnum", True),
)
_COUNTS = (
    "mesh_vertnum",
    "mesh_normalnum",
    "mesh_facenum",
    "mesh_bvhnum",
    "mesh_polynum",
)
# Fields that differ between objects, and the power of length with which they scale.
_MESH_FIELDS = {"mesh_pos": 1, "mesh_quat": 0, "mesh_scale": 1, "mesh_extrema": 0}
_GEOM_FIELDS = {
    "geom_size": 1,
    "geom_aabb": 1,
    "geom_rbound": 1,
    "geom_pos": 1,
    "geom_quat": 0,
    "geom_sameframe": 0,
}
_BODY_FIELDS = {
    "body_mass": 3,
    "body_inertia": 5,
    "body_ipos": 1,
    "body_iquat": 0,
    "body_sameframe": 0,
}


def check(object_set: ObjectSet) -> None:
    """Raises a ValueError, naming the valid sets, unless `object_set` is one."""
    if isinstance(object_set, str | int) and not isinstance(object_set, bool):
        valid = object_set in SETS or object_set == RANDOM
        problem = f"unknown object set {object_set!r}"
    elif isinstance(object_set, list | tuple):
        unknown = [i for i in object_set if i not in ALL]
        valid = len(object_set) == len(observations.COLORS) and not unknown
        problem = f"objects {', '.join(map(str, object_set))}"
        if unknown:
            problem = f"unknown object {', '.join(map(str, unknown))}"
    else:
        valid, problem = False, f"unknown object set {object_set!r}"
    if not valid:
        raise ValueError(
            f"{problem}; valid: {', '.join(map(str, SETS))}, {RANDOM}, or the ids of "
            f"three objects ({', '.join(ALL[:3])}, ... {', '.join(ALL[-3:])})"
        )


def triplet(
    object_set: ObjectSet, rng: np.random.Generator | None = None
) -> tuple[str, ...]:
    """Returns the ids of a checked set's red, green and blue object.

    Only "random" needs a generator; it draws training objects without replacement.
    """
    if object_set == RANDOM:
        assert rng is not None, "random objects need a generator"
        return tuple(str(i) for i in rng.choice(TRAINING, 3, replace=False))
    return SETS[object_set] if isinstance(object_set, int) else tuple(object_set)


def prop(object_id: str, name: str, **arguments: Any) -> rgb_object.RgbObjectProp:
    """Makes an object of dm_robotics, with its mass and friction."""
    return rgb_object.RgbObjectProp(obj_id=object_id, name=name, **arguments)


class _Block(NamedTuple):
    """Rows of a table that hold a part of a mesh.

    Attributes:
      table: name of the table.
      rows: rows of the mesh.
      power: power of length with which the values scale.
      base: first address of the mesh in another table, if the values are addresses
        there; else 0.
    """

    table: str
    rows: slice
    power: int = 0
    base: int = 0


class _Part:
    """Object in a model: ids of its body, geoms and meshes (visual, collision)."""

    def __init__(self, model: mujoco.MjModel, body: int) -> None:
        self.model = model
        self.body = body
        first = model.body_geomadr[body]
        self.geoms = range(first, first + model.body_geomnum[body])
        self.meshes = [int(model.geom_dataid[geom]) for geom in self.geoms]
        self.bvh = int(model.body_bvhadr[body])

    def rows(self) -> Iterator[tuple[str, int, int]]:
        """Yields field, row and power of length of all fields with one row per id."""
        for ids, fields in (
            (self.meshes, _MESH_FIELDS),
            (self.geoms, _GEOM_FIELDS),
            ([self.body], _BODY_FIELDS),
            ([self.bvh], {"bvh_aabb": 1}),
        ):
            for index in ids:
                for field, power in fields.items():
                    yield field, index, power
        for mesh in self.meshes:
            for field in _COUNTS:
                yield field, mesh, 0

    def blocks(self) -> Iterator[_Block]:
        """Yields the meshes' blocks of rows in tables."""
        model = self.model
        for mesh in self.meshes:
            for table, address, count, is_length in _TABLES:
                rows = _rows(getattr(model, address)[mesh], getattr(model, count)[mesh])
                yield _Block(table, rows, int(is_length))
            first = int(model.mesh_graphadr[mesh])
            if first >= 0:  # the hull, as two numbers and their lists
                vertices, faces = model.mesh_graph[first : first + 2]
                size = 2 + 3 * int(vertices) + 6 * int(faces)
                yield _Block("mesh_graph", _rows(first, size))
            if model.mesh_polynum[mesh]:
                yield from self._polygons(mesh)

    def _polygons(self, mesh: int) -> Iterator[_Block]:
        """Yields blocks of the hull's polygons, from which mesh contacts are computed.

        Each polygon has a list of vertices, and each vertex a list of polygons.
        """
        model = self.model
        polygons = _rows(model.mesh_polyadr[mesh], model.mesh_polynum[mesh])
        vertices = _rows(model.mesh_vertadr[mesh], model.mesh_vertnum[mesh])
        yield _Block("mesh_polynormal", polygons)
        for owners, name in ((polygons, "mesh_polyvert"), (vertices, "mesh_polymap")):
            start = int(getattr(model, f"{name}adr")[owners.start])
            sizes = getattr(model, f"{name}num")[owners]
            yield _Block(f"{name}num", owners)
            yield _Block(f"{name}adr", owners, base=start)
            yield _Block(name, _rows(start, sizes.sum()))


def _rows(first: int, count: int) -> slice:
    return slice(int(first), int(first) + int(count))


@functools.cache
def _template(visible: bool) -> tuple[str, str, dict[str, str]]:
    """Returns one object's XML, its mesh's name there, and all objects' mesh files."""
    root = mjcf.RootElement()
    root.compiler.discardvisual = not visible
    root.attach(prop(LARGEST, "object").mjcf_model)
    (mesh,) = root.get_assets()
    version = rgb_object.V1_3
    id_of = rgb_object.PROP_FEATURES[version].get_object_id_func
    files = rgb_object.RgbDataset()(version)
    return root.to_xml_string(), mesh, {id_of(os.path.basename(f)): f for f in files}


@functools.cache
def _values(object_id: str, visible: bool) -> list[tuple[np.ndarray, int]]:
    """Returns an object's numbers, rows and then blocks, in the order of `_Part`."""
    xml, mesh, files = _template(visible)
    # Objects differ only in their mesh; building each from dm_robotics takes 10 ms.
    with open(files[object_id], "rb") as file:
        model = mujoco.MjModel.from_xml_string(xml, {mesh: file.read()})
    part = _Part(model, model.body("object/").id)
    rows = [
        (np.array(getattr(model, field)[where]), power)
        for field, where, power in part.rows()
    ]
    blocks = [
        (getattr(model, block.table)[block.rows] - block.base, block.power)
        for block in part.blocks()
    ]
    return rows + blocks


class ObjectSlots:
    """Red, green and blue object of a compiled scene, which change in place.

    Attributes:
      ids: ids of the objects in the model; empty before the first `write`.
      scales: factors of their sizes.
      meshes: ids of the meshes that `write` changes.
      version: number of writes so far.
    """

    def __init__(self, model: mujoco.MjModel) -> None:
        """Takes a model whose slots are as compiled, or as another instance left it."""
        self._model = model
        self._scratch = mujoco.MjData(model)
        names = [f"rgb_object_{color}" for color in observations.COLORS]
        parts = [_Part(model, model.body(f"{n}/{n}/").id) for n in names]
        # A simulated model has no visual meshes.
        self._visible = len(parts[0].meshes) > 1
        self._rows = [list(part.rows()) for part in parts]
        # Only the starts of the blocks are used: their lengths depend on the object.
        self._blocks = [list(part.blocks()) for part in parts]
        fields = {name for rows in self._rows for name, _, _ in rows}
        fields |= {block.table for blocks in self._blocks for block in blocks}
        self._fields = {name: getattr(model, name) for name in fields}
        self.meshes = np.array([mesh for part in parts for mesh in part.meshes])
        self.ids: tuple[str, ...] = ()
        self.scales: tuple[float, ...] = ()
        self.version = 0

    def write(
        self,
        ids: Sequence[str],
        scales: Sequence[float] | np.ndarray = (1.0, 1.0, 1.0),
    ) -> None:
        """Puts objects into the slots, each scaled by a factor.

        Density does not change: mass scales with the factor's third power and inertia
        with its fifth. The call overwrites any other change of the objects' mass and
        inertia.

        Args:
          ids: ids of the red, green and blue object; any of `ALL`.
          scales: [3], factors above 0.
        """
        fields = self._fields
        for slot, (object_id, scale) in enumerate(zip(ids, scales, strict=True)):
            rows, blocks = self._rows[slot], self._blocks[slot]
            values = [
                (value * scale**power if power else value)
                for value, power in _values(object_id, self._visible)
            ]
            for (name, row, _), value in zip(rows, values[: len(rows)], strict=True):
                fields[name][row] = value
            for block, value in zip(blocks, values[len(rows) :], strict=True):
                first = block.rows.start
                fields[block.table][first : first + len(value)] = value + block.base
        self.update_constants()
        self.ids, self.scales = tuple(ids), tuple(scales)
        self.version += 1

    def update_constants(self) -> None:
        """Makes MuJoCo recompute the constants that depend on masses and inertias."""
        model = self._model
        mujoco.mj_setConst(model, self._scratch)
        # The solver's tolerance is relative to this field, which only the compiler
        # sets.
        model.stat.meaninertia = sum(model.dof_M0.tolist()) / model.nv
