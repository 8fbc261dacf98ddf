"""Factory of environments."""

from __future__ import annotations

from typing import Any

from environments import scene
from environments.config import EnvironmentConfig
from environments.stacking import RgbStacking


def make(*, seed: int | None = None, **settings: Any) -> RgbStacking:
    """Builds the RGB-stacking environment, or another one by `environment`.

    Args:
      seed: seed of all draws; None draws one.
      **settings: fields of `EnvironmentConfig`.

    Returns:
      A `dm_env.Environment`.

    Raises:
      ValueError: a value is not valid; the message names the valid ones.
    """
    return build(EnvironmentConfig(**settings), seed)


def build(config: EnvironmentConfig, seed: int | None = None) -> Any:
    """Builds the environment of a configuration.

    Returns:
      The RGB-stacking environment (see `make`); or an `external.ExternalEnvironment`,
      within an `agent_view.AgentView` where the configuration is grouped.

    Raises:
      ValueError: in one line, what does not fit.
    """
    if config.environment is not None:
        from environments import agent_view, external

        environment = external.load(config.environment, seed)
        return (
            agent_view.AgentView(environment, config) if config.grouped else environment
        )
    return RgbStacking(scene.build(config.object_set, config.preset), config, seed)
