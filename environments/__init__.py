"""The RGB-stacking environment: `make` builds it."""

from environments.factory import make

__all__ = ["make"]
