"""Registry of models and RL agents by name, and the loader of any model's bundle."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from agents.bc.frozen import BcPolicy
from agents.bc.model import BcModel
from agents.builder import AgentBuilder
from agents.fine_tuning.builder import FineTuningBuilder, FineTuningConfig
from agents.helms.frozen import Skills
from agents.helms.model import HelmsModel
from agents.helms_cat.builder import HelmsCatBuilder
from agents.helms_cat.config import HelmsCatConfig
from agents.helms_mix.builder import HelmsMixBuilder
from agents.helms_mix.config import HelmsMixConfig
from agents.hierarchical_bc.frozen import HierarchicalBcPolicy
from agents.hierarchical_bc.model import HierarchicalBcModel
from agents.mpo.config import ActionMPOConfig, MPOConfig
from agents.mpo.gaussian import GaussianMPOBuilder
from agents.npmp.frozen import NpmpSkills
from agents.npmp.model import NpmpModel
from agents.npmp_kl.builder import NpmpAgentConfig, NpmpBuilder
from agents.offline import bundle
from agents.offline.frozen import FrozenModel
from agents.offline.model import OfflineModel

save_bundle = bundle.save


@dataclasses.dataclass(frozen=True)
class Model:
    """Entry of a model: its two forms.

    Attributes:
      offline: the form that learns from a data set.
      frozen: the form that a bundle holds and RL acts over.
    """

    offline: type[OfflineModel]
    frozen: type[FrozenModel]


@dataclasses.dataclass(frozen=True)
class Agent:
    """Entry of an RL agent: the parts from which it is made.

    Attributes:
      config_type: class of the agent's configuration.
      builder: class that takes the configuration and the frozen model (None where there
        is none); builders of agents with a high level also take `context`.
      model: name in `MODELS` of the frozen model that the agent needs; None for an
        agent that needs none and takes any for its observation statistics.
      vision: settings where the policy sees images in place of the objects' state;
        None for an agent that only acts on state.
      asymmetric: whether, where the policy sees images, the critic sees the objects'
        state by default (https://arxiv.org/abs/1710.06542).
      vision_only: whether the agent acts on images only.
    """

    config_type: type[MPOConfig]
    builder: Callable[..., AgentBuilder]
    model: str | None
    vision: Mapping[str, Any] | None = None
    asymmetric: bool = False
    vision_only: bool = False

    def default_settings(
        self, images: Sequence[str], asymmetric: bool | None = None
    ) -> dict[str, Any]:
        """Returns the settings, by name, that observations with `images` change.

        Args:
          images: names of the images that the policy sees; empty on state.
          asymmetric: whether the critic sees the objects' state in place of images;
            None takes the agent's default.

        Raises:
          ValueError: the agent does not act on such observations.
        """
        if not images:
            if self.vision_only or asymmetric is not None:
                raise ValueError(
                    "an asymmetric critic needs images: observations vision"
                )
            return {}
        if self.vision is None:
            able = [name for name, agent in AGENTS.items() if agent.vision is not None]
            raise ValueError(
                f"this agent acts on state; agents for vision: {', '.join(able)}"
            )
        keys = {"policy_keys": ("proprio", *images)}
        if not (self.asymmetric if asymmetric is None else asymmetric):
            keys["critic_keys"] = keys["policy_keys"]
        return {**keys, **self.vision}


def _from_scratch(config: MPOConfig, frozen: FrozenModel | None) -> AgentBuilder:
    statistics = None if frozen is None else frozen.observation_statistics()
    return GaussianMPOBuilder(config, statistics)


# HeLMS-mix on images cannot start from the frozen mid level, which reads objects: the
# policy does not see them. Weights: Table 5.
_MIX_VISION = {"components": "scratch", "eta_y": 0.1, "eta_z": 0.1}

# A user's module adds rows to both: docs/guides/own_data_and_environment.md.
MODELS: dict[str, Model] = {
    "helms": Model(HelmsModel, Skills),
    "npmp": Model(NpmpModel, NpmpSkills),
    "bc": Model(BcModel, BcPolicy),
    "hierarchical_bc": Model(HierarchicalBcModel, HierarchicalBcPolicy),
}

AGENTS: dict[str, Agent] = {
    "helms_mix": Agent(HelmsMixConfig, HelmsMixBuilder, "helms", _MIX_VISION, True),
    "helms_cat": Agent(HelmsCatConfig, HelmsCatBuilder, "helms"),
    "mpo": Agent(ActionMPOConfig, _from_scratch, None, {}),
    "npmp": Agent(NpmpAgentConfig, NpmpBuilder, "npmp"),
    "bc": Agent(FineTuningConfig, FineTuningBuilder, "bc"),
    "hierarchical_bc": Agent(FineTuningConfig, FineTuningBuilder, "hierarchical_bc"),
    "asymmetric_mpo": Agent(ActionMPOConfig, _from_scratch, None, {}, True, True),
}


def load_bundle(
    directory: str | os.PathLike[str],
    proprio_dim: int | None = None,
    object_dim: int | None = None,
    action_dim: int | None = None,
    model: str | None = None,
) -> FrozenModel:
    """Reads a bundle of any model.

    Args:
      directory: directory of the bundle.
      proprio_dim: P of the environment, object_dim: O, action_dim: D. Each that is
        given must equal the bundle's.
      model: name in `MODELS` of the model that the caller can use; None takes any.

    Returns:
      The frozen form; its `.model` is the name in `MODELS`.

    Raises:
      ValueError: the bundle cannot be used; one line says why.
    """
    name = model or str(bundle.read_description(directory).get("model"))
    if name not in MODELS:
        raise ValueError(
            f"unknown model {name!r} of the skills at {directory}; valid: "
            f"{', '.join(MODELS)}"
        )
    frozen = MODELS[name].frozen
    return bundle.load(frozen, directory, proprio_dim, object_dim, action_dim)
