"""Images: cheap, but of the same scene; OpenGL contexts: freed, and apart."""

import copy
import gc
import multiprocessing
import threading
from typing import Any

import numpy as np
import pytest

import environments
from environments import cameras, coarse_meshes, rendering, scene

PIXELS = "basket_front_left/pixels"


def make(**arguments):
    settings: dict[str, Any] = {"observations": "vision", "seed": 0}
    return environments.make(**settings | arguments)


def start(environment, seed=1, steps=0):
    """Lets the hand come down, so that it is seen."""
    environment.seed_episode(seed)
    timestep = environment.reset()
    for _ in range(steps):
        timestep = environment.step(np.array([0, 0, -1, 0.5, -1], np.float32))
    return timestep.observation


@pytest.fixture(scope="module")
def vision():
    environment = make(cameras=scene.CAMERAS)
    yield environment
    environment.close()


def test_vertices_of_a_cell_become_their_mean():
    vertices = np.array(
        [[0.0, 0, 0], [0.2, 0, 0], [1.5, 0, 0], [1.7, 0, 0], [0, 1.5, 0], [0, 1.7, 0]]
    )
    # One face is left with two corners; two become the same; one is turned around.
    faces = np.array([[0, 1, 2], [0, 2, 4], [3, 5, 1], [0, 5, 2]])
    merged, new_faces, kept = coarse_meshes.cluster(vertices, faces, 1.0)
    assert kept.tolist() == [1, 3]
    corners = merged[new_faces]
    a, b, c = [0.1, 0, 0], [1.6, 0, 0], [0, 1.6, 0]
    np.testing.assert_allclose(corners, [[a, b, c], [a, c, b]])


def test_only_large_meshes_become_coarser_and_only_in_the_copy():
    model = scene.build_visible()
    untouched = copy.copy(model)
    coarse = coarse_meshes.coarsened(model, 0.003)
    for field in ("mesh_vert", "mesh_face", "mesh_facenormal", "mesh_facenum"):
        np.testing.assert_array_equal(getattr(model, field), getattr(untouched, field))
    small = model.mesh_facenum < coarse_meshes.MIN_FACES
    assert model.mesh_facenum[small].sum() > 1000
    np.testing.assert_array_equal(coarse.mesh_facenum[small], model.mesh_facenum[small])
    assert model.mesh_facenum.sum() > 5 * coarse.mesh_facenum.sum()


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.gl
def test_what_is_not_drawn_is_not_seen(vision, monkeypatch, seed):
    seen = start(vision, seed, steps=20 * seed)
    monkeypatch.setattr(rendering.Renderer, "_drop_unseen", lambda *_: None)
    _, data = vision.physics
    for camera in scene.CAMERAS:
        everything = vision._views.render(data, camera, (64, 64), coarse=True)
        np.testing.assert_array_equal(seen[f"{camera}/pixels"], everything)


@pytest.mark.gl
def test_coarser_meshes_look_the_same(vision):
    model, data = vision.visible()
    drawn = copy.copy(model)
    drawn.vis.quality.offsamples = 0
    full = rendering.Renderer(model, 64, 64, drawn)
    for seed in range(3):
        seen = start(vision, seed, steps=40)
        for camera in scene.CAMERAS:
            vision.visible()
            image = full.render(data, cameras.mjcf_name(camera))
            difference = np.abs(seen[f"{camera}/pixels"].astype(int) - image)
            assert difference.mean() < 0.5, (seed, camera)
            assert (difference.max(axis=2) > 40).mean() < 0.005, (seed, camera)
    full.close()


@pytest.mark.gl
def test_images_change_nothing_and_are_the_same_each_time(vision):
    blind = environments.make(seed=0)
    other = make(cameras=scene.CAMERAS)
    sizes = [start(e, 5, steps=10) for e in (blind, vision, other)]
    for name, value in sizes[0].items():
        np.testing.assert_array_equal(value, sizes[1][name])
    for name, value in sizes[1].items():
        np.testing.assert_array_equal(value, sizes[2][name])
    assert sizes[1].keys() - sizes[0].keys() == {f"{c}/pixels" for c in scene.CAMERAS}
    other.close()


@pytest.mark.gl
def test_images_show_the_objects_of_the_episode():
    changing, fixed = make(object_set=5), make(object_set=2)
    start(changing)
    changing.set_objects(2)
    np.testing.assert_array_equal(start(changing)[PIXELS], start(fixed)[PIXELS])
    np.testing.assert_array_equal(changing.render(), fixed.render())
    changing.set_objects(5)
    assert np.any(start(changing)[PIXELS] != start(fixed)[PIXELS])
    changing.close()
    fixed.close()


@pytest.mark.gl
def test_contexts_are_apart_and_freed():
    gc.collect()
    rendering._free_unowned()
    before = len(rendering._handles)
    first, second = make(), make(image_size=[48, 96])
    image = start(first)[PIXELS]
    assert start(second)[PIXELS].shape == (48, 96, 3)
    for height, width in ((480, 640), (640, 480), (30, 700)):
        assert first.render(height, width).shape == (height, width, 3)
    np.testing.assert_array_equal(start(first)[PIXELS], image)
    del second  # nobody closed it
    gc.collect()
    np.testing.assert_array_equal(start(first)[PIXELS], image)
    first.close()
    first.close()
    third = make()
    np.testing.assert_array_equal(start(third)[PIXELS], image)
    assert len(rendering._handles) == before + 1
    third.close()
    assert len(rendering._handles) == before


@pytest.mark.gl
def test_threads_draw_at_the_same_time(vision):
    expected, images = start(vision, steps=5)[PIXELS], []

    def draw():
        environment = make()  # not closed: its thread ends first
        images.append(start(environment, steps=5)[PIXELS])

    threads = [threading.Thread(target=draw) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(images) == 2
    for image in images:
        np.testing.assert_array_equal(image, expected)
    gc.collect()
    rendering._free_unowned()


@pytest.mark.gl
def test_a_fork_refuses_to_render_and_frees_nothing(vision):
    def child(pipe, mine):
        environment = mine or make()  # the parent's, or one of its own
        try:
            start(environment)
        except rendering.RenderingUnavailable as e:
            pipe.send(str(e))
        environment.close()
        pipe.send("closed")

    expected = start(vision)[PIXELS]
    context = multiprocessing.get_context("fork")
    for mine in (vision, None):
        here, there = context.Pipe()
        process = context.Process(target=child, args=(there, mine), daemon=True)
        process.start()
        for word in ('context="spawn"', "closed"):
            assert here.poll(60) and word in here.recv()
        process.join(60)
    np.testing.assert_array_equal(start(vision)[PIXELS], expected)


@pytest.mark.gl
def test_a_diverged_simulation_shows_the_last_good_image(vision):
    before = start(vision, steps=1)[PIXELS]
    _, data = vision.physics
    data.qvel[vision.scene.object_dof[0]] = 1e12
    after = vision.step(np.zeros(5, np.float32))
    assert after.last() and after.discount == 0.0
    np.testing.assert_array_equal(after.observation[PIXELS], before)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"cameras": []}, "basket_front_left"),
        ({"cameras": "basket_front_left"}, "a list"),
        ({"cameras": ["main"]}, "basket_back_left"),
        ({"cameras": ["basket_back_left"] * 2}, "a list"),
        ({"image_size": (0, 64)}, "from 1 to"),
        ({"image_size": (64, 5000)}, "from 1 to"),
        ({"image_size": (64.0, 64)}, "whole numbers"),
        ({"image_size": 64}, r"\(height, width\)"),
        ({"image_size": (64, 64, 3)}, r"\(height, width\)"),
    ],
)
def test_bad_cameras_and_sizes_name_the_valid_ones(arguments, named):
    with pytest.raises(ValueError, match=named):
        make(**arguments)


@pytest.mark.gl
def test_bad_views_name_the_valid_ones(vision):
    with pytest.raises(ValueError, match="main"):
        vision.render(camera="roof")
    with pytest.raises(ValueError, match="from 1 to"):
        vision.render(0, 10)
