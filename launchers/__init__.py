"""Commands: one thin main a module, run as `python -m launchers.NAME`."""

import os
import warnings

# Before TensorFlow loads: what it, Courier and TFDS say about themselves helps no user.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
warnings.filterwarnings("ignore", category=DeprecationWarning)
