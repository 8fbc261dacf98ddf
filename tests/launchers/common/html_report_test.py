"""The report is one file that needs nothing else."""

import imageio.v2 as imageio
import numpy as np
import pytest

from launchers.common import html_report
from tests.helpers.html_pages import Parser


@pytest.fixture(name="files")
def _files(tmp_path):
    frames = np.random.default_rng(0).integers(255, size=(4, 32, 48, 3))
    picture, video = tmp_path / "a.png", tmp_path / "a.mp4"
    imageio.imwrite(picture, frames[0].astype(np.uint8))
    imageio.mimwrite(video, frames.astype(np.uint8), fps=10)
    return picture, video


def _write(tmp_path, section):
    path = tmp_path / "report.html"
    html_report.write(path, "A & B", "of $nothing", [section])
    parser = Parser()
    parser.feed(path.read_text())
    assert parser.open == []
    return parser


def test_everything_is_in_the_file(tmp_path, files):
    picture, video = files
    section = html_report.Section("First")
    section.text("x < y")
    section.table([["a", "words"], ["1", "<b>"]], words=(1,))
    section.picture(picture, "a picture")
    section.videos({"a video": video})
    section.details("more", {"k": [1, 2]})
    parser = _write(tmp_path, section)
    kinds = [r.split(";")[0] for r in parser.references]
    assert kinds == [
        "#section-0",
        "data:image/png",
        "data:image/jpeg",
        "data:video/mp4",
    ]
    text = " ".join(parser.text)
    for part in ("A & B", "of $nothing", "x < y", "<b>", "a video", '"k"'):
        assert part in text
    assert "b" not in parser.tags
    assert "://" not in (tmp_path / "report.html").read_text()


def test_videos_beyond_the_limit_are_named(tmp_path, files, monkeypatch):
    _, video = files
    monkeypatch.setattr(html_report, "VIDEO_BYTES", video.stat().st_size)
    section = html_report.Section("First")
    section.videos({"one": video, "two": video})
    parser = _write(tmp_path, section)
    assert parser.tags.count("video") == 1
    assert any("two: not embedded" in text for text in parser.text)
