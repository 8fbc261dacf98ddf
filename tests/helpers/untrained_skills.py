"""Small HeLMS bundles of the environment's sizes, with weights as drawn."""

from agents import registry
from agents.helms.config import HelmsConfig
from agents.helms.networks import HelmsNetworks
from agents.offline.networks import unit_statistics
from benchmarks.common.untrained import environment_dims
from environments import observations


def save_skills(directory, num_skills=3, seed=0, names=observations.GROUPS, **config):
    """Writes one, which observes `names`, and returns its directory."""
    settings = {"latent_dim": 2, "look_ahead": 1, "hidden_sizes": (8,), **config}
    dims = environment_dims()
    model = HelmsNetworks(
        HelmsConfig(num_skills=num_skills, seed=seed, **settings),
        dims,
        unit_statistics(dims),
    )
    registry.save_bundle(directory, model, names)
    return str(directory)
