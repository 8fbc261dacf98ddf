"""Report sections on each skill's behaviour and on transitions in the prior."""

from __future__ import annotations

import pathlib
from collections.abc import Sequence

import imageio.v2 as imageio
import numpy as np

from agents.helms.frozen import Skills
from environments import scene
from environments.observations import COLORS
from launchers.analysis import behaviour, plots, rollouts
from launchers.analysis.config import AnalysisConfig
from launchers.analysis.result import Result, finite
from launchers.common import atomic_files
from launchers.common.html_report import Section
from launchers.common.workers import Workers
from launchers.experiments.config import derive_seed
from launchers.skills import figures

_HUNDREDTHS = 100.0  # from metres to cm, and from shares to per cent


def run_rollouts(
    config: AnalysisConfig, bundle: str, num_skills: int, workers: Workers
) -> list[rollouts.Rollout]:
    """Runs every skill from the same initial states; films the first run of each."""
    jobs = [
        rollouts.Job(
            bundle=bundle,
            object_set=config.environment.object_set,
            skill=skill,
            seed=derive_seed(config.seed, "rollout", episode),
            steps=config.steps,
            sample=config.latent == "sampled",
            film=episode == 0,
        )
        for episode in range(config.episodes)
        for skill in range(num_skills)
    ]
    skill_rollouts = list(workers.run(rollouts.run, jobs, "rollouts"))
    order = {job.seed: i for i, job in enumerate(jobs)}
    return sorted(skill_rollouts, key=lambda r: (order[r.seed], r.skill))


def show_rollouts(
    config: AnalysisConfig,
    skill_rollouts: Sequence[rollouts.Rollout],
    out: pathlib.Path,
) -> Result:
    """Shows the table, pictures and videos, and whether the skills differ."""
    result = Result(Section("What each skill does"))
    section = result.section
    seconds = config.steps * scene.CONTROL_TIMESTEP
    how = "drawn from" if config.latent == "sampled" else "the mean of"
    section.text(
        f"Each skill is held for {seconds:.0f} s from the same {config.episodes} "
        f"initial states (object set {config.environment.object_set}, nominal "
        f"physics). z is {how} its mid level, the action the low level's mean."
    )
    groups = behaviour.by_skill(skill_rollouts)
    means = [{k: float(v.mean()) for k, v in group.items()} for group in groups]
    words = [behaviour.words(mean) for mean in means]
    section.table(_table(groups, words), words=(1,))
    section.note(
        "Means over the rollouts, ± standard deviation; start → end. Distances are "
        "from the tool to the objects; a lift is the most that an object was above its "
        "start."
    )
    result.lines += [f"skill {k}: {text}" for k, text in enumerate(words)]
    _add_separation(result, groups, config.seed, out)
    _add_pictures(result, skill_rollouts, words, out)
    atomic_files.write_json(
        out / "skill_rollouts.json",
        [
            {"skill": r.skill, "seed": r.seed, **behaviour.measure(r)}
            for r in sorted(skill_rollouts, key=lambda r: r.skill)
        ],
    )
    result.numbers["skills"] = [
        {"words": text, **mean} for text, mean in zip(words, means, strict=True)
    ]
    return result


def _table(
    groups: Sequence[dict[str, np.ndarray]], words: Sequence[str]
) -> list[list[str]]:
    head = ["skill", "in words", "tool height, cm", "fingers closed, %"]
    head += ["grasp flag, % of steps"]
    head += [f"to {c}, cm" for c in COLORS] + [f"lift of {c}, cm" for c in COLORS]
    rows = [head]
    for k, (group, text) in enumerate(zip(groups, words, strict=True)):
        cells = [_change(group, name) for name in ("height", "closing")]
        cells.append(_spread(group["grasp_share"]))
        cells += [_change(group, f"distance_{c}") for c in COLORS]
        cells += [_spread(group[f"lift_{c}"]) for c in COLORS]
        rows.append([str(k), text, *cells])
    return rows


def _change(group: dict[str, np.ndarray], name: str) -> str:
    start = _HUNDREDTHS * group[f"{name}_start"].mean()
    return f"{start:.0f} → {_spread(group[f'{name}_end'])}"


def _spread(values: np.ndarray) -> str:
    mean, std = _HUNDREDTHS * values.mean(), _HUNDREDTHS * values.std()
    digits = 0 if abs(mean) >= 10 else 1
    return f"{mean:.{digits}f} ± {std:.{digits}f}"


def _add_separation(
    result: Result,
    groups: Sequence[dict[str, np.ndarray]],
    seed: int,
    out: pathlib.Path,
) -> None:
    ends = np.stack(
        [np.stack([g[n] for n in behaviour.END_STATE], axis=-1) for g in groups]
    )  # [K, R, F]
    separation = behaviour.separation(ends, seed)
    if separation is None:
        result.section.note(
            "Whether the skills differ is not tested: that takes two skills and two "
            "rollouts of each that do not all end alike."
        )
        return
    apart = separation.distances + np.where(np.eye(len(groups)), np.inf, 0.0)
    first, second = sorted(np.unravel_index(apart.argmin(), apart.shape))
    text = (
        f"The end states (tool height, fingers, distances to the objects) vary "
        f"{separation.statistic:.1f} times as much between skills as within them (F "
        f"statistic; 1 if skills did not differ; permutation test p = "
        f"{separation.p_value:.3f}). The two nearest are skills {first} and {second}, "
        f"{apart[first, second]:.1f} standard deviations apart."
    )
    result.section.text(text)
    rows = [["end state", "explained by the skill, %"]]
    for name, share in zip(behaviour.END_STATE, separation.explained, strict=True):
        title = name.removesuffix("_end").replace("_", " to ")
        rows.append([title.replace("closing", "fingers"), f"{100 * share:.0f}"])
    result.section.table(rows)
    plots.write_separation(out / "skill_distances.png", separation.distances)
    result.section.picture(out / "skill_distances.png", "How far skills end apart.")
    result.lines.append(text)
    result.numbers["separation"] = {
        "statistic": separation.statistic,
        "p_value": separation.p_value,
        "explained": dict(
            zip(behaviour.END_STATE, finite(separation.explained), strict=True)
        ),
        "distances": finite(separation.distances),
    }


def _add_pictures(
    result: Result,
    skill_rollouts: Sequence[rollouts.Rollout],
    words: Sequence[str],
    out: pathlib.Path,
) -> None:
    filmed = [rollout for rollout in skill_rollouts if len(rollout.frames)]
    problem = next((r.no_frames for r in skill_rollouts if r.no_frames), "")
    if problem:
        line = f"no pictures: {problem}"
        print(line)
        result.section.note(line)
    if not filmed:
        return
    sheet = out / "skill_rollouts.png"
    plots.write_contact_sheet(sheet, filmed)
    result.section.picture(sheet, "A row a skill, from the same initial state.")
    videos = {}
    for rollout in filmed:
        path = out / f"skill_{rollout.skill}.mp4"
        with atomic_files.aside(path) as aside:
            imageio.mimwrite(aside, rollout.frames, fps=rollouts.FRAMES_PER_SECOND)
        videos[f"skill {rollout.skill}: {words[rollout.skill]}"] = path
    result.section.videos(videos)


def show_transitions(
    skills: Skills,
    out: pathlib.Path,
    use: np.ndarray | None = None,
    seen: np.ndarray | None = None,
) -> Result:
    """Shows the transition prior and the use of each skill.

    Args:
      skills: the frozen skills.
      out: directory of the results.
      use: [K] shares of the skills in a data set; None takes those of the training.
      seen: [K, K] shares of transitions in that data set.
    """
    result = Result(Section("Transitions and use of the skills"))
    prior = skills.transition_matrix().numpy()
    source = "the given data set's held-out episodes"
    if use is None:
        trained = skills.description.get("training", {}).get("skill_use")
        source = "the held-out episodes of its training"
        if trained is None:
            trained = np.zeros(skills.num_skills)
            source = "nothing: the bundle does not say, and no data set was given"
        use = np.asarray(trained)
    diagonal = float(np.diag(prior).mean())
    text = (
        f"The prior stays in a skill with probability {diagonal:.2f} on average. Use "
        f"of the skills: {', '.join(f'{100 * share:.1f} %' for share in use)}."
    )
    result.section.text(text)
    result.lines.append(text)
    figures.write_figure(out / "skills.png", prior, use, seen)
    result.section.picture(
        out / "skills.png",
        f"Rows are the skill before. The use is the mass of q(y | x) on {source}.",
    )
    result.numbers = {
        "transition_prior": finite(prior),
        "mean_diagonal": diagonal,
        "skill_use": finite(use),
        "transitions_seen": None if seen is None else finite(seen),
    }
    return result
