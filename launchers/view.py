"""Shows the scene in a window, or writes it headless as a video or picture.

python -m launchers.view --policy=scripted
python -m launchers.view --task=pyramid --object_set=random --video=FILE.mp4
python -m launchers.view --episode=DATA:17 --html [--skills=BUNDLE]

With --episode it writes a page of a recorded episode, which opens offline. The window
is MuJoCo's interactive viewer and runs in real time until it is closed.
"""

from __future__ import annotations

import functools
import pathlib
import re
import sys
import threading
import time
import warnings
from collections.abc import Sequence

import dm_env
import imageio.v2 as imageio
import numpy as np
import tqdm
from absl import flags

import environments
from datasets.experts import base
from environments import EnvironmentConfig, cameras, controller, scene
from environments.rendering import RenderingUnavailable, mujoco
from environments.stacking import EPISODE_STEPS, RgbStacking
from launchers.common import atomic_files, cli, environment_flags, plugins

if __name__ == "__main__":  # before flags list what it registers
    plugins.import_for_command(sys.argv)

_POLICIES = ("random", "still", "scripted")
_SUFFIXES = (".mp4", ".gif", ".png")
_CAMERAS = (scene.MAIN_CAMERA, *scene.CAMERAS)

_ENVIRONMENT = environment_flags.define(
    EnvironmentConfig(),
    "task",
    "object_set",
    "domain_randomization",
    "preset",
    "environment",
)
_CAMERA = flags.DEFINE_string("camera", scene.MAIN_CAMERA, ", ".join(_CAMERAS) + ".")
_POLICY = flags.DEFINE_string("policy", "random", ", ".join(_POLICIES) + ".")
_STEPS = flags.DEFINE_integer(
    "steps",
    None,
    "Control steps of 0.05 s. By default one episode in a video, none before a "
    "picture, no end in a window.",
)
_SEED = flags.DEFINE_integer("seed", 0, "Of the episodes and of the policy's draws.")
_VIDEO = flags.DEFINE_string(
    "video", None, "Write this .mp4 or .gif, or the last image as .png; no window."
)
_SIZE = flags.DEFINE_string("size", "640x480", "Of the video: WIDTHxHEIGHT.")

_EPISODE = flags.DEFINE_string(
    "episode",
    None,
    "DATA:NUMBER, an episode of the data set in the directory DATA; needs --html.",
)
_SKILLS = flags.DEFINE_string(
    "skills", None, "With --episode: a bundle of HeLMS, whose posterior is shown."
)
_HTML = flags.DEFINE_flag(
    flags.Flag(
        flags.ArgumentParser(),
        None,
        "html",
        None,
        "Write the page of --episode to this .html; without a name to "
        "runs/episode_NUMBER.html.",
        boolean=True,  # takes --html alone, whose value is then "true"
    )
)


def main(argv: Sequence[str]) -> None:
    """Opens the window or writes the file."""
    del argv
    with cli.bad_input():
        if (_EPISODE.value, _HTML.value, _SKILLS.value) != (None, None, None):
            _write_page()
            return
        scene.one_of("camera", _CAMERA.value, _CAMERAS)
        scene.one_of("policy", _POLICY.value, _POLICIES)
        steps = _checked_steps(_STEPS.value)
        external = _ENVIRONMENT().environment
        if external is not None and not (_VIDEO.value and _POLICY.value == "random"):
            raise ValueError(
                f"{external} is shown by --video=FILE.mp4 and --policy=random alone"
            )
        if _VIDEO.value is None and not _has_display():
            raise ValueError(
                "there is no display for a window; --video=FILE.mp4 writes a video"
            )
        path = None if _VIDEO.value is None else _checked_path(_VIDEO.value)
        size = _checked_size(_SIZE.value)
        environment = environments.build(_ENVIRONMENT(), _SEED.value)
        policy = _make_policy(_POLICY.value, environment)
    session = _Session(environment, policy, _SEED.value)
    try:
        if path is None:
            _show(session, steps)
        else:
            _write(session, steps, path, size)
    except RenderingUnavailable as e:
        cli.fail(e)
    finally:
        environment.close()


def _write_page() -> None:
    """Writes the page of an episode; raises ValueError, in one line."""
    from agents import registry
    from launchers.inspection import episode_page

    if _EPISODE.value is None or _HTML.value in (None, "false"):
        raise ValueError(
            "a page of a recorded episode takes --episode=DATA:NUMBER and --html[=FILE]"
        )
    data, _, text = _EPISODE.value.rpartition(":")
    if not data or not text.isdecimal():
        raise ValueError(
            f"episode {_EPISODE.value!r}; valid: DATA:NUMBER, as in runs/r4:17"
        )
    path = pathlib.Path(f"runs/episode_{int(text):05d}.html")
    if _HTML.value != "true":
        path = pathlib.Path(_HTML.value)
    if path.suffix != ".html":
        raise ValueError(f"html {str(path)!r} must end in .html")
    episode = episode_page.find(data, int(text))
    skills = None
    if _SKILLS.value is not None:
        skills = registry.load_bundle(_SKILLS.value, model="helms")
    episode_page.write(path, episode, skills)
    print(f"the page is {path}")


class _Still:
    """Policy that keeps the tool still and opens the fingers."""

    def reset(self, seed: int) -> None:
        del seed

    def step(self, timestep: dm_env.TimeStep) -> np.ndarray:
        del timestep
        return np.zeros(controller.ACTION_SIZE, np.float32)


class _Session:
    """Episodes of a policy, one after another."""

    def __init__(
        self, environment: RgbStacking, policy: base.Expert | _Still, seed: int
    ) -> None:
        self.environment = environment
        self.steps = 0  # excludes resets
        self.episodes = 0
        self._policy = policy
        self._seed = seed
        self._timestep: dm_env.TimeStep | None = None

    def advance(self) -> dm_env.TimeStep:
        """Starts an episode or takes a step in it."""
        if self._timestep is None or self._timestep.last():
            self.environment.seed_episode(self._seed + self.episodes)
            self._timestep = self.environment.reset()
            self._policy.reset(self._seed + self.episodes)
            self.episodes += 1
        else:
            action = self._policy.step(self._timestep)
            self._timestep = self.environment.step(action)
            self.steps += 1
        return self._timestep


def _write(
    session: _Session, steps: int | None, path: pathlib.Path, size: tuple[int, int]
) -> None:
    """Writes the file atomically."""
    picture = path.suffix == ".png"
    if steps is None:
        steps = 0 if picture else EPISODE_STEPS
    image = functools.partial(session.environment.render, *size, _CAMERA.value)
    options = {} if picture else {"fps": round(1 / scene.CONTROL_TIMESTEP)}
    if path.suffix == ".mp4":
        options["macro_block_size"] = 2  # otherwise sizes round up to 16
    total = 0.0
    with (
        atomic_files.aside(path) as aside,
        imageio.get_writer(aside, **options) as writer,
        tqdm.tqdm(total=steps, desc="view", unit="step") as progress,
    ):
        while session.episodes == 0 or session.steps < steps:
            total += session.advance().reward or 0.0
            progress.update(session.steps - progress.n)
            if not picture:
                writer.append_data(image())
        if picture:
            writer.append_data(image())
    print(
        f"{path}: {session.steps} steps of {session.episodes} episodes, rewards sum to "
        f"{total:.1f}"
    )


def _show(session: _Session, steps: int | None) -> None:
    """Shows a window, in real time, until it is closed or the steps are done."""
    from mujoco import viewer

    model, data = session.environment.visible()
    object_geoms = np.isin(model.geom_bodyid, session.environment.scene.object_body)
    others = set(threading.enumerate())
    try:
        with viewer.launch_passive(model, data) as window:
            name = _CAMERA.value
            with window.lock():
                window.cam.type = mujoco.mjtCamera.mjCAMERA_FIXED
                window.cam.fixedcamid = model.camera(cameras.mjcf_name(name)).id
            while window.is_running() and (steps is None or session.steps < steps):
                begin = time.monotonic()
                with window.lock():
                    timestep = session.advance()
                    session.environment.visible()
                if timestep.first():  # an episode may have new objects
                    for mesh in np.unique(model.geom_dataid[object_geoms]):
                        window.update_mesh(int(mesh))
                window.sync()
                left = scene.CONTROL_TIMESTEP - (time.monotonic() - begin)
                time.sleep(max(0.0, left))
    finally:
        # GLFW terminates at exit; MuJoCo's thread must have ended by then.
        for thread in set(threading.enumerate()) - others:
            thread.join(timeout=10)


def _make_policy(name: str, environment: RgbStacking) -> base.Expert | _Still:
    if name == "still":
        return _Still()
    return base.factory(name, _ENVIRONMENT().task)(environment)


def _has_display() -> bool:
    """Returns whether a window can open; MuJoCo would wait for a key if it cannot."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # GLFW warns of its failure
        try:
            import glfw
        except ImportError:  # no GLFW library here
            return False
        if not glfw.init():
            return False
        glfw.terminate()
    return True


def _checked_steps(steps: int | None) -> int | None:
    if steps is not None and steps < 0:
        raise ValueError(f"steps is {steps}; valid: from 0")
    return steps


def _checked_path(video: str) -> pathlib.Path:
    path = pathlib.Path(video)
    if path.suffix not in _SUFFIXES:
        raise ValueError(f"video {video!r} must end in one of {', '.join(_SUFFIXES)}")
    return path


def _checked_size(text: str) -> tuple[int, int]:
    """Parses (height, width), which must be even, as .mp4 files require."""
    match = re.fullmatch(r"(\d+)x(\d+)", text)
    if not match or int(match[1]) % 2 or int(match[2]) % 2:
        raise ValueError(f"size {text!r}; valid: WIDTHxHEIGHT, even, as in 640x480")
    size = int(match[2]), int(match[1])
    cameras.check_size(size)
    return size


if __name__ == "__main__":
    cli.run(main)
