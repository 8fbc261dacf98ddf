"""Videos and pictures of an evaluation."""

import imageio.v2 as imageio
import numpy as np
import pytest

from launchers.experiments.video import Recorder


class _Environment:
    """Renders images whose grey value counts them."""

    def __init__(self):
        self.images = 0

    def render(self, height, width):
        self.images += 1
        return np.full((height, width, 3), self.images - 1, np.uint8)


class _TimeStep:
    def last(self):
        return False


@pytest.mark.parametrize("steps", [200, 3])
def test_a_png_has_images_from_the_first_to_the_last(steps, tmp_path):
    recorder, environment = Recorder(), _Environment()
    for _ in range(steps):
        recorder(environment, _TimeStep())
    recorder.write(tmp_path / "episode.png")
    sheet = imageio.imread(tmp_path / "episode.png")
    values = sheet[120::240, 160::320, 0].ravel()
    assert len(values) == 8 and values[0] == 0
    assert values[-1] == environment.images - 1
    assert (np.diff(values.astype(int)) >= 0).all()
