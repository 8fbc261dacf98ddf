"""Flags of an environment, made from fields of `EnvironmentConfig`."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

from absl import flags

from environments.config import OF_EXTERNAL, EnvironmentConfig
from launchers.common import settings

_GROUP = "environment"


class _ObjectSetParser(flags.ArgumentParser):
    """Parses a set's number or three ids; `EnvironmentConfig` checks the rest."""

    def parse(self, argument: Any) -> int | str | tuple[str, ...]:
        if not isinstance(argument, str):
            return argument
        if "," in argument:
            return tuple(argument.split(","))
        return int(argument) if argument.isdecimal() else argument


def define(defaults: EnvironmentConfig, *names: str) -> Callable[[], EnvironmentConfig]:
    """Defines a flag for each of these fields.

    Args:
      defaults: values of flags that are not given, and of fields without a flag.
      *names: names of fields of `EnvironmentConfig`.

    Returns:
      A function that makes the configuration from the flags; it raises ValueError, in
      one line, for an invalid value.
    """
    texts = settings.texts(EnvironmentConfig)
    holders = {}
    for name in names:
        default, text = getattr(defaults, name), texts[name]
        if name == "object_set":
            holders[name] = settings.define(
                EnvironmentConfig, name, default, text, _GROUP, _ObjectSetParser()
            )
        else:
            holders[name] = settings.define(
                EnvironmentConfig, name, default, text, _GROUP
            )

    def config() -> EnvironmentConfig:
        values = {name: holder.value for name, holder in holders.items()}
        if values.get("environment") is None:
            return dataclasses.replace(defaults, **values)
        for name in values:
            if flags.FLAGS[name].present and name not in OF_EXTERNAL:
                raise ValueError(
                    f"--{name} is a setting of the Sawyer cell: leave it out beside "
                    f"--environment={values['environment']}"
                )
        return EnvironmentConfig(
            **{name: v for name, v in values.items() if name in OF_EXTERNAL}
        )

    return config
