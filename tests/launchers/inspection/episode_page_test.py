"""The page of an episode: what it shows at each step, and what it cannot."""

import base64
import json
import re

import imageio.v2 as imageio
import numpy as np
import pytest

from agents import registry
from datasets.rlds import reader
from environments.rendering import RenderingUnavailable
from launchers.inspection import episode_page, episode_views
from tests.helpers import commands, dataset_files, untrained_skills
from tests.helpers.html_pages import Parser

_STEPS = dataset_files.STEPS


class _NoViews:
    """Views where there is no OpenGL."""

    def images(self, episode, steps):
        raise RenderingUnavailable("no OpenGL here")

    def close(self):
        pass


@pytest.fixture(name="data", scope="module")
def _data(tmp_path_factory):
    directory = tmp_path_factory.mktemp("data") / "data"
    return dataset_files.write(directory, dataset_files.examples(3, camera=True))


def _page(path):
    """Returns the embedded data and the source of each element that has one."""
    text = path.read_text()
    parser = Parser()
    parser.feed(text)
    assert parser.open == [] and "://" not in text
    assert all(source.startswith("data:") for source in parser.references)
    data = re.search(r'type="application/json">(.*?)</script>', text, re.DOTALL)
    assert data is not None
    return json.loads(data[1]), parser.references


def test_the_rows_are_those_of_the_episode(data, tmp_path, monkeypatch):
    monkeypatch.setattr(episode_views, "EpisodeViews", _NoViews)
    episode = episode_page.find(data, 1)
    skills = registry.load_bundle(
        untrained_skills.save_skills(tmp_path / "skills"), model="helms"
    )
    posterior = episode_page.signals(episode, skills).posterior
    assert posterior is not None and posterior.shape == (_STEPS, skills.num_skills)
    np.testing.assert_allclose(posterior.sum(axis=1), 1.0, rtol=1e-5)
    path = tmp_path / "page.html"
    episode_page.write(path, episode, skills)
    shown, sources = _page(path)
    rows = dict(shown["rows"])
    assert {len(texts) for texts in rows.values()} == {_STEPS + 1}
    reward, action = episode.steps["reward"], episode.steps["action"]
    for step in (0, 5, _STEPS - 1):
        assert rows["step"][step] == f"{step} of {_STEPS}"
        assert rows["time"][step] == f"{0.05 * step:.2f} s"
        assert float(rows["reward"][step]) == pytest.approx(reward[step], abs=1e-3)
        assert float(rows["action 2"][step]) == pytest.approx(action[step, 2], abs=0.01)
        likeliest = int(posterior[step].argmax())
        assert rows["skill"][step].startswith(f"{likeliest} (")
    assert rows["phase"][0] == "early" and rows["phase"][_STEPS - 1] != "early"
    assert float(rows["return so far"][-1]) == pytest.approx(reward.sum(), abs=0.01)
    assert 0 < shown["left"] < shown["right"] < 1
    # Nothing can be rendered, so the video is of the recorded camera.
    video, picture = sources
    assert picture.startswith("data:image/png;base64,")
    kind, content = video.split(",")
    assert kind == "data:video/mp4;base64"
    clip = tmp_path / "clip.mp4"
    clip.write_bytes(base64.b64decode(content))
    with imageio.get_reader(clip) as frames:
        assert frames.count_frames() == _STEPS + 1
    assert "camera front/pixels" in path.read_text()


def test_without_anything_to_see_there_is_no_video(tmp_path, monkeypatch):
    monkeypatch.setattr(episode_views, "EpisodeViews", _NoViews)
    directory = dataset_files.write(tmp_path / "data", dataset_files.examples(1))
    path = tmp_path / "page.html"
    episode_page.write(path, episode_page.find(directory, 0))
    _, sources = _page(path)
    assert [source[:14] for source in sources] == ["data:image/png"]
    assert "There is no video: no OpenGL here." in path.read_text()


def test_an_episode_is_found_by_its_own_number(tmp_path):
    kept = [e for i, e in enumerate(dataset_files.examples(6)) if i % 2]
    directory = dataset_files.write(tmp_path / "data", kept)
    assert episode_page.find(directory, 5).metadata["seed"] == 1005
    assert episode_page.find(directory, 1).metadata["seed"] == 1001
    with pytest.raises(
        ValueError, match="no episode 2; it has 3, numbered from 1 to 5"
    ):
        episode_page.find(directory, 2)


def test_skills_that_need_more_are_refused(data, tmp_path):
    skills = registry.load_bundle(
        untrained_skills.save_skills(tmp_path / "skills"), model="helms"
    )
    episode = episode_page.find(data, 0)
    for name in list(episode.observation)[:-1]:
        fewer = {k: v for k, v in episode.observation.items() if k != name}
        other = reader.Episode(episode.place, fewer, episode.steps, episode.metadata)
        if name in sum(skills.description["observation_names"].values(), []):
            with pytest.raises(ValueError, match=f"observations {name}, which"):
                episode_page.signals(other, skills)


def test_bad_input_gets_one_line_and_exit_2(data, tmp_path):
    for flags, words in (
        (["--html"], "takes --episode=DATA:NUMBER and --html"),
        ([f"--episode={data}:0"], "takes --episode=DATA:NUMBER and --html"),
        ([f"--episode={data}", "--html"], "valid: DATA:NUMBER, as in runs/r4:17"),
        ([f"--episode={data}:9", "--html"], "has no episode 9"),
        ([f"--episode={tmp_path}:0", "--html"], str(tmp_path)),
        ([f"--episode={data}:0", "--html=page.png"], "must end in .html"),
        ([f"--episode={data}:0", "--html", f"--skills={tmp_path}"], str(tmp_path)),
    ):
        done = commands.run("launchers.view", *flags)
        assert done.returncode == 2, done.stderr
        (line,) = done.stderr.strip().splitlines()
        assert line.startswith("error: ") and words in line


@pytest.mark.gl
def test_the_command_writes_the_page(data, tmp_path):
    path = tmp_path / "new" / "page.html"
    done = commands.run("launchers.view", f"--episode={data}:2", f"--html={path}")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == f"the page is {path}"
    shown, sources = _page(path)
    assert len(sources) == 2 and "skill" not in dict(shown["rows"])
    assert list(path.parent.iterdir()) == [path]
