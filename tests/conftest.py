"""What all tests share: quiet libraries, and the `gl` marker's skip."""

from __future__ import annotations

import functools
import pathlib
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest
import tensorflow as tf

# Sets what TensorFlow reads, before it is imported; the processes that tests start
# inherit it.
import launchers  # noqa: F401

# A shell's background job ignores Ctrl-C, as the processes that tests start would.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

_ROOT = pathlib.Path(__file__).resolve().parent.parent


@functools.cache
def _rendering_works() -> bool:
    check = [sys.executable, str(_ROOT / "scripts" / "check_gl.py")]
    return subprocess.run(check, capture_output=True, check=False).returncode == 0


@pytest.fixture
def eagerly() -> Iterator[None]:
    """Runs TensorFlow's functions eagerly: for learners of a few steps.

    To compile a step takes seconds, to take it eagerly a tenth of one.
    """
    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


@pytest.fixture
def eagerly_but_helms(request: pytest.FixtureRequest) -> None:
    """Is `eagerly`, but for the parameter `name` of HeLMS's own model or agent."""
    if request.node.callspec.params["name"] not in ("helms", "helms_mix"):
        request.getfixturevalue("eagerly")


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skips a test marked `gl` on a machine that cannot render."""
    if item.get_closest_marker("gl") and not _rendering_works():
        pytest.skip("no OpenGL: install libegl1 and libgl1, or libosmesa6")
