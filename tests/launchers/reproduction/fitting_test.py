"""A bundle fits where its settings are those that its own training would have."""

import pytest

from environments import observations
from launchers.reproduction import figures, fitting


def _fitting(model, scale="paper", names=observations.GROUPS, **config):
    description = {"model": model, "config": config, "observation_names": names}
    return {
        name
        for name, spec in figures.BUNDLES.items()
        if fitting.fits(description, spec, scale)
    }


@pytest.mark.parametrize(
    ("model", "config", "names"),
    [
        ("helms", {"num_skills": 5, "beta_z": 0.01}, {"helms_beta_z_0.01"}),
        ("helms", {"num_skills": 5, "variant": "discrete"}, {"helms_discrete"}),
        ("helms", {"num_skills": 5, "beta_z": 0.0, "variant": "discrete"}, set()),
        ("helms", {"num_skills": 10, "batch_size": 7}, {"helms_all_pairs"}),
        ("npmp", {}, {"npmp", "npmp_all_pairs"}),
        ("npmp", {"prior_coefficient": 0.95}, {"npmp_ar1"}),
        ("bc", {"hidden_sizes": [3]}, {"bc"}),
        ("mpo", {}, set()),
    ],
)
def test_a_bundle_fits_by_what_the_figures_change(model, config, names):
    assert _fitting(model, **config) == names


def test_objects_by_role_fit_where_a_scale_has_them():
    by_role = {**observations.GROUPS, "objects": observations.OBJECTS_BY_ROLE}
    assert _fitting("npmp", "laptop", by_role) == {"npmp_all_pairs"}
    assert _fitting("npmp", "laptop") == {"npmp"}
    assert _fitting("helms", "laptop", by_role, num_skills=10) == {"helms_all_pairs"}
    assert _fitting("helms", "paper", by_role, num_skills=10) == set()
