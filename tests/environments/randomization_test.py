"""Domain randomisation: what each parameter moves, its ranges, and the noise."""

import dataclasses

import numpy as np
import pytest

import environments
from environments import noise, objects, observations, randomization, scene

Config = randomization.RandomizationConfig
NOISES = [f.name for f in dataclasses.fields(noise.ObservationNoise)]
NO_NOISE = noise.ObservationNoise(**dict.fromkeys(NOISES, 0.0))

_OBJECTS, _TIPS, _BASKET = "object_geom", "fingertip_geoms", "basket"
_ARM, _DRIVERS, _SPRINGS = "arm_dof", "drivers", "springs"
# Field of the model, where in it (rows, column), and the power of the factor.
MOVES: dict[str, list[tuple]] = {
    "object_mass": [
        ("body_mass", "object_body", 1),
        ("body_inertia", "object_body", 1),
    ],
    "object_size": [
        ("body_mass", "object_body", 3),
        ("body_inertia", "object_body", 5),
        ("body_ipos", "object_body", 1),
        ("geom_size", _OBJECTS, 1),
        ("geom_rbound", _OBJECTS, 1),
        ("geom_aabb", _OBJECTS, 1),
        ("geom_pos", _OBJECTS, 1),
        ("mesh_vert", None, 1),
        ("mesh_pos", None, 1),
        ("mesh_scale", None, 1),
        ("bvh_aabb", None, 1),
    ],
    "object_sliding_friction": [("geom_friction", (_OBJECTS, 0), 1)],
    "object_torsional_friction": [("geom_friction", (_OBJECTS, 1), 1)],
    "object_rolling_friction": [("geom_friction", (_OBJECTS, 2), 1)],
    "basket_friction": [("geom_friction", _BASKET, 1)],
    "fingertip_sliding_friction": [("geom_friction", (_TIPS, 0), 1)],
    "fingertip_torsional_friction": [("geom_friction", (_TIPS, 1), 1)],
    "fingertip_rolling_friction": [("geom_friction", (_TIPS, 2), 1)],
    "gripper_force": [("actuator_forcerange", "finger_ctrl", 1)],
    "finger_gain": [
        ("actuator_gainprm", "finger_ctrl", 1),
        ("actuator_biasprm", "finger_ctrl", 1),
    ],
    "finger_damping": [("dof_damping", _DRIVERS, 1)],
    "finger_armature": [("dof_armature", _DRIVERS, 1)],
    "spring_link_damping": [("dof_damping", _SPRINGS, 1)],
    "arm_damping": [("dof_damping", _ARM, 1)],
    "arm_armature": [("dof_armature", _ARM, 1)],
    "arm_friction_loss": [("dof_frictionloss", _ARM, 1)],
    "arm_gain": [
        ("actuator_gainprm", "arm_ctrl", 1),
        ("actuator_biasprm", "arm_ctrl", 1),
    ],
    "gravity_compensation": [],
}
# What MuJoCo derives from the others.
_DERIVED = (
    "dof_M0",
    "dof_invweight0",
    "body_invweight0",
    "body_subtreemass",
    "tendon_invweight0",
    "actuator_acc0",
    "cam_poscom0",
    "light_poscom0",
)

# A slot's room holds what is left of a larger object, beyond what is used.
_PER_MESH = (
    "mesh_vert",
    "mesh_normal",
    "mesh_face",
    "mesh_facenormal",
    "mesh_graph",
    "mesh_polynormal",
    "mesh_polyvertadr",
    "mesh_polyvertnum",
    "mesh_polyvert",
    "mesh_polymap",
    "bvh_child",
    "bvh_depth",
    "bvh_nodeid",
    "bvh_aabb",
)


def fields(model):
    found = {n: getattr(model, n) for n in dir(model) if not n.startswith("_")}
    return {
        name: value.copy()
        for name, value in found.items()
        if isinstance(value, np.ndarray) and name not in _DERIVED
    }


def all_fields(model):
    found = {n: getattr(model, n) for n in dir(model) if not n.startswith("_")}
    return {n: v.copy() for n, v in found.items() if isinstance(v, np.ndarray)}


def make(config=None, object_set=4):
    model = scene.build(object_set)
    slots = objects.ObjectSlots(model)
    slots.write(objects.triplet(object_set))
    return model, randomization.Randomizer(model, scene.Scene(model), slots, config)


def only(**ranges):
    return dataclasses.replace(Config().scaled(0.0), **ranges)


def rows(model, where):
    addresses = scene.Scene(model)
    if where == _BASKET:
        bodies = np.isin(model.geom_bodyid, addresses.basket_bodies)
        return np.flatnonzero(bodies & (model.geom_contype != 0))
    if where in (_DRIVERS, _SPRINGS):
        kind = {"drivers": "driver", "springs": "spring_link"}[where]
        hand = "robot0/robotiq_fts300/robotiq_2f85"
        names = [f"{hand}/{side}_{kind}_joint" for side in ("left", "right")]
        return np.array([model.joint(n).dofadr[0] for n in names])
    return getattr(addresses, where)


def test_there_is_an_expectation_for_every_parameter():
    assert MOVES.keys() == Config().ranges().keys()


@pytest.mark.parametrize("name", MOVES)
def test_a_parameter_moves_what_it_names_and_only_that(name):
    model, randomizer = make(only(**{name: (1.25, 1.25)}))
    before = fields(model)
    info = randomizer.draw(np.random.default_rng(0))
    after = fields(model)
    changed = {n for n in after if not np.array_equal(before[n], after[n])}
    assert changed == {field for field, _, _ in MOVES[name]}
    for field, where, power in MOVES[name]:
        if where is None:
            continue
        where, column = where if isinstance(where, tuple) else (where, None)
        index = rows(model, where)
        index = index if column is None else (index, column)
        expected = before[field]
        expected[index] *= 1.25**power
        np.testing.assert_allclose(after[field], expected, rtol=1e-6, err_msg=field)
    mine = {k: v for k, v in info.items() if k.startswith(name)}
    assert mine and all(v == 1.25 for v in mine.values())
    assert all(v == 1.0 for k, v in info.items() if k not in mine)


def test_gravity_compensation_has_a_factor_a_link():
    model, randomizer = make(only(gravity_compensation=(0.5, 0.9)))
    info = randomizer.draw(np.random.default_rng(0))
    factors = randomizer.gravity_compensation
    for link in range(7):
        body = model.body(f"robot0/l{link}").id
        assert factors[body] == info[f"gravity_compensation_{link}"]
    hand = model.body("robot0/robotiq_fts300/robotiq_2f85/left_pad").id
    assert factors[hand] == info["gravity_compensation_6"]
    head, base = model.body("robot0/head").id, model.body("robot0/arm_base_link").id
    assert (factors[head], factors[base]) == (info["gravity_compensation_0"], 1.0)


def test_the_carried_weight_is_off_by_the_factor():
    environment = environments.make(
        domain_randomization=only(gravity_compensation=(0.8, 0.8)), seed=0
    )
    environment.reset()
    model, data = environment.physics
    body = model.body("robot0/l3").id
    weight = 9.81 * model.body_mass[body]
    assert data.xfrc_applied[body, 2] == pytest.approx(0.8 * weight)


def test_strength_zero_moves_nothing_and_restore_is_exact():
    model, still = make(Config().scaled(0.0))
    before = all_fields(model)
    info = still.draw(np.random.default_rng(0))
    assert set(info.values()) == {1.0}
    assert_equal_fields(before, all_fields(model))
    model, randomizer = make()
    before = all_fields(model)
    for seed in range(20):
        randomizer.draw(np.random.default_rng(seed))
    assert not np.array_equal(before["mesh_vert"], model.mesh_vert)
    randomizer.restore()
    assert_equal_fields(before, all_fields(model))
    np.testing.assert_array_equal(randomizer.gravity_compensation, 1.0)


def assert_equal_fields(first, second):
    for name, value in first.items():
        np.testing.assert_array_equal(value, second[name], err_msg=name)


def test_a_draw_depends_on_the_seed_alone():
    (one, first), (two, second) = make(), make(object_set=2)
    for seed in (5, 6):
        second.draw(np.random.default_rng(seed))
    second._slots.write(objects.SETS[4])
    infos = [r.draw(np.random.default_rng(1)) for r in (first, second)]
    assert infos[0] == infos[1]
    assert_equal_fields(
        {k: v for k, v in all_fields(one).items() if k not in _PER_MESH},
        all_fields(two),
    )
    assert first.draw(np.random.default_rng(2)) != infos[0]
    # Each object and joint has its own.
    assert len({infos[0][f"arm_damping_{i}"] for i in range(7)}) == 7


def test_draws_stay_in_their_ranges():
    _, randomizer = make()
    ranges = Config().ranges()
    infos = [randomizer.draw(np.random.default_rng(seed)) for seed in range(100)]
    for name, (low, high) in ranges.items():
        values = [v for info in infos for k, v in info.items() if k.startswith(name)]
        assert low <= min(values) < low + 0.1 * (high - low), name
        assert high >= max(values) > high - 0.1 * (high - low), name


def test_strength_scales_ranges_and_noise():
    half = Config().scaled(0.5)
    assert half.fingertip_sliding_friction == pytest.approx((0.8, 1.1))
    assert half.object_size == pytest.approx((0.985, 1.015))
    assert half.noise.object_position == 0.001
    assert Config().scaled(1.0).noise == Config().noise
    assert Config().scaled(0.0).noise.is_off
    with pytest.raises(ValueError, match="below 0"):
        Config().scaled(-1.0)
    with pytest.raises(ValueError, match="fingertip_sliding_friction"):
        Config().scaled(3.0)


@pytest.mark.parametrize(
    "bad", [(1.1, 0.9), (0.0, 1.0), (-1, 1), (1, np.inf), (np.nan, 1)]
)
def test_ranges_that_are_not_valid_are_rejected(bad):
    with pytest.raises(ValueError, match="arm_gain.*valid: 0 < low <= high"):
        Config(arm_gain=bad)


@pytest.mark.parametrize("bad", [-0.1, np.nan, np.inf])
def test_noise_that_is_not_valid_is_rejected(bad):
    with pytest.raises(ValueError, match="wrist_force.*valid: from 0"):
        noise.ObservationNoise(wrist_force=bad)


def test_a_config_prints_as_a_table_of_every_parameter():
    lines = str(Config()).splitlines()
    assert len(lines) == len(MOVES) + len(NOISES)
    assert "U(0.97, 1.03)" in next(x for x in lines if x.startswith("object_size"))
    assert any(x.startswith("noise.wrist_force") and "N(0, 0.2)" in x for x in lines)


# Noise.

QUIET = dataclasses.replace(Config(), noise=NO_NOISE)


def history(config, steps=8, **arguments):
    environment = environments.make(
        domain_randomization=config, reward="dense", seed=0, **arguments
    )
    environment.seed_episode(4)
    timesteps, states = [environment.reset()], [environment.state()]
    rng = np.random.default_rng(0)
    for _ in range(steps):
        timesteps.append(environment.step(rng.uniform(-1, 1, 5)))
        states.append(environment.state())
    return timesteps, states


def test_noise_changes_observations_alone():
    noisy, noisy_states = history(Config())
    quiet, quiet_states = history(QUIET)
    exact = {"gripper/joints/angle", "gripper/joints/velocity", "gripper/grasp"}
    exact.add(observations.PREVIOUS_ACTION)
    for a, b in zip(noisy, quiet, strict=True):
        assert a.reward == b.reward
        for name in a.observation:
            same = np.array_equal(a.observation[name], b.observation[name])
            assert same == (name in exact), name
    for a, b in zip(noisy_states, quiet_states, strict=True):
        np.testing.assert_array_equal(a.pinch, b.pinch)
        np.testing.assert_array_equal(a.objects["red"], b.objects["red"])
    again, _ = history(Config())
    for name, value in noisy[-1].observation.items():
        np.testing.assert_array_equal(value, again[-1].observation[name])


def test_a_frame_keeps_its_noise_while_it_is_stacked():
    timesteps, _ = history(Config(), steps=2)
    name = "rgb30_red/abs_pose"
    newest, older = (t.observation[name] for t in timesteps[:0:-1])
    np.testing.assert_array_equal(newest[1], older[0])
    assert not np.array_equal(newest[0], newest[1])


def test_noisy_frames_are_consistent():
    timesteps, _ = history(Config())
    for timestep in timesteps:
        seen = timestep.observation
        for color in observations.COLORS:
            pose = seen[f"rgb30_{color}/abs_pose"]
            np.testing.assert_allclose(
                seen[f"rgb30_{color}/to_pinch"],
                pose - seen["sawyer/pinch/pose"],
                atol=1e-6,
            )
        for name, value in seen.items():
            if name.endswith("pose"):
                norms = np.linalg.norm(value[:, 3:], axis=1)
                np.testing.assert_allclose(norms, 1.0, atol=1e-6)
                assert np.all(value[:, 3] >= 0)
        np.testing.assert_array_equal(
            seen["wrist/angle"], seen["sawyer/joints/angle"][:, 6]
        )
        np.testing.assert_array_equal(
            seen["wrist/velocity"], seen["sawyer/joints/velocity"][:, 6]
        )


def frame():
    values = np.zeros(observations.FRAME_SIZE)
    for name, place in observations.LAYOUT.items():
        if name.endswith("pose"):
            values[place] = [0.1, 0.2, 0.3, 0.0, 0.6, 0.0, 0.8]
    return values


def test_noise_has_its_deviations():
    rng = np.random.default_rng(0)
    sizes = dict(zip(NOISES, np.linspace(0.001, 0.02, len(NOISES)), strict=True))
    noisy = noise.ObservationNoise(**sizes)
    sequence = noisy.draw(rng, 2000)
    frames = np.array([sequence.apply(frame()) for _ in range(2000)])
    values = {name: frames[:, place] for name, place in observations.LAYOUT.items()}
    where = {
        "joint_angle": values["sawyer/joints/angle"],
        "joint_velocity": values["sawyer/joints/velocity"],
        "joint_torque": values["sawyer/joints/torque"],
        "tool_position": values["sawyer/tcp/pose"][:, :3],
        "tool_velocity": values["sawyer/tcp/velocity"][:, :3],
        "tool_angular_velocity": values["sawyer/tcp/velocity"][:, 3:],
        "wrist_force": values["wrist/force"],
        "wrist_torque": values["wrist/torque"],
        "object_position": values["rgb30_blue/abs_pose"][:, :3],
    }
    for name, value in where.items():
        np.testing.assert_allclose(value.std(axis=0), sizes[name], rtol=0.08)
    for name, pose in (
        ("tool_orientation", values["sawyer/pinch/pose"]),
        ("object_orientation", values["rgb30_red/abs_pose"]),
    ):
        # The angle between two unit quaternions: three axes of the same deviation.
        cosine = np.abs(pose[:, 3:] @ [0.0, 0.6, 0.0, 0.8])
        angle = 2 * np.arccos(np.minimum(cosine, 1.0))
        rms = np.sqrt(np.mean(angle**2))
        assert rms == pytest.approx(np.sqrt(3) * sizes[name], rel=0.05)
