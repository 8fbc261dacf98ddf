"""The paper's figures as data: panels, arms, bundles of skills and what is claimed.

The paper: https://arxiv.org/abs/2112.05062. A figure of RL has a panel for each
environment and an arm for each agent with its settings. `laptop` stands for what two
cores can do; its arms differ where the paper's cannot learn in so few steps. The table
of docs/reproduction.md is made from this module (`launchers.reproduction.page`).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

SCALES = ("laptop", "paper")


@dataclasses.dataclass(frozen=True)
class Bundle:
    """Bundle of skills, or clone, that arms act over.

    Attributes:
      dataset: name in `datasets.rlds.recipes.RECIPES`.
      model: name in `agents.registry.MODELS`.
      settings: settings of the model that differ from its defaults.
      pretrained: directory in the repository that scale laptop takes instead, if its
        settings fit; None: there is none.
      laptop: settings at scale laptop, in place of those of `settings`.
      laptop_order: order of the objects at scale laptop (`observations.OBJECT_ORDERS`);
        it is the colours' at scale paper.
    """

    dataset: str
    model: str
    settings: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    pretrained: str | None = None
    laptop: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    laptop_order: str = "color"

    def order(self, scale: str) -> str:
        """Returns the order of the objects at a scale."""
        return self.laptop_order if scale == "laptop" else "color"

    def of(self, scale: str) -> dict[str, Any]:
        """Returns the model's settings at a scale."""
        return {**self.settings, **(self.laptop if scale == "laptop" else {})}


@dataclasses.dataclass(frozen=True)
class Arm:
    """Arm of a figure.

    Attributes:
      name: name in files and legends.
      agent: name in `agents.registry.AGENTS`.
      bundle: name in `BUNDLES`; None for an agent that needs none.
      settings: flags of train_agent that differ from the scale's.
    """

    name: str
    agent: str
    bundle: str | None = None
    settings: Mapping[str, Any] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Panel:
    """Panel of a figure: an environment.

    Attributes:
      name: name in files.
      title: title in the figure.
      settings: flags of train_agent.
    """

    name: str
    title: str
    settings: Mapping[str, Any]


@dataclasses.dataclass(frozen=True)
class Figure:
    """Figure, or table, of the paper.

    Attributes:
      title: what it shows.
      paper: what the paper reports, in words.
      panels: panels; none where skills are analysed and no RL runs.
      arms: arms of the paper.
      laptop: arms at scale laptop; empty: those of the paper.
      steps: environment steps of a run by scale. The paper's text does not give its
        own; that of `paper` is ours.
      analysed: bundles of an analysis, the skills' first.
    """

    title: str
    paper: str
    panels: tuple[Panel, ...] = ()
    arms: tuple[Arm, ...] = ()
    laptop: tuple[Arm, ...] = ()
    steps: Mapping[str, int] = dataclasses.field(
        default_factory=lambda: {"laptop": 32_000, "paper": 100_000_000}
    )
    analysed: tuple[str, ...] = ()

    def arms_at(self, scale: str) -> tuple[Arm, ...]:
        """Returns the arms at a scale."""
        return (scale == "laptop" and self.laptop) or self.arms

    def bundles(self, scale: str) -> tuple[str, ...]:
        """Returns the names of all bundles that a scale needs, each once."""
        needed = (*self.analysed, *(arm.bundle for arm in self.arms_at(scale)))
        return tuple(dict.fromkeys(name for name in needed if name is not None))


_RED_ON_BLUE, _ALL_PAIRS = "red_on_blue_stacking", "all_pairs_stacking"
_PRETRAINED = "pretrained/{}_red_on_blue"

BUNDLES: Mapping[str, Bundle] = {
    # beta_z 0 is Table 5's for object generalisation. The pretrained skills have 0.1.
    "helms": Bundle(
        _RED_ON_BLUE,
        "helms",
        {"num_skills": 5, "beta_z": 0.0},
        _PRETRAINED.format("helms"),
        {"beta_z": 0.1},
    ),
    "npmp": Bundle(_RED_ON_BLUE, "npmp", {}, _PRETRAINED.format("npmp")),
    "bc": Bundle(_RED_ON_BLUE, "bc", {}, _PRETRAINED.format("bc")),
    "hierarchical_bc": Bundle(
        _RED_ON_BLUE, "hierarchical_bc", {}, _PRETRAINED.format("hierarchical_bc")
    ),
    # By colour so few steps learn no skills of six pairs: docs/reports/skills.md.
    "helms_all_pairs": Bundle(
        _ALL_PAIRS,
        "helms",
        {"num_skills": 10},
        "pretrained/helms_all_pairs",
        laptop_order="role",
    ),
    "npmp_all_pairs": Bundle(
        _ALL_PAIRS, "npmp", {}, "pretrained/npmp_all_pairs", laptop_order="role"
    ),
    "helms_discrete": Bundle(
        _RED_ON_BLUE,
        "helms",
        {"num_skills": 5, "variant": "discrete"},
    ),
    "helms_beta_z_0.01": Bundle(
        _RED_ON_BLUE, "helms", {"num_skills": 5, "beta_z": 0.01}
    ),
    "helms_beta_z_0": Bundle(_RED_ON_BLUE, "helms", {"num_skills": 5, "beta_z": 0.0}),
    "npmp_ar1": Bundle(_RED_ON_BLUE, "npmp", {"prior_coefficient": 0.95}),
}


def _panel(object_set: int, reward: str = "staged_sparse", **settings: Any) -> Panel:
    named = f"set_{object_set}_{reward}"
    return Panel(
        named,
        f"set {object_set}, {reward.replace('_', '-')}",
        {"reward": reward, "object_set": object_set, **settings},
    )


# A high level that is new meets no reward in 80 episodes.
_DISTILLED = {"high_level": "distilled"}

_BASELINES = (
    Arm("mpo", "mpo"),
    Arm("npmp", "npmp", "npmp"),
    Arm("bc", "bc", "bc"),
    Arm("hierarchical_bc", "hierarchical_bc", "hierarchical_bc"),
)
_SIX = (
    Arm("helms_mix", "helms_mix", "helms"),
    Arm("helms_cat", "helms_cat", "helms"),
    *_BASELINES,
)
_SIX_LAPTOP = (
    Arm("helms_mix_distilled", "helms_mix", "helms", _DISTILLED),
    Arm("helms_cat_distilled", "helms_cat", "helms", _DISTILLED),
    *_BASELINES,
)

_PYRAMID_BASELINES = (Arm("npmp", "npmp", "npmp_all_pairs"), Arm("mpo", "mpo"))


def _by_eta_z(bundle: str, values: tuple[float, ...], **settings: Any) -> list[Arm]:
    beta_z = BUNDLES[bundle].settings["beta_z"]
    return [
        *(
            Arm(
                f"beta_z_{beta_z}_eta_z_{eta_z}",
                "helms_mix",
                bundle,
                # Of so small a beta_z, latents that move the action are narrow, too.
                {"eta_z": eta_z, "min_component_stddev": 0.0, **settings},
            )
            for eta_z in values
        ),
        Arm(f"beta_z_{beta_z}_helms_cat", "helms_cat", bundle, settings),
    ]


FIGURES: Mapping[str, Figure] = {
    "3": Figure(
        "Skills that are learned: rollouts, transition prior and use",
        "Each skill executes another behaviour, such as lifting, reaching to red or "
        "grasping; the transition prior is high along its diagonal; all are used.",
        analysed=("helms",),
    ),
    "4": Figure(
        "Transfer to unseen objects: red on blue, staged-sparse reward",
        "Both variants of HeLMS learn much faster than the baselines. Against NPMP, "
        "the strongest, HeLMS ends higher on sets 1 and 3, alike on 5 and lower on 2.",
        panels=tuple(_panel(object_set) for object_set in (1, 2, 3, 5)),
        arms=_SIX,
        laptop=_SIX_LAPTOP,
    ),
    "5": Figure(
        "Transfer to another task: the pyramid, skills of all pairs",
        "Both variants of HeLMS end higher than NPMP and MPO.",
        # The paper does not name the object set.
        panels=(
            Panel(
                "pyramid",
                "pyramid, set 4, staged-sparse",
                {"task": "pyramid", "reward": "staged_sparse", "object_set": 4},
            ),
        ),
        arms=(
            Arm("helms_mix", "helms_mix", "helms_all_pairs", {"eta_z": 0.1}),
            Arm("helms_cat", "helms_cat", "helms_all_pairs"),
            *_PYRAMID_BASELINES,
        ),
        laptop=(
            Arm(
                "helms_mix_distilled",
                "helms_mix",
                "helms_all_pairs",
                {"eta_z": 0.1, **_DISTILLED},
            ),
            Arm("helms_cat_distilled", "helms_cat", "helms_all_pairs", _DISTILLED),
            *_PYRAMID_BASELINES,
        ),
    ),
    "6": Figure(
        "Transfer from state to vision",
        "MPO on images is very slow; a critic on state speeds it up much; HeLMS learns "
        "faster still and ends slightly higher.",
        panels=(_panel(4, "staged_sparse", observations="vision"),),
        # Weights of Table 5, eta_z and eta_y 0.1, are helms_mix's defaults on images.
        arms=(
            Arm("helms_mix_asymmetric", "helms_mix", "helms"),
            Arm("mpo_asymmetric", "asymmetric_mpo"),
            Arm("mpo", "mpo"),
        ),
        steps={"laptop": 24_000, "paper": 100_000_000},
    ),
    "7": Figure(
        "Sparser rewards: red on blue, set 4",
        "With the dense reward all learn the task. With the staged-sparse one the "
        "baselines but NPMP end lower. Fully sparse, only HeLMS gets any reward.",
        panels=tuple(_panel(4, r) for r in ("dense", "staged_sparse", "sparse")),
        arms=_SIX,
        laptop=_SIX_LAPTOP,
    ),
    "8": Figure(
        "Ablation: discrete and continuous skills",
        "Discrete skills alone learn faster than continuous ones on sets 4 and 3; both "
        "together matter on the hard set 3.",
        panels=(_panel(4), _panel(3)),
        arms=(
            Arm("both", "helms_mix", "helms"),
            Arm("discrete_only", "helms_cat", "helms_discrete"),
            Arm("continuous_only", "npmp", "npmp"),
        ),
        laptop=(
            Arm("both", "helms_cat", "helms", _DISTILLED),
            Arm("discrete_only", "helms_cat", "helms_discrete", _DISTILLED),
            Arm("continuous_only", "npmp", "npmp"),
        ),
    ),
    "9": Figure(
        "Ablation: KL offline (beta_z) and in RL (eta_z)",
        "With beta_z 0.01 RL needs its KL, most of all on set 3, where HeLMS-cat does "
        "much better than a small eta_z. With beta_z 0 all eta_z do alike.",
        panels=(_panel(4), _panel(3)),
        arms=tuple(
            arm
            for bundle in ("helms_beta_z_0.01", "helms_beta_z_0")
            for arm in _by_eta_z(bundle, (0.01, 0.1, 1.0, 10.0, 100.0))
        ),
        laptop=tuple(
            arm
            for bundle in ("helms_beta_z_0.01", "helms_beta_z_0")
            for arm in _by_eta_z(bundle, (0.01, 1.0, 100.0), **_DISTILLED)
        ),
    ),
    "10": Figure(
        "Ablation: the prior of NPMP",
        "N(0, I) does better than AR(1), and the KL in RL better still, on all sets.",
        panels=tuple(_panel(object_set) for object_set in range(1, 6)),
        arms=(
            Arm("ar1", "npmp", "npmp_ar1", {"eta_z": 0.0}),
            Arm("standard_normal", "npmp", "npmp", {"eta_z": 0.0}),
            Arm("standard_normal_kl", "npmp", "npmp"),
        ),
    ),
    "table1": Figure(
        "Exploration before RL: rewards and state coverage",
        "HeLMS gets an order of magnitude more staged-sparse reward than the others, "
        "and covers grasps by nearly two orders more; others cover the joints more.",
        analysed=("helms", "npmp", "bc", "hierarchical_bc"),
    ),
}


def changed_settings(model: str) -> set[str]:
    """Returns the settings of a model that any bundle of the figures changes."""
    mine = [bundle for bundle in BUNDLES.values() if bundle.model == model]
    return {name for scale in SCALES for bundle in mine for name in bundle.of(scale)}


def find(name: str) -> Figure:
    """Returns a figure; raises ValueError, naming the valid ones, for another."""
    if name not in FIGURES:
        raise ValueError(f"unknown figure {name!r}; valid: {', '.join(FIGURES)}")
    return FIGURES[name]
