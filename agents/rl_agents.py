"""The RL agents by name: their settings, the frozen model they need, their builder."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from agents.builder import AgentBuilder
from agents.fine_tuning.builder import FineTuningBuilder, FineTuningConfig
from agents.helms_cat.builder import HelmsCatBuilder
from agents.helms_cat.config import HelmsCatConfig
from agents.helms_mix.builder import HelmsMixBuilder
from agents.helms_mix.config import HelmsMixConfig
from agents.mpo.config import ActionMPOConfig, MPOConfig
from agents.mpo.gaussian import GaussianMPOBuilder
from agents.npmp_kl.builder import NpmpAgentConfig, NpmpBuilder
from agents.offline.frozen import FrozenModel


@dataclasses.dataclass(frozen=True)
class Agent:
    """How an agent is made.

    Attributes:
      config_type: of its settings.
      builder: of its settings and the frozen model (None where it was given none); of
        agents with a high level also of `context`.
      model: the frozen model it needs, by its name in `agents.bundles`; None for an
        agent that needs none and takes any, for its observation statistics.
      vision: its settings where the policy sees images in place of the objects' state;
        None for an agent that only acts on state.
      asymmetric: whether the critic still sees the objects' state then. Such an agent
        is for vision only.
    """

    config_type: type[MPOConfig]
    builder: Callable[..., AgentBuilder]
    model: str | None
    vision: Mapping[str, Any] | None = None
    asymmetric: bool = False

    def default_settings(self, images: Sequence[str]) -> dict[str, Any]:
        """Its settings with these images (none: on state), by name.

        Raises:
          ValueError: it does not act on such observations.
        """
        if not images:
            if self.asymmetric:
                raise ValueError(
                    "an asymmetric agent needs images: observations vision"
                )
            return {}
        if self.vision is None:
            able = [name for name, agent in AGENTS.items() if agent.vision is not None]
            raise ValueError(
                f"this agent acts on state; agents for vision: {', '.join(able)}"
            )
        keys = {"policy_keys": ("proprio", *images)}
        if not self.asymmetric:
            keys["critic_keys"] = keys["policy_keys"]
        return {**keys, **self.vision}


def _from_scratch(config: MPOConfig, frozen: FrozenModel | None) -> AgentBuilder:
    statistics = None if frozen is None else frozen.observation_statistics()
    return GaussianMPOBuilder(config, statistics)


# Of HeLMS-mix on images: the frozen mid level reads objects, which the policy no longer
# sees. Weights: Table 5.
_MIX_VISION = {"components": "scratch", "eta_y": 0.1, "eta_z": 0.1}

AGENTS: Mapping[str, Agent] = {
    "helms_mix": Agent(HelmsMixConfig, HelmsMixBuilder, "helms", _MIX_VISION),
    "helms_cat": Agent(HelmsCatConfig, HelmsCatBuilder, "helms"),
    "mpo": Agent(ActionMPOConfig, _from_scratch, None, {}),
    "npmp": Agent(NpmpAgentConfig, NpmpBuilder, "npmp"),
    "bc": Agent(FineTuningConfig, FineTuningBuilder, "bc"),
    "hierarchical_bc": Agent(FineTuningConfig, FineTuningBuilder, "hierarchical_bc"),
    "asymmetric_mpo": Agent(ActionMPOConfig, _from_scratch, None, {}, True),
}
