"""The RGB-stacking environment: `make` builds it from names, `build` from a config."""

from environments.config import EnvironmentConfig
from environments.factory import build, make

__all__ = ["EnvironmentConfig", "build", "make"]
