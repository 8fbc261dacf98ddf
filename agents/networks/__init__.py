"""Network pieces that several agents share."""

from agents.networks.heads import (
    ActionHead,
    CategoricalHead,
    bounded_stddev,
)
from agents.networks.initializers import FanInNormal
from agents.networks.low_level import LowLevel
from agents.networks.normalizer import Normalizer
from agents.networks.recurrent import SequenceLSTM
from agents.networks.torsos import (
    LeadingDims,
    make_input_representation,
    make_mlp,
)

__all__ = [
    "ActionHead",
    "CategoricalHead",
    "FanInNormal",
    "LeadingDims",
    "LowLevel",
    "Normalizer",
    "SequenceLSTM",
    "bounded_stddev",
    "make_input_representation",
    "make_mlp",
]
