"""Flags made from the fields of configurations.

The `Attributes` of a configuration's docstring are the help texts of its flags.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Collection, Mapping
from typing import Any

import docstring_parser
from absl import flags

# A flag that a function here defines counts as the command's, so its --help shows it.
flags.disclaim_key_flags()

_DEFINE = {
    bool: flags.DEFINE_bool,
    int: flags.DEFINE_integer,
    float: flags.DEFINE_float,
    str: flags.DEFINE_string,
    tuple: flags.DEFINE_list,
}

GROUPS: list[str] = []  # headings of --help after the command's own flags


def texts(config_type: type) -> dict[str, str]:
    """Returns the help of each field, from the docstrings of the class and its bases.

    Raises:
      ValueError: a field has none.
    """
    found = {}
    for cls in reversed(config_type.__mro__):
        if not dataclasses.is_dataclass(cls):
            continue
        doc = docstring_parser.parse(cls.__doc__ or "", docstring_parser.Style.GOOGLE)
        for attribute in doc.params:
            text = " ".join((attribute.description or "").split())
            for name in attribute.arg_name.split(", "):
                found[name] = text
    for field in dataclasses.fields(config_type):
        if not found.get(field.name):
            raise ValueError(f"{config_type.__name__} does not describe {field.name}")
    return found


def define(
    config_type: type,
    name: str,
    default: Any,
    text: str,
    group: str,
    parser: flags.ArgumentParser | None = None,
) -> flags.FlagHolder:
    """Defines the flag of a field.

    Args:
      config_type: class of the field.
      name: name of the field and the flag.
      default: default of the flag.
      text: help text of the flag.
      group: heading under which --help shows the flag.
      parser: parser of its values; None takes one that fits the field's type.
    """
    if group not in GROUPS:
        GROUPS.append(group)
    if parser is not None:
        return flags.DEFINE(parser, name, default, text, module_name=group)
    hint = typing.get_type_hints(config_type)[name]
    if typing.get_origin(hint) in (types.UnionType, typing.Union):
        hint = next(a for a in typing.get_args(hint) if a is not type(None))
    kind = _DEFINE[typing.get_origin(hint) or hint]
    if isinstance(default, tuple):
        default = list(map(str, default))
    return kind(name, default, text, module_name=group)


def fill(values: Mapping[str, Any]) -> None:
    """Sets the flags among these that the command line did not give."""
    for name, value in values.items():
        flag = flags.FLAGS[name]
        if not flag.present:
            flag.value = list(map(str, value)) if isinstance(value, list) else value


class Settings:
    """Flags of settings that several configurations share, each with its own default.

    The flags have no defaults: where one is not given, the chosen configuration keeps
    its own value. A setting that the chosen configuration lacks is an error.
    """

    def __init__(
        self, kind: str, configs: Mapping[str, Any], without: Collection[str] = ()
    ):
        """Defines a flag for each setting.

        Args:
          kind: kind of the choices, as "model"; used in messages and as the heading of
            the flags in --help.
          configs: default configurations of the choices, dataclasses, by name.
          without: names of fields that get no flag.
        """
        self._kind = kind
        self._configs = dict(configs)
        types = {name: type(config) for name, config in configs.items()}
        self._holders: dict[str, flags.FlagHolder] = {}
        described = {name: texts(cls) for name, cls in types.items()}
        owners: dict[str, list[str]] = {}
        for name, config in configs.items():
            for field in dataclasses.fields(config):
                if field.name not in without:
                    owners.setdefault(field.name, []).append(name)
        for setting, names in owners.items():
            values = [getattr(configs[name], setting) for name in names]
            text = described[names[0]][setting]
            if len(names) < len(configs):
                text = f"{text} Of {', '.join(names)}."
            defaults = " or ".join(dict.fromkeys(map(_show, values)))
            self._holders[setting] = define(
                types[names[0]],
                setting,
                None,
                f"{text} Default: {defaults}.",
                group=f"settings of the {kind}",
            )

    def given(self, name: str) -> dict[str, Any]:
        """Returns the settings given by flags, for the choice `name`.

        Raises:
          ValueError: the choice lacks a setting, or a list's values do not fit.
        """
        config = self._configs[name]
        fields = {f.name for f in dataclasses.fields(config)}
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
                value = _tuple(setting, value, getattr(config, setting))
            values[setting] = value
        return values


def _tuple(setting: str, values: list[str], default: tuple) -> tuple:
    """Converts the values of a list flag to the type of the default's values."""
    element = type(default[0])
    try:
        return tuple(element(value) for value in values)
    except ValueError:
        raise ValueError(
            f"{setting} must be integers, got {','.join(values)}"
        ) from None


def _show(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
