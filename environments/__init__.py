"""RGB-stacking environment: `make` builds it from settings, `build` from a config."""

import warnings

with warnings.catch_warnings():  # dm_control changes which warnings are shown
    from environments.config import EnvironmentConfig
    from environments.factory import build, make

__all__ = ["EnvironmentConfig", "build", "make"]
