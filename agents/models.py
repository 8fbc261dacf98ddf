"""The offline models by the name that the command line and the bundles give them."""

from __future__ import annotations

from collections.abc import Mapping

from agents.bc.model import BcModel
from agents.helms.model import HelmsModel
from agents.hierarchical_bc.model import HierarchicalBcModel
from agents.npmp.model import NpmpModel
from agents.offline.model import OfflineModel

MODELS: Mapping[str, type[OfflineModel]] = {
    model.networks_type.model: model
    for model in (HelmsModel, NpmpModel, BcModel, HierarchicalBcModel)
}
