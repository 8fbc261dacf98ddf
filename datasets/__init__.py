"""Data sets: experts, collection into RLDS episodes, and windows for learners.

Importing this package silences TensorFlow's notices; TF_CPP_MIN_LOG_LEVEL=0 shows them.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # before TensorFlow loads
