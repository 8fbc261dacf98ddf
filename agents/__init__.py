"""Agents: learners and policies that see only specs, batches and iterators.

Importing this package silences what TensorFlow and gym, which Acme imports, print about
themselves. TF_CPP_MIN_LOG_LEVEL=0 shows TensorFlow's notices.
"""

import os
import warnings

import gym_notices.notices

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # before TensorFlow loads
gym_notices.notices.notices.clear()
with warnings.catch_warnings():  # gym changes which warnings are shown
    import gym  # noqa: F401
