"""The compiled scene: presets, their settings, and what is left out of collisions."""

import mujoco
import numpy as np
import pytest

import environments
from environments import cell, scene


def test_settings_over_a_preset():
    physics = scene.PRESETS["reference"].override(
        "timestep=0.001,integrator=implicitfast,multiccd=0,pad_solref=-1:-2"
    )
    assert physics.substeps == 50
    assert physics.noslip_iterations == 5
    model = scene.build(4, physics)
    pads = scene.Scene(model).fingertip_geoms
    assert model.opt.integrator == mujoco.mjtIntegrator.mjINT_IMPLICITFAST
    assert model.opt.disableflags & mujoco.mjtDisableBit.mjDSBL_MULTICCD
    np.testing.assert_array_equal(model.geom_solref[pads], [[-1, -2]] * len(pads))
    # Another model of the same set keeps its own.
    other = scene.build(4, "reference")
    assert not other.opt.disableflags & mujoco.mjtDisableBit.mjDSBL_MULTICCD
    np.testing.assert_array_equal(other.geom_solref[pads[0]], [-30000, -200])


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("timestep=0.003", "0.003"),
        ("timestep=0", "does not divide"),
        ("speed=1", "noslip_iterations"),
        ("cone=round", "pyramidal"),
        ("integrator=rk4", "implicitfast"),
        ("multiccd=yes", "bool"),
        ("basket=round", "planes"),
        ("noslip_iterations=many", "int"),
    ],
)
def test_bad_settings_name_the_valid_ones(text, named):
    with pytest.raises(ValueError, match=named):
        scene.PRESETS["fast"].override(text)


def test_reference_preset_is_the_references():
    model = scene.build(4, "reference")
    option = model.opt
    assert (option.timestep, option.noslip_iterations, option.impratio) == (5e-4, 5, 1)
    assert option.integrator == mujoco.mjtIntegrator.mjINT_EULER
    assert option.cone == mujoco.mjtCone.mjCONE_ELLIPTIC
    assert (option.iterations, option.tolerance) == (100, 1e-8)
    assert (option.disableflags, option.enableflags) == (0, 0)


def _grasping(preset):
    """States of control steps in which the hand goes down, closes, and comes up."""
    environment = environments.make(preset=preset, seed=0)
    environment.seed_episode(2)
    environment.reset()
    rng = np.random.default_rng(0)
    states = []
    for step in range(130):
        action = rng.uniform(-1, 1, 5)
        action[2] = -1.0 if step < 90 else 1.0
        action[4] = 1.0 if 20 < step < 40 or step > 80 else -1.0
        environment.step(action)
        model, data = environment.physics
        states.append(np.concatenate([data.qpos, data.qvel]))
    return model, np.array(states)


def test_what_is_left_out_of_collisions_touches_nothing(monkeypatch):
    # Planes have no end: they go through the arm's base.
    physics = scene.PRESETS["fast"].override("basket=boxes,hand_links=1")
    fewer, states = _grasping(physics)
    monkeypatch.setattr(cell, "drop_idle_collisions", lambda robot: None)
    scene._simulated.cache_clear()
    try:
        all_of_them, reference = _grasping(physics)
    finally:
        scene._simulated.cache_clear()
    colliding = [np.count_nonzero(m.geom_contype) for m in (fewer, all_of_them)]
    assert colliding[0] < colliding[1]
    np.testing.assert_array_equal(states, reference)


def test_several_contacts_a_pair_let_an_object_rest():
    """With one contact a box's corners take turns, and it trembles."""
    shaking = {}
    for several in (0, 1):
        # On planes an object has several contacts in any case.
        physics = scene.PRESETS["fast"].override(f"multiccd={several},basket=boxes")
        environment = environments.make(preset=physics, seed=0)
        environment.reset()
        _, data = environment.physics
        speeds = []
        for _ in range(10):
            environment.step(np.array([0.0, 0.0, 1.0, 0.0, -1.0]))
            speeds.append(np.abs(data.qvel[environment.scene.object_dof[0] :]).max())
        shaking[several] = np.median(speeds)
    assert shaking[1] < 0.1 * shaking[0]


def test_the_baskets_planes_are_the_faces_of_its_boxes():
    """An object that touches the one touches the other, as deeply."""
    rng = np.random.default_rng(0)
    models = [
        scene.build(4, scene.PRESETS["fast"].override(f"basket={basket}"))
        for basket in scene.BASKETS
    ]
    all_data = [mujoco.MjData(model) for model in models]
    addresses = [scene.Scene(model) for model in models]

    def depth(index, pose):
        data = all_data[index]
        start = addresses[index].object_qpos[0]
        data.qpos[addresses[index].object_qpos[1:] + 2] = 5.0  # the others, far above
        data.qpos[start : start + 7] = pose
        mujoco.mj_kinematics(models[index], data)
        mujoco.mj_comPos(models[index], data)
        mujoco.mj_collision(models[index], data)
        owners = addresses[index].geom_owner[data.contact.geom]
        mine = (owners == 0).any(axis=1) & (owners == scene.Scene.ELSEWHERE).any(axis=1)
        return data.contact.dist[mine].min(initial=np.inf)

    on_slopes = 0
    for _ in range(200):
        quaternion = rng.normal(size=4)
        quaternion /= np.linalg.norm(quaternion)
        place = scene.BASKET_CENTRE + rng.uniform(-0.16, 0.16, 2)
        pose = np.array([*place, 0.2, *quaternion])
        step = 0.1
        while step > 1e-6:  # down to where it touches
            pose[2] += step if depth(1, pose) < 0 else -step
            step /= 2
        pose[2] -= 1e-3
        depths = [depth(index, pose) for index in range(2)]
        assert depths[0] == pytest.approx(depths[1], abs=1e-4), pose
        assert depths[1] < 0
        on_slopes += pose[2] > 0.095
    assert on_slopes > 10
