"""What a training prints fits a terminal of 80 columns."""

import re

import pytest

from launchers.skills import report

_METRICS = {
    "elbo": -12.3456,
    "log_likelihood": -11.2345,
    "latent_kl": 10.1234,
    "categorical_kl": 1.2345,
    "action_mse": 0.1234,
    "active_latents": 10,
    "prior_stay": 0.95,
    "use_entropy": 1.95,
    "step_entropy": 0.35,
}
_SUMMARY = {"model": "helms", "steps": 9, "seconds": 1.0, "best_step": 9, "config": {}}


@pytest.mark.parametrize("num_skills", [0, 5, 40])
def test_lines_have_at_most_80_columns_and_all_numbers(num_skills):
    metrics = {**_METRICS, "skill_use": [0.25] * num_skills}
    text = report.line(100_000, metrics, {"elbo": -13.5}, is_best=True)
    assert max(map(len, text.splitlines())) <= 80
    assert text.startswith("step 100000: held-out ELBO -12.346, ")
    assert text.endswith("*") and text.count("0.25") == num_skills
    for word in ("categorical KL 1.234", "of a step 0.35", "train ELBO -13.500"):
        assert word in " ".join(text.split())
    summary = {
        "model": "hierarchical_bc",
        "steps": 100_000,
        "seconds": 123_456.0,
        "best_step": 100_000,
        "config": {},
        "before": metrics,
        "after": metrics,
    }
    for text in (
        report.describe(summary),
        report.early_end(100_000, {"learner_steps": 99_000}),
    ):
        assert max(map(len, text.splitlines())) <= 80


def test_a_short_line_stays_one():
    metrics = {"elbo": 1.0, "action_mse": 0.5}
    assert report.line(500, metrics, {"elbo": 2.0}, is_best=False) == (
        "step 500: held-out ELBO 1.000, action error 0.5000; train ELBO 2.000"
    )


@pytest.mark.parametrize(
    ("use", "step", "warns"),
    [(1.61, 1.60, True), (1.61, 1.2, False), (0.0, 1e-9, False)],
)
def test_skills_that_may_be_alike_are_named(use, step, warns):
    metrics = {**_METRICS, "use_entropy": use, "step_entropy": step}
    text = report.describe({**_SUMMARY, "before": metrics, "after": metrics})
    assert ("the skills are not told apart" in " ".join(text.split())) == warns


@pytest.mark.parametrize(
    ("prior", "config", "advice"),
    [
        ([[0.5, 0.3, 0.2], [0.6, 0.1, 0.3], [0.1, 0.1, 0.8]], {}, []),  # 0 lasts
        ([[0.1, 0.1, 0.8], [0.1, 0.8, 0.1], [0.6, 0.2, 0.2]], {}, [("0 and 2", "0.5")]),
        ([[0.1, 0.9], [0.9, 0.1]], {"switch_cost": 0.5}, [("0 and 1", "1")]),
    ],
)
def test_skills_that_alternate_are_named(prior, config, advice):
    ends = {"before": _METRICS, "after": _METRICS}
    summary = {**_SUMMARY, **ends, "config": config, "transition_prior": prior}
    text = " ".join(report.describe(summary).split())
    pattern = r"skills (\d and \d) alternate.*?--switch_cost=([\d.]+) "
    assert re.findall(pattern, text) == advice
