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


@pytest.mark.parametrize("name", [n for n, a in AGENTS.items() if a.vision is not None])
def test_an_agent_on_images_takes_its_settings(name):
    agent = AGENTS[name]
    vision = agent.default_settings(("image",))
    assert scales.settings("paper", name, vision=True) == {}
    found = scales.settings("laptop", name, vision=True)
    config = agent.config_type(**{**vision, **found})
    on_state = scales.settings("laptop", name)
    assert set(on_state) <= set(found) and on_state != found
    assert config.batch_size == 16 and config.critic_warmup_steps == 0
    # 80 decisions an episode make 16 sequences, 400 make 80.
    sequences = 16 if config.skill_steps == 5 else 80
    steps = sequences * config.samples_per_insert / config.batch_size
    assert steps in (16.0, 20.0)


def test_rows_of_some_agents():
    steps = {n: scales.settings("laptop", n)["critic_warmup_steps"] for n in AGENTS}
    clones = {"bc": 2000, "hierarchical_bc": 2000}
    assert steps == {**dict.fromkeys(AGENTS, 500), **clones}
    assert "eta_clone" in scales.settings("laptop", "bc")
    assert "eta_clone" not in scales.settings("laptop", "mpo")
    assert "init_log_alpha" in scales.settings("laptop", "helms_cat")
    assert all(
        any(
            scales.settings("laptop", n, row.vision).get(row.setting) == row.value
            for n in AGENTS
        )
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
