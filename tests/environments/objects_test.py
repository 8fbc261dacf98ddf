"""Objects that are switched in a compiled model, against models compiled with them."""

import numpy as np
import pytest
from dm_control import mjcf
from dm_robotics.manipulation.props.rgb_objects import rgb_object

import environments
from environments import cell, objects, observations, scene
from environments.rendering import mujoco

# Tables that hold all meshes one after the other, whose places differ; what the slots'
# meshes hold there is compared mesh by mesh.
_ADDRESSES = (
    "mesh_vertadr",
    "mesh_normaladr",
    "mesh_faceadr",
    "mesh_graphadr",
    "mesh_bvhadr",
    "mesh_polyadr",
)
_BY_MESH = {
    "mesh_vert": ("mesh_vertadr", "mesh_vertnum"),
    "mesh_normal": ("mesh_normaladr", "mesh_normalnum"),
    "mesh_face": ("mesh_faceadr", "mesh_facenum"),
    "mesh_facenormal": ("mesh_faceadr", "mesh_facenum"),
    "mesh_facetexcoord": ("mesh_faceadr", "mesh_facenum"),
    "bvh_child": ("mesh_bvhadr", "mesh_bvhnum"),
    "bvh_depth": ("mesh_bvhadr", "mesh_bvhnum"),
    "bvh_nodeid": ("mesh_bvhadr", "mesh_bvhnum"),
    "bvh_aabb": ("mesh_bvhadr", "mesh_bvhnum"),
    "mesh_polynormal": ("mesh_polyadr", "mesh_polynum"),
    "mesh_polyvertnum": ("mesh_polyadr", "mesh_polynum"),
    "mesh_polymapnum": ("mesh_vertadr", "mesh_vertnum"),
}
# Lists of each polygon or vertex of a mesh: the table, the addresses of the lists and
# their lengths, and where the mesh has those.
_LISTS = {
    "mesh_polyvert": ("mesh_polyvertadr", "mesh_polyvertnum", "mesh_polyadr"),
    "mesh_polymap": ("mesh_polymapadr", "mesh_polymapnum", "mesh_vertadr"),
}
_LIST_ADDRESSES = tuple(address for address, _, _ in _LISTS.values())


def arrays(model):
    """All arrays of a model by name, the statistics that the motion depends on too.

    `stat.meansize` and `stat.extent` are not there: viewers scale arrows and the view
    by them, and MuJoCo computes them only when it compiles.
    """
    found = {n: getattr(model, n) for n in dir(model) if not n.startswith("_")}
    found |= {f"stat.{n}": getattr(model.stat, n) for n in ("meaninertia", "meanmass")}
    return {
        name: np.asarray(value)
        for name, value in found.items()
        if isinstance(value, np.ndarray | float)
    }


def by_mesh(model, table, mesh):
    address, count = _BY_MESH[table]
    first = getattr(model, address)[mesh]
    return getattr(model, table)[first : first + getattr(model, count)[mesh]]


def lists(model, table, mesh):
    """The lists of a mesh's polygons or vertices, each by its own address."""
    addresses, lengths, owners = _LISTS[table]
    first = getattr(model, owners)[mesh]
    count = {"mesh_polyadr": "mesh_polynum", "mesh_vertadr": "mesh_vertnum"}[owners]
    rows = slice(first, first + getattr(model, count)[mesh])
    found = []
    for address, length in zip(
        getattr(model, addresses)[rows], getattr(model, lengths)[rows], strict=True
    ):
        assert address + length <= len(getattr(model, table))
        found.append(getattr(model, table)[address : address + length].tolist())
    return found


def graph(model, mesh):
    first = model.mesh_graphadr[mesh]
    if first < 0:
        return np.empty(0)
    later = model.mesh_graphadr[mesh + 1 :]
    later = later[later >= 0]
    vertices, faces = model.mesh_graph[first : first + 2]
    block = model.mesh_graph[first : first + 2 + 3 * vertices + 6 * faces]
    assert first + len(block) <= (later[0] if len(later) else model.nmeshgraph)
    return block


def compiled(ids):
    """The truth: a model that MuJoCo compiled with these objects."""
    settings = scene.PRESETS[scene.DEFAULT_PRESET]
    root = cell.compose(tuple(ids), settings.basket, settings.hand_links)
    root.compiler.discardvisual = True
    model = scene._compiled(root)
    settings.apply(model)
    return model


def dropped(model):
    """Positions after 200 steps of a fall that ends on the basket and each other."""
    data = mujoco.MjData(model)
    rng = np.random.default_rng(0)
    for i, address in enumerate(scene.Scene(model).object_qpos):
        quaternion = rng.normal(size=4)
        data.qpos[address : address + 3] = [0.6 + 0.02 * i, 0.0, 0.09 + 0.045 * i]
        data.qpos[address + 3 : address + 7] = quaternion / np.linalg.norm(quaternion)
    data.qvel[scene.Scene(model).object_dof + 2] = -0.5
    touching = 0
    for _ in range(200):
        mujoco.mj_step(model, data)
        owners = scene.Scene(model).geom_owner[data.contact.geom]
        touching += int(np.any(owners < scene.Scene.ROBOT))
    assert touching > 20
    return data.qpos.copy(), data.qvel.copy()


@pytest.mark.parametrize("number", objects.SETS)
def test_a_switched_model_is_the_model_compiled_with_the_set(number):
    switched, truth = scene.build(number % 5 + 1), compiled(objects.SETS[number])
    objects.ObjectSlots(switched).write(objects.SETS[number])
    mine, theirs = arrays(switched), arrays(truth)
    assert mine.keys() == theirs.keys()
    in_tables = {"mesh_graph", *_BY_MESH, *_LISTS, *_ADDRESSES, *_LIST_ADDRESSES}
    for name in mine.keys() - in_tables:
        np.testing.assert_array_equal(mine[name], theirs[name], err_msg=name)
    for mesh in range(switched.nmesh):
        for table in _BY_MESH:
            np.testing.assert_array_equal(
                by_mesh(switched, table, mesh), by_mesh(truth, table, mesh)
            )
        for table in _LISTS:
            assert lists(switched, table, mesh) == lists(truth, table, mesh), table
        np.testing.assert_array_equal(graph(switched, mesh), graph(truth, mesh))
    # The nodes of the bodies' trees come before the meshes'.
    static = switched.mesh_bvhadr.min()
    assert static == truth.mesh_bvhadr.min()
    np.testing.assert_array_equal(
        switched.bvh_aabb[:static], truth.bvh_aabb[:static], err_msg="bvh_aabb"
    )
    for mine, theirs in zip(dropped(switched), dropped(truth), strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_every_object_fits_a_slot_and_leaves_the_others_alone():
    model = scene.build(objects.RANDOM)
    slots = objects.ObjectSlots(model)
    tables = [*_BY_MESH]
    room = {
        (table, mesh): len(by_mesh(model, table, mesh))
        for table in tables
        for mesh in slots.meshes
    }
    lists_room = {
        (table, mesh): sum(map(len, lists(model, table, mesh)))
        for table in _LISTS
        for mesh in slots.meshes
    }
    for object_id in objects.ALL:
        slots.write((objects.LARGEST, object_id, "s0"))
        for (table, mesh), size in room.items():
            assert len(by_mesh(model, table, mesh)) <= size, (object_id, table)
        for (table, mesh), size in lists_room.items():
            used = sum(map(len, lists(model, table, mesh)))
            assert used <= size, (object_id, table)
        for mesh in slots.meshes:
            graph(model, mesh)
    once, again = scene.build((objects.LARGEST, objects.ALL[-1], "s0")), arrays(model)
    in_tables = {"mesh_graph", *_BY_MESH, *_LISTS, *_LIST_ADDRESSES}
    for name, value in arrays(once).items():
        if name not in in_tables:
            np.testing.assert_array_equal(value, again[name], err_msg=name)
    for mesh in slots.meshes:
        for table in tables:
            np.testing.assert_array_equal(
                by_mesh(once, table, mesh), by_mesh(model, table, mesh)
            )
        for table in _LISTS:
            assert lists(once, table, mesh) == lists(model, table, mesh)


def test_slots_keep_their_names_colours_and_friction():
    a, b = scene.build_visible(), scene.build_visible()
    objects.ObjectSlots(b).write(objects.SETS[2])
    assert [a.geom(i).name for i in range(a.ngeom)] == [
        b.geom(i).name for i in range(b.ngeom)
    ]
    for model in (a, b):
        geoms = scene.Scene(model).object_geom
        np.testing.assert_allclose(model.geom_friction[geoms], [[0.5, 0.005, 1e-4]] * 3)
        np.testing.assert_array_equal(model.geom_condim[geoms], 6)
        visual = geoms - 1
        colours = np.column_stack([np.eye(3), np.ones(3)])
        np.testing.assert_array_equal(model.geom_rgba[visual], colours)


@pytest.mark.parametrize("visible", [False, True])
@pytest.mark.parametrize(("object_id", "scale"), [("g5", 0.9), ("r2", 1.07)])
def test_a_scaled_object_is_the_one_mujoco_compiles_at_that_size(
    object_id, scale, visible
):
    root = mjcf.RootElement()
    root.compiler.discardvisual = not visible
    scaled = rgb_object.RgbObjectProp(obj_id=object_id, name="x", size=[scale] * 3)
    root.attach(scaled.mjcf_model)
    truth = mujoco.MjModel.from_xml_string(root.to_xml_string(), root.get_assets())
    model = scene.build_visible() if visible else scene.build(4)
    slots = objects.ObjectSlots(model)
    slots.write(("s0", object_id, "b6"), (1.0, scale, 1.0))
    body = scene.Scene(model).object_body[1]
    other = truth.body("x/").id
    # The compiler was told a mass, whatever the size; density makes it cubic.
    assert truth.body_mass[other] == pytest.approx(0.2)
    assert model.body_mass[body] == pytest.approx(0.2 * scale**3)
    np.testing.assert_allclose(
        model.body_inertia[body], truth.body_inertia[other] * scale**3, rtol=1e-4
    )
    np.testing.assert_allclose(model.body_ipos[body], truth.body_ipos[other], atol=1e-7)
    for offset in range(model.body_geomnum[body]):
        geom = model.body_geomadr[body] + offset
        for name in ("geom_size", "geom_aabb", "geom_rbound", "geom_pos"):
            np.testing.assert_allclose(
                getattr(model, name)[geom], getattr(truth, name)[offset], atol=1e-7
            )
        for table in ("mesh_vert", "mesh_normal", "mesh_face"):
            np.testing.assert_allclose(
                by_mesh(model, table, model.geom_dataid[geom]),
                by_mesh(truth, table, truth.geom_dataid[offset]),
                atol=2e-6,
            )


def test_what_is_drawn_has_the_joints_and_bodies_of_what_is_simulated():
    drawn = scene.build_visible()
    for preset in scene.PRESETS:
        simulated = scene.build(4, preset)
        assert simulated.nmesh < drawn.nmesh
        assert simulated.ngeom < 30
        for kind in ("body", "joint", "site", "cam"):
            count = getattr(
                simulated, {"joint": "njnt", "cam": "ncam"}.get(kind, f"n{kind}")
            )
            names = [
                [getattr(m, kind)(i).name for i in range(count)]
                for m in (simulated, drawn)
            ]
            assert names[0] == names[1]
        np.testing.assert_array_equal(simulated.jnt_qposadr, drawn.jnt_qposadr)


def test_a_scaled_cube_rests_at_the_scaled_height():
    model = scene.build(("s0", "s0", "s0"))  # a cube of 5 cm
    addresses = scene.Scene(model).object_qpos
    slots = objects.ObjectSlots(model)
    slots.write(("s0", "s0", "s0"), (0.9, 1.0, 1.1))
    data = mujoco.MjData(model)
    for y, address in zip((-0.08, 0.0, 0.08), addresses, strict=True):
        data.qpos[address : address + 7] = [0.6, y, 0.08, 1, 0, 0, 0]
    mujoco.mj_step(model, data, nstep=1000)
    heights = []
    for _ in range(40):  # a cube at rest trembles by a tenth of a millimetre
        mujoco.mj_step(model, data, nstep=25)
        heights.append(data.qpos[addresses + 2].copy())
    low, middle, high = np.mean(heights, axis=0)
    assert middle - low == pytest.approx(0.1 * 0.025, abs=3e-4)
    assert high - middle == pytest.approx(0.1 * 0.025, abs=3e-4)


@pytest.mark.parametrize(
    "wrong",
    [0, 99, True, "4", "set4", None, 2.5, ("s0", "g5"), ("s0", "g5", "z9"), (4, 4, 4)],
)
def test_sets_that_do_not_exist_name_those_that_do(wrong):
    sets = ", ".join(map(str, objects.SETS))
    with pytest.raises(ValueError, match=f"valid: {sets}, random"):
        environments.make(object_set=wrong)


def test_random_triplets_come_from_the_training_objects():
    test_objects = {i for ids in objects.SETS.values() for i in ids}
    assert objects.SETS[4] == ("s0", "g5", "b6")
    assert len(objects.TRAINING) == 103
    assert not set(objects.TRAINING) & test_objects
    drawn = [
        objects.triplet(objects.RANDOM, np.random.default_rng(seed))
        for seed in range(200)
    ]
    assert all(
        len(set(ids)) == 3 and set(ids) <= set(objects.TRAINING) for ids in drawn
    )
    assert len({i for ids in drawn for i in ids}) > 95
    again = objects.triplet(objects.RANDOM, np.random.default_rng(7))
    assert drawn[7] == again


def rollout(environment, seed, steps=5):
    environment.seed_episode(seed)
    history = [environment.reset()]
    rng = np.random.default_rng(0)
    for _ in range(steps):
        history.append(environment.step(rng.uniform(-1, 1, 5)))
    return history


def assert_same(first, second):
    for a, b in zip(first, second, strict=True):
        assert a.reward == b.reward
        for name in a.observation:
            np.testing.assert_array_equal(a.observation[name], b.observation[name])


def test_an_environment_changes_its_objects_between_episodes():
    changing = environments.make(object_set=4, seed=0, reward="dense")
    rollout(changing, 1)
    for object_set in (2, ("r2", "g6", "s0")):
        changing.set_objects(object_set)
        fixed = environments.make(object_set=object_set, seed=1, reward="dense")
        assert_same(rollout(changing, 3), rollout(fixed, 3))
    info = changing.episode_info()
    assert [info[f"object_{c}"] for c in observations.COLORS] == ["r2", "g6", "s0"]
    with pytest.raises(ValueError, match="unknown object q1"):
        changing.set_objects(("r2", "g6", "q1"))


def test_a_random_triplet_is_drawn_from_the_episodes_seed():
    first = environments.make(object_set="random", seed=0, domain_randomization=True)
    second = environments.make(object_set="random", seed=5, domain_randomization=True)
    rollout(second, 11)
    assert_same(rollout(first, 12), rollout(second, 12))
    assert first.episode_info() == second.episode_info()
    ids = [first.episode_info()[f"object_{c}"] for c in observations.COLORS]
    assert set(ids) <= set(objects.TRAINING)
    rollout(first, 13)
    assert ids != [first.episode_info()[f"object_{c}"] for c in observations.COLORS]
