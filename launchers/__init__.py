"""Commands: one thin main a module, run as `python -m launchers.NAME`.

Importing this package quiets what libraries say about themselves on standard error,
which helps no user of a command; errors and warnings about the run are still shown.
It also decides what TensorFlow computes with (`launchers.common.onednn`).
"""

import os
import sys
import warnings
from typing import Any

import gym_notices.notices

from launchers.common import onednn as _onednn

# Before TensorFlow and Courier load.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
_onednn.choose()
# gym prints that it is unmaintained, on every import; Acme needs it.
gym_notices.notices.notices.clear()

_show = warnings.showwarning


def _show_unless_deprecation(
    message: Warning | str, category: type[Warning], *args: Any, **kwargs: Any
) -> None:
    if not issubclass(category, DeprecationWarning):
        _show(message, category, *args, **kwargs)


# Not by a filter: dm_control and gym put filters of their own before ours.
if not sys.warnoptions:
    warnings.showwarning = _show_unless_deprecation
