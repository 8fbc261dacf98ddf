"""The RL agents by name: their settings, the frozen model they need, their builder."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping

from agents.bc.builder import FineTuningBuilder
from agents.builder import AgentBuilder
from agents.helms_cat.builder import HelmsCatBuilder
from agents.helms_cat.config import HelmsCatConfig
from agents.helms_mix.builder import HelmsMixBuilder
from agents.helms_mix.config import HelmsMixConfig
from agents.mpo.config import GaussianMPOConfig, MPOConfig
from agents.mpo.gaussian import GaussianMPOBuilder
from agents.npmp.builder import NpmpAgentConfig, NpmpBuilder
from agents.offline.frozen import FrozenModel


@dataclasses.dataclass(frozen=True)
class Agent:
    """How an agent is made.

    Attributes:
      config_type: of its settings.
      builder: of its settings and the frozen model (None where it was given none).
      model: the frozen model it needs, by its name in `agents.bundles`; None for an
        agent that needs none and takes any, for its observation statistics.
    """

    config_type: type[MPOConfig]
    builder: Callable[[MPOConfig, FrozenModel | None], AgentBuilder]
    model: str | None


def _from_scratch(config: MPOConfig, frozen: FrozenModel | None) -> AgentBuilder:
    statistics = None if frozen is None else frozen.observation_statistics()
    return GaussianMPOBuilder(config, statistics)


AGENTS: Mapping[str, Agent] = {
    "helms_mix": Agent(HelmsMixConfig, HelmsMixBuilder, "helms"),
    "helms_cat": Agent(HelmsCatConfig, HelmsCatBuilder, "helms"),
    "mpo": Agent(GaussianMPOConfig, _from_scratch, None),
    "npmp": Agent(NpmpAgentConfig, NpmpBuilder, "npmp"),
    "bc": Agent(GaussianMPOConfig, FineTuningBuilder, "bc"),
    "hierarchical_bc": Agent(GaussianMPOConfig, FineTuningBuilder, "hierarchical_bc"),
}
