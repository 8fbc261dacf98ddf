"""RGB-stacking environment: `make` builds it from settings, `build` from a config."""

from environments.config import EnvironmentConfig
from environments.factory import build, make

__all__ = ["EnvironmentConfig", "build", "make"]
