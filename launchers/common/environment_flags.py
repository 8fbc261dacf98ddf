"""Flags of an environment, made from fields of `EnvironmentConfig`."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from absl import flags

from environments.config import EnvironmentConfig
from launchers.common import settings

_GROUP = "environment"


class _ObjectSetParser(flags.ArgumentParser):
    """Parser of object sets: digits give a number, which is not checked here."""

    def parse(self, argument: str | int) -> int | str:
        text = str(argument)
        return int(text) if text.isdecimal() else text


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
        return dataclasses.replace(
            defaults, **{name: holder.value for name, holder in holders.items()}
        )

    return config
