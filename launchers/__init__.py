"""The commands: one thin main per module, run as `python -m launchers.NAME`.

Importing this package silences notices of libraries about themselves on standard error,
which help no user of a command; errors and warnings about the run are still shown.
TF_CPP_MIN_LOG_LEVEL=0 shows the notices of TensorFlow, Courier and Reverb.
It also chooses whether TensorFlow uses oneDNN (`launchers.common.onednn`), and loads
CUDA where there is a GPU (`launchers.common.cuda`). Where Python
imports it to run a command, Ctrl-C ends the command with one line from here on.
"""

import os
import sys
import warnings
from typing import Any

import gym_notices.notices

from launchers.common import cuda as _cuda
from launchers.common import onednn as _onednn
from launchers.common import reverb_log as _reverb_log
from launchers.common import signals as _signals

if sys.argv[:1] == ["-m"]:  # Python is finding the command that it is to run
    _signals.end_during_imports()

# Before TensorFlow and Courier load.
if os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2") not in ("0", "1"):
    _reverb_log.show(False)
# Without it, a process that first imports TensorFlow within absl's main traces as
# TensorFlow 1 does: `==` of two tensors is False there.
os.environ.setdefault("TF2_BEHAVIOR", "1")
_onednn.choose()
_cuda.preload()
# Acme imports gym, which prints on every import that it is unmaintained.
gym_notices.notices.notices.clear()

_show = warnings.showwarning


def _show_unless_deprecation(
    message: Warning | str, category: type[Warning], *args: Any, **kwargs: Any
) -> None:
    if not issubclass(category, DeprecationWarning):
        _show(message, category, *args, **kwargs)


# A filter would not do: dm_control and gym put their own filters before ours.
if not sys.warnoptions:
    warnings.showwarning = _show_unless_deprecation
