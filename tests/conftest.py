"""What all tests share: quiet libraries, and the `gl` marker's skip."""

from __future__ import annotations

import functools
import pathlib
import signal
import subprocess
import sys

import pytest

# Sets what TensorFlow reads, before any test imports it; the processes that tests start
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


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skips a test marked `gl` on a machine that cannot render."""
    if item.get_closest_marker("gl") and not _rendering_works():
        pytest.skip("no OpenGL: install libegl1 and libgl1, or libosmesa6")
