"""Flags of settings that several configurations share: each has its own default.

A setting's flag has no default of its own; where it is not given, the configuration
that was chosen keeps its own. One that the chosen configuration does not have is an
error.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from absl import flags

_DEFINE = {
    bool: flags.DEFINE_bool,
    int: flags.DEFINE_integer,
    float: flags.DEFINE_float,
    str: flags.DEFINE_string,
    type(None): flags.DEFINE_float,
    tuple: flags.DEFINE_list,
}


class Settings:
    """The flags, defined at construction."""

    def __init__(self, kind: str, configs: Mapping[str, Any], texts: Mapping[str, str]):
        """Defines a flag for each setting.

        Args:
          kind: what is chosen among, as "model", for messages.
          configs: the choices' default configurations, dataclasses, by name.
          texts: setting -> its help, to which its owners and defaults are added.
        """
        self._kind = kind
        self._types = {name: type(config) for name, config in configs.items()}
        self._holders = {}
        for setting, text in texts.items():
            values = {
                name: getattr(config, setting)
                for name, config in configs.items()
                if setting in {f.name for f in dataclasses.fields(config)}
            }
            owners = "" if len(values) == len(configs) else f" Of {', '.join(values)}."
            defaults = " or ".join(dict.fromkeys(map(_show, values.values())))
            define = _DEFINE[type(next(iter(values.values())))]
            self._holders[setting] = define(
                setting, None, f"{text}{owners} Default: {defaults}."
            )

    def given(self, name: str) -> dict[str, Any]:
        """The settings that flags gave, for the choice `name`.

        Raises:
          ValueError: one that it does not have, or a list whose values do not fit.
        """
        fields = {f.name: f for f in dataclasses.fields(self._types[name])}
        values = {}
        for setting, holder in self._holders.items():
            if holder.value is None:
                continue
            if setting not in fields:
                have = [known for known in self._holders if known in fields]
                raise ValueError(
                    f"{self._kind} {name} has no {setting}; it has {', '.join(have)}"
                )
            value = holder.value
            if isinstance(value, list):
                value = _tuple(setting, value, fields[setting].default)
            values[setting] = value
        return values


def _tuple(setting: str, texts: list[str], default: Any) -> tuple:
    """The values of a list flag, of the type of the default's."""
    element = type(default[0])
    try:
        return tuple(element(text) for text in texts)
    except ValueError:
        raise ValueError(f"{setting} must be integers, got {','.join(texts)}") from None


def _show(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
