"""A package of one's own: an environment, an expert and an agent, outside this tree.

The import registers the expert and the agent:

PYTHONPATH=examples/plugin python -m launchers.train_agent --import=reach_plugin \
    --agent=patient_mpo --environment=reach_plugin.environment:make \
    --proprio=position --objects=target --workdir=runs/reach
"""

from agents import registry
from datasets import experts
from reach_plugin.agent import PatientMPOConfig, make_builder
from reach_plugin.expert import Straight

registry.AGENTS["patient_mpo"] = registry.Agent(PatientMPOConfig, make_builder, None)
experts.MAKERS["straight"] = Straight
