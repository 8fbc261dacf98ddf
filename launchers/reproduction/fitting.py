"""Which bundles and data sets that a user gives a figure may take."""

from __future__ import annotations

from collections.abc import Mapping

from agents.registry import MODELS
from datasets import loader
from datasets.rlds.columns import Columns
from datasets.rlds.recipes import RECIPES
from launchers.reproduction import figures
from launchers.reproduction.figures import Bundle


def fits(description: Mapping[str, object], spec: Bundle, scale: str) -> bool:
    """Returns whether a bundle's description has a model and settings at a scale.

    A setting that no figure changes, as the batch size, is left free. One that another
    bundle of the model has changed must have its default where `spec` does not give it.
    The order of the objects must be the same.
    """
    config = description.get("config")
    if description.get("model") != spec.model or not isinstance(config, dict):
        return False
    if Columns.of_bundle(description).object_order != spec.order(scale):
        return False
    defaults = MODELS[spec.model].offline.config_type().to_dict()
    wanted = spec.of(scale)
    return all(
        config.get(name, defaults[name]) == wanted.get(name, defaults[name])
        for name in figures.changed_settings(spec.model)
    )


def describe(spec: Bundle, scale: str) -> str:
    """Returns the model, the settings at a scale and the data set of a bundle."""
    settings = [f"{name} {value}" for name, value in spec.of(scale).items()]
    if spec.order(scale) != "color":
        settings.append(f"object_order {spec.order(scale)}")
    return f"{spec.model} ({', '.join((*settings, spec.dataset))})"


def recipe_of(path: str) -> str | None:
    """Returns which of the paper's data sets a directory holds; None: neither."""
    settings = loader.manifest(path).get("settings", {})
    if settings.get("dataset") in RECIPES:
        return str(settings["dataset"])
    combination = settings.get("task"), settings.get("object_set")
    return next((n for n, wanted in RECIPES.items() if wanted == (combination,)), None)
