"""Reads TFDS's description of a data set, after a check of what it names.

TFDS imports the module of every class that `features.json` names, and takes files of
any directory from `dataset_info.json`. Here a data set runs no code, and its files lie
in its own directory.
"""

from __future__ import annotations

import json
import pathlib
import re
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import tensorflow_datasets as tfds
from tensorflow_datasets.core import dataset_info

from datasets.rlds import errors, files, schema

T = TypeVar("T")

_CLASS_KEYS = ("type", "pythonClassName", "python_class_name")
_TEMPLATE_KEYS = ("filepathTemplate", "filepath_template")
_FORMAT_KEYS = ("fileFormat", "file_format")
_VARIABLES = re.compile(
    r"\{(DATASET|SPLIT|FILEFORMAT|SHARD_INDEX|NUM_SHARDS|SHARD_X_OF_Y)\}"
)


def read(path: pathlib.Path) -> tuple[tfds.core.DatasetInfo, list[pathlib.Path]]:
    """Reads and checks `dataset_info.json`, `features.json` and `metadata.json`.

    Returns:
      The description, and the paths of the split's shards, in order.

    Raises:
      ValueError: a file is missing, damaged, names a class outside TFDS or a file
        outside the directory, or describes no split of TFRecord files with episodes;
        the message names the file.
    """
    info = _json(path, files.DATASET_INFO)
    embedded = info.get("features")  # where the features have no file of their own
    features = None
    if (path / files.FEATURES).exists():
        features = _json(path, files.FEATURES)
    elif embedded is None:
        raise files.refusal(path, files.FEATURES, "is missing")
    if (path / files.METADATA).exists():
        _json(path, files.METADATA)
    _guarded(path, files.FEATURES, lambda: _check_classes(features))
    _guarded(path, files.DATASET_INFO, lambda: _check_classes(embedded))
    _guarded(path, files.DATASET_INFO, lambda: _check_names(info))
    # TFDS reads all at once and does not say in which file an error is.
    _guarded(
        path,
        files.DATASET_INFO,
        lambda: dataset_info.read_from_json(path / files.DATASET_INFO),
    )
    if features is not None:
        _guarded(
            path,
            files.FEATURES,
            lambda: tfds.features.FeatureConnector.from_config(str(path)),
        )
    return _guarded(path, files.DATASET_INFO, lambda: _load(path))


def _json(path: pathlib.Path, name: str) -> dict[str, Any]:
    try:
        return files.read_json(path / name)
    except ValueError as e:
        raise files.refusal(path, name, f"cannot be read: {e}") from e


def _guarded(path: pathlib.Path, name: str, function: Callable[[], T]) -> T:
    """Calls a function; turns any exception into a ValueError that names the file."""
    try:
        return function()
    except _Refusal as e:
        raise files.refusal(path, name, str(e)) from e
    except Exception as e:  # TFDS passes on any exception of its parsers.
        raise files.refusal(path, name, f"cannot be read: {errors.named(e)}") from e


class _Refusal(ValueError):
    """Refusal of what a file holds, which needs no further words."""


def _check_classes(features: Any) -> None:
    classes: list[Any] = [
        value
        for value in vars(tfds.features).values()
        if isinstance(value, type) and issubclass(value, tfds.features.FeatureConnector)
    ]
    known = {f"{c.__module__}.{c.__name__}" for c in classes}
    known.update(*(c.ALIASES for c in classes))
    for key, value in _named(features):
        if key == "names_file":
            raise _Refusal(f"names the file {value!r}; valid: labels without a file")
        if value not in known:
            raise _Refusal(
                f"names the class {value!r}, whose code would run; valid: the features "
                "of tensorflow_datasets"
            )


def _named(content: Any) -> Iterator[tuple[str, str]]:
    """Yields the classes and files that features name, with their keys.

    Older versions of TFDS hold features as JSON within a text.
    """
    if isinstance(content, dict):
        for key, value in content.items():
            if key in (*_CLASS_KEYS, "names_file") and isinstance(value, str):
                yield key, value
            else:
                yield from _named(value)
    elif isinstance(content, list):
        for value in content:
            yield from _named(value)
    elif isinstance(content, str) and content.lstrip().startswith(("{", "[")):
        try:
            inner = json.loads(content)
        except ValueError:  # a description
            return
        yield from _named(inner)


def _check_names(info: dict[str, Any]) -> None:
    splits = info.get("splits")
    splits = splits if isinstance(splits, list) else []
    parts = [part for part in splits if isinstance(part, dict)]
    templates = [part.get(key) for part in parts for key in _TEMPLATE_KEYS]
    names = [info.get(key) for key in ("name", *_FORMAT_KEYS)]
    names += [part.get("name") for part in parts]
    for name in (*names, *templates):
        if isinstance(name, str) and ("/" in name or "\0" in name):
            raise _Refusal(
                f"names files of another directory by {name!r}; valid: names without a "
                "slash"
            )
    for template in templates:
        if isinstance(template, str) and re.search(
            "[{}]", _VARIABLES.sub("", template)
        ):
            raise _Refusal(f"has the unknown template {template!r} of files")


def _load(path: pathlib.Path) -> tuple[tfds.core.DatasetInfo, list[pathlib.Path]]:
    info = tfds.builder_from_directory(str(path)).info
    if schema.SPLIT not in info.splits:
        available = ", ".join(info.splits) or "none"
        raise _Refusal(f"lacks the split {schema.SPLIT}; it has {available}")
    if info.file_format.value != schema.FILE_FORMAT:
        raise _Refusal(
            f"says {info.file_format.value} files; valid: {schema.FILE_FORMAT}"
        )
    split = info.splits[schema.SPLIT]
    if any(length < 0 for length in split.shard_lengths):
        raise _Refusal(f"has a shard of {min(split.shard_lengths)} episodes")
    if not split.num_examples:
        raise _Refusal("is empty: it counts no episodes")
    names = [file.name for file in split.filepaths]
    if len(set(names)) != len(names):
        raise _Refusal(f"names the file {names[0]} for several shards")
    return info, [path / name for name in names]
