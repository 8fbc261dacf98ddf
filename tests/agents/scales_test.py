"""Scales: what they set, and that the docs say the same."""

import dataclasses
import pathlib

import pytest

from agents import scales
from agents.registry import AGENTS

ROOT = pathlib.Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("name", AGENTS)
def test_every_agent_takes_its_settings(name):
    config_type = AGENTS[name].config_type
    assert scales.settings("paper", name) == {}
    config = config_type(**scales.settings("laptop", name))
    changed = {
        field.name
        for field in dataclasses.fields(config)
        if getattr(config, field.name) != getattr(config_type(), field.name)
    }
    assert changed == set(scales.settings("laptop", name))  # no row says the default
    for setting, value in scales.settings("laptop", name).items():
        default = getattr(config_type(), setting)
        assert default is None or type(value) is type(default), setting


def test_rows_of_some_agents():
    steps = {n: scales.settings("laptop", n)["critic_warmup_steps"] for n in AGENTS}
    clones = {"bc": 2000, "hierarchical_bc": 2000}
    assert steps == {**dict.fromkeys(AGENTS, 500), **clones}
    assert "eta_clone" in scales.settings("laptop", "bc")
    assert "eta_clone" not in scales.settings("laptop", "mpo")
    assert "init_log_alpha" in scales.settings("laptop", "helms_cat")
    assert all(
        any(row.setting in scales.settings("laptop", n) for n in AGENTS)
        for row in scales.LAPTOP
    )


def test_the_docs_have_the_table():
    text = (ROOT / "docs" / "guides" / "agents.md").read_text()
    assert scales.table() in text, (
        "docs/guides/agents.md: print python -m agents.scales"
    )


def test_an_unknown_scale():
    with pytest.raises(ValueError, match="unknown scale 'phone'; valid: paper, laptop"):
        scales.settings("phone", "mpo")
