"""Report sections on held-out episodes: skills, the expert's phases, latents.

Shape letters: T control steps, K skills, Z latent.
"""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Sequence

import numpy as np

from agents.helms.frozen import Skills
from agents.npmp.frozen import NpmpSkills
from launchers.analysis import held_out_episodes, latent_space, plots, sequences
from launchers.analysis.result import Result, finite
from launchers.analysis.rollouts import Rollout
from launchers.common.html_report import Section

_TIMELINES = 8
_TRACES = 4


@dataclasses.dataclass(frozen=True)
class SkillSequences:
    """The most likely skills along episodes.

    Attributes:
      data: the episodes.
      skills: int [T] of each episode: the argmax of q(y_t | x_{1:t}).
      use: [K] mean of q(y_t | x_{1:t}).
    """

    data: held_out_episodes.HeldOutEpisodes
    skills: tuple[np.ndarray, ...]
    use: np.ndarray

    @property
    def num_skills(self) -> int:
        """The number of skills, K."""
        return len(self.use)

    @property
    def transitions(self) -> np.ndarray:
        """Shares [K, K] of the skills that follow each; NaN where it never occurs."""
        return sequences.transition_shares(self.skills, self.num_skills)


def infer(skills: Skills, data: held_out_episodes.HeldOutEpisodes) -> SkillSequences:
    """Infers the most likely skills along episodes."""
    posteriors = held_out_episodes.skill_posteriors(skills, data.episodes)
    return SkillSequences(
        data,
        tuple(posterior.argmax(axis=-1) for posterior in posteriors),
        np.concatenate(posteriors).mean(axis=0),
    )


def show_sequences(
    skill_sequences: SkillSequences, prior: np.ndarray, out: pathlib.Path
) -> Result:
    """Shows dwell times, timelines, and how skills match the expert's phases."""
    result = Result(Section("Skills along episodes"))
    episodes = skill_sequences.data.episodes
    result.section.text(
        f"The likeliest skill of q(y_t | x_1..t) at every step of {len(episodes)} "
        "held-out episodes, with the frames ahead that the high level sees."
    )
    if skill_sequences.data.phase_names:
        _add_phases(result, skill_sequences, out)
    else:
        result.section.note("The data set has no phases of an expert to compare with.")
    _add_dwell_times(result, skill_sequences, prior)
    some = _spread(len(episodes), _TIMELINES)
    plots.write_timelines(
        out / "timelines.png",
        [_title(episodes[i]) for i in some],
        [episodes[i].phases for i in some],
        [skill_sequences.skills[i] for i in some],
        skill_sequences.data.phase_names,
        skill_sequences.num_skills,
    )
    result.section.picture(out / "timelines.png", "Some of the episodes.")
    return result


def _add_phases(
    result: Result, skill_sequences: SkillSequences, out: pathlib.Path
) -> None:
    names, episodes = skill_sequences.data.phase_names, skill_sequences.data.episodes
    phases = [episode.phases for episode in episodes]
    table = _contingency(
        phases, skill_sequences.skills, len(names), skill_sequences.num_skills
    )
    if not table.any():
        result.section.note("No step of the episodes has a known phase.")
        return
    score = sequences.normalized_mutual_information(table)
    text = (
        "Normalised mutual information of skill and phase, 2 I / (H + H): "
        f"{score:.3f} (0: independent, 1: one tells the other)"
    )
    numbers = {"nmi": score, "contingency": table.tolist(), "phases": list(names)}
    if len(episodes) > 1:
        others = _contingency(
            [*phases[1:], phases[0]],
            skill_sequences.skills,
            len(names),
            skill_sequences.num_skills,
        )
        chance = sequences.normalized_mutual_information(others)
        text += f"; with the phases of another episode, {chance:.3f}."
        result.section.text(text)
        result.section.note(
            "The second figure is what the time in the episode alone tells: experts go "
            "through their phases at about the same times."
        )
        numbers["nmi_other_episodes"] = chance
    else:
        result.section.text(f"{text}.")
    result.lines.append(text)
    result.numbers |= numbers
    plots.write_contingency(out / "contingency.png", table, names)
    result.section.picture(out / "contingency.png", "Skills and the expert's phases.")


def _contingency(
    phases: Sequence[np.ndarray],
    skills: Sequence[np.ndarray],
    num_phases: int,
    num_skills: int,
) -> np.ndarray:
    """Counts [phases, K] over the steps that have a known phase and a skill."""
    total = np.zeros((num_phases, num_skills), np.int64)
    for phase, skill in zip(phases, skills, strict=True):
        length = min(len(phase), len(skill))
        known = phase[:length] >= 0
        total += sequences.contingency(
            phase[:length][known], skill[:length][known], num_phases, num_skills
        )
    return total


def _add_dwell_times(
    result: Result, skill_sequences: SkillSequences, prior: np.ndarray
) -> None:
    dwell = sequences.mean_dwell_times(
        skill_sequences.skills, skill_sequences.num_skills
    )
    implied = sequences.implied_dwell_times(prior)
    rows = [["skill", "use, %", "mean stay, steps", "by the prior, steps"]]
    for k in range(skill_sequences.num_skills):
        stays = "–" if np.isnan(dwell[k]) else f"{dwell[k]:.1f}"
        expected = "∞" if np.isinf(implied[k]) else f"{implied[k]:.1f}"
        rows.append([str(k), f"{100 * skill_sequences.use[k]:.1f}", stays, expected])
    result.section.table(rows)
    result.section.note(
        "How long the likeliest skill stays before another one takes over, and "
        "1 / (1 - p(stay)) of the transition prior."
    )
    result.numbers |= {
        "dwell_steps": finite(dwell),
        "prior_dwell_steps": finite(implied),
    }


def show_latents(
    title: str,
    samples: latent_space.Samples,
    kl: np.ndarray | None,
    source: str,
    path: pathlib.Path,
    seed: int,
) -> Result:
    """Shows principal components of z, and how informative each dimension is.

    Args:
      title: title of the section.
      samples: drawn latents with their distributions.
      kl: [Z] KL to the model's prior, nats; None for latents without variance.
      source: where the samples come from.
      path: path of the figure.
      seed: seed of the choice of samples in the figure.
    """
    result = Result(Section(title))
    variances = latent_space.mean_variance(samples.means)
    active = int((variances > latent_space.ACTIVE_VARIANCE).sum())
    text = (
        f"{len(samples.latents)} latents of {source}. {active} of {len(variances)} "
        "dimensions are in use (variance of the posterior mean over "
        f"{latent_space.ACTIVE_VARIANCE}); "
    ) + (
        "they have no variance and so no KL to the prior."
        if kl is None
        else f"the KL to the prior is {kl.sum():.2f} nats a step."
    )
    result.section.text(text)
    result.lines.append(f"{title}: {text}")
    plots.write_latents(path, samples, kl, variances, seed)
    result.section.picture(path, "Principal components of z, and its dimensions' use.")
    columns = {} if kl is None else {"KL to the prior, nats": kl}
    columns["variance of the mean"] = variances
    columns["mean deviation"] = samples.stddevs.mean(axis=0)
    if samples.skills is not None:
        explained = latent_space.explained_by(samples.skills, samples.latents)
        columns["explained by the skill"] = explained
    if samples.phases is not None:
        known = samples.phases >= 0
        if known.any():
            columns["explained by the phase"] = latent_space.explained_by(
                samples.phases[known], samples.latents[known]
            )
    rows = [["dimension of z", *columns]]
    for d in range(len(variances)):
        rows.append([str(d), *(f"{column[d]:.3f}" for column in columns.values())])
    result.section.table(rows)
    result.numbers = {
        "active_dimensions": active,
        **{name: finite(column) for name, column in columns.items()},
    }
    return result


def skill_samples(
    skills: Skills, skill_sequences: SkillSequences, seed: int
) -> latent_space.Samples:
    """Draws z of the most likely skill at every step."""
    episodes = skill_sequences.data.episodes
    moments = []
    for latents, chosen in zip(
        held_out_episodes.skill_latents(skills, episodes),
        skill_sequences.skills,
        strict=True,
    ):
        moments.append(latents[np.arange(len(chosen)), :, chosen])  # [T, 2, Z]
    return _samples(
        moments, seed, skill_sequences.data, np.concatenate(skill_sequences.skills)
    )


def rollout_samples(skill_rollouts: Sequence[Rollout]) -> latent_space.Samples:
    """Returns z at every step of rollouts, used where there is no data set."""
    return latent_space.Samples(
        latents=np.concatenate([r.latents for r in skill_rollouts]),
        means=np.concatenate([r.latent_means for r in skill_rollouts]),
        stddevs=np.concatenate([r.latent_stddevs for r in skill_rollouts]),
        skills=np.concatenate(
            [np.full(len(r.latents), r.skill) for r in skill_rollouts]
        ),
    )


def show_npmp(
    skills: NpmpSkills,
    data: held_out_episodes.HeldOutEpisodes,
    out: pathlib.Path,
    seed: int,
) -> Result:
    """Shows the latent of NPMP along episodes, and its space."""
    encoded = held_out_episodes.encoded_latents(skills, data.episodes)
    kl = np.mean(
        [
            latent_space.kl_to_autoregressive(
                moments[:, 0],
                moments[:, 1],
                skills.prior_coefficient,
                skills.prior_stddev,
            )
            for moments in encoded
        ],
        axis=0,
    )
    source = f"the encoder on {len(encoded)} held-out episodes"
    result = show_latents(
        "Latent space of NPMP",
        _samples(encoded, seed, data),
        kl,
        source,
        out / "npmp_latents.png",
        seed,
    )
    some = _spread(len(encoded), _TRACES)
    plots.write_traces(
        out / "npmp_traces.png",
        [_title(data.episodes[i]) for i in some],
        [encoded[i][:, 0] for i in some],
        [data.episodes[i].phases for i in some],
        data.phase_names,
    )
    caption = "The mean of each dimension of z along some episodes."
    result.section.picture(out / "npmp_traces.png", caption)
    return result


def _samples(
    moments: Sequence[np.ndarray],
    seed: int,
    data: held_out_episodes.HeldOutEpisodes,
    skills: np.ndarray | None = None,
) -> latent_space.Samples:
    """Draws z from means and standard deviations [T, 2, Z]."""
    means, stddevs = np.moveaxis(np.concatenate(moments), 1, 0)
    noise = np.random.default_rng(seed).standard_normal(means.shape)
    phases = np.concatenate([episode.phases for episode in data.episodes])
    return latent_space.Samples(
        latents=means + stddevs * noise,
        means=means,
        stddevs=stddevs,
        skills=skills,
        phases=phases if data.phase_names else None,
        phase_names=data.phase_names,
    )


def _spread(count: int, most: int) -> list[int]:
    """Returns at most `most` indices, spread evenly over 0 to count - 1."""
    places = np.linspace(0, count - 1, min(most, count)).round().astype(int)
    return np.unique(places).tolist()


def _title(episode: held_out_episodes.Episode) -> str:
    parts = [f"episode {episode.index}", episode.task.replace("_", " ")]
    if episode.success is not None:
        parts.append("success" if episode.success else "failure")
    return ", ".join(part for part in parts if part)
