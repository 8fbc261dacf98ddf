"""Views of recorded episodes against those of the simulation they come from."""

import imageio.v2 as imageio
import numpy as np
import pytest

import environments
from datasets.rlds import reader as rlds_reader
from launchers.inspection import episode_views

SIZE = 60, 80
PLACE = rlds_reader.Place("file", 0, 0)


def _recorded(steps=24):
    """An episode in which the arm moves and the fingers close, and its images."""
    environment = environments.make(object_set=2, seed=3)
    observed = [environment.reset().observation]
    images = [environment.render(*SIZE)]
    action = np.array([0.5, 1.0, -1.0, 0.3, 1.0])
    for _ in range(steps):
        observed.append(environment.step(action).observation)
        images.append(environment.render(*SIZE))
    environment.close()
    arrays = {name: np.stack([o[name] for o in observed]) for name in observed[0]}
    return arrays, np.array(images, np.float64)


@pytest.mark.gl
@pytest.mark.parametrize(
    "metadata",
    [
        {"object_set": 2},
        {
            "object_set": 0,
            "randomization": '{"object_red": "r5", "object_green": "g2", '
            '"object_blue": "b3"}',
        },
    ],
    ids=["a set", "drawn objects"],
)
def test_a_recorded_episode_looks_as_it_did(metadata):
    arrays, wanted = _recorded()
    views = episode_views.EpisodeViews(*SIZE)
    episode = rlds_reader.Episode(PLACE, arrays, {}, metadata)
    found = np.array(list(views.images(episode, range(25))), np.float64)
    others = dict(metadata, object_set=1, randomization="{}")
    other = rlds_reader.Episode(PLACE, arrays, {}, others)
    wrong = np.array(list(views.images(other, range(25))), np.float64)
    views.close()
    error = np.abs(found - wanted).mean(axis=(1, 2, 3))
    assert error.max() < 0.03  # of 255; the linkage of the hand is not observed
    assert np.abs(found[1:] - wanted[:-1]).mean() > 0.2  # it moves
    assert np.abs(wrong - wanted).mean() > 0.2


@pytest.mark.gl
def test_a_video_has_every_second_step(tmp_path):
    arrays, _ = _recorded(steps=8)
    views = episode_views.EpisodeViews(*SIZE)
    episode = rlds_reader.Episode(PLACE, arrays, {}, {"object_set": 2})
    episode_views.write_video(tmp_path / "episode.mp4", views, episode)
    views.close()
    with imageio.get_reader(tmp_path / "episode.mp4") as reader:
        assert reader.count_frames() == 5
        assert reader.get_meta_data()["fps"] == 10
    assert [f.name for f in tmp_path.iterdir()] == ["episode.mp4"]


def test_what_a_view_lacks_is_said():
    def refused(change, metadata, match):
        observation = {
            "sawyer/joints/angle": np.zeros((2, 3, 7)),
            "gripper/joints/angle": np.zeros((2, 3)),
        }
        for color in ("red", "green", "blue"):
            observation[f"rgb30_{color}/abs_pose"] = np.ones((2, 3, 7))
        change(observation)
        episode = rlds_reader.Episode(PLACE, observation, {}, metadata)
        with pytest.raises(ValueError, match=match):
            next(views.images(episode, [0]))

    views = episode_views.EpisodeViews(*SIZE)
    known = {"object_set": 4}
    refused(lambda o: o.pop("rgb30_red/abs_pose"), known, "no observation rgb30_red")
    refused(
        lambda o: o.update({"gripper/joints/angle": np.full((2, 3), np.nan)}),
        known,
        "gripper/joints/angle is not finite",
    )
    refused(lambda o: None, {}, "do not say which objects")
    refused(lambda o: None, {"object_set": 9}, "object set")
