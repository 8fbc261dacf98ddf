"""The whole analysis, from frozen bundles to one report."""

from __future__ import annotations

import dataclasses
import functools
import pathlib
from collections.abc import Sequence
from typing import Any

from agents.high_level.distillation import DistillationConfig
from agents.offline import bundle as bundle_lib
from datasets.collection import code_version
from datasets.rlds.columns import Columns
from launchers.analysis import (
    ceiling,
    data_sections,
    exploration,
    exploration_table,
    held_out_episodes,
    latent_space,
    models,
    skill_sections,
    zero_shot_agents,
    zero_shot_returns,
)
from launchers.analysis.config import AnalysisConfig, describe
from launchers.analysis.result import Result
from launchers.common import atomic_files, html_report
from launchers.common.workers import Workers
from launchers.experiments.config import completed
from launchers.inspection.report import table as text_table

REPORT_FILE = "report.html"
_SUMMARY_FILE = "summary.json"


class Analysis:
    """An analysis, whose input is checked at construction.

    `Analysis(config).run()` writes the results into `config.out`: `report.html`, its
    figures, videos and tables as separate files, and `summary.json`.
    """

    def __init__(self, config: AnalysisConfig):
        """Reads the bundles and the data set.

        Raises:
          ValueError: in one line, what does not fit.
        """
        columns = Columns.of_bundle(bundle_lib.read_description(config.skills))
        self._is_elsewhere = config.environment.environment is not None
        self._in_cell = columns.is_own and not self._is_elsewhere
        if not self._in_cell and config.ceiling_episodes:
            raise ValueError("ceiling_episodes: the ceiling acts in the Sawyer cell")
        if self._is_elsewhere:
            environment = completed(config.environment, config.skills)
            config = dataclasses.replace(config, environment=environment)
        elif not self._in_cell:  # table 1 acts there
            config = dataclasses.replace(config, table1_episodes=0)
        self._config = config
        self._out = pathlib.Path(config.out)
        self._bundles: dict[str, tuple[str, Any]] = {}  # model -> directory, frozen
        for directory in (config.skills, *config.bundles):
            bundle = models.load(directory)
            name = models.name(bundle)
            if name in self._bundles:
                raise ValueError(
                    f"{self._bundles[name][0]} and {directory} are both bundles of "
                    f"{name}; give one of each model"
                )
            self._bundles[name] = directory, bundle
        if self._is_elsewhere:
            loaded = [bundle for _, bundle in self._bundles.values()]
            zero_shot_returns.check_environment(config.environment, loaded)
        if not self._in_cell and config.dataset is None:
            raise ValueError(
                f"the skills at {config.skills} were learned on other observations "
                "than the Sawyer cell's: give the data set by --dataset"
            )
        self._setting = exploration.Setting(config.environment, config.seed)
        # A fresh policy normalises its observations by the first bundle's statistics.
        directories = {m: directory for m, (directory, _) in self._bundles.items()}
        directories[zero_shot_agents.FRESH] = config.skills
        if "helms" in directories:
            directories[zero_shot_agents.PRIOR] = directories["helms"]
        self._agents = [
            exploration.Agent(model, directories[model], steps)
            for model in zero_shot_agents.TITLES
            if model in directories
            for steps in (
                config.skill_steps if model in zero_shot_agents.HOLDING else (1,)
            )
        ]
        if self._is_elsewhere and "helms" in self._bundles:
            directory, skills = self._bundles["helms"]
            self._agents += [
                exploration.Agent(zero_shot_agents.single(k), directory)
                for k in range(skills.num_skills)
            ]
        self._checksums = {
            agent.name: str(models.load(agent.bundle).description["checksum"])
            for agent in self._agents
        }
        if config.table1_episodes:
            table = exploration.TABLE1
            if self._is_elsewhere:
                table = zero_shot_returns.TABLE
            exploration.check(self._out, self._setting, self._checksums, table)
        self._data = None
        if config.dataset is not None:
            self._data = held_out_episodes.held_out(
                config.dataset, config.dataset_episodes, columns
            )
        if config.ceiling_episodes:
            if "helms" not in self._bundles:
                raise ValueError("ceiling_episodes needs a bundle of helms")
            assert config.dataset is not None  # or the settings are not valid
            self._ceiling_setting = ceiling.in_turns(self._setting, config.dataset)
            ceiling.check(self._out, self._ceiling_setting)

    def run(self) -> str:
        """Runs the analysis and returns lines for a terminal."""
        self._out.mkdir(parents=True, exist_ok=True)
        parts: list[tuple[str, Result]] = []
        with Workers(self._config.processes) as workers:
            if "helms" in self._bundles:
                parts += self._skills(workers)
            if "npmp" in self._bundles and self._data is not None:
                _, npmp = self._bundles["npmp"]
                section = data_sections.show_npmp(
                    npmp, self._data, self._out, self._config.seed
                )
                parts.append(("npmp", section))
            if self._config.ceiling_episodes:
                parts.append(("ceiling", self._ceiling(workers)))
            if self._config.table1_episodes and self._is_elsewhere:
                parts.append(("returns", self._returns(workers)))
            elif self._config.table1_episodes:
                parts.append(("table1", self._table1(workers)))
        parts.append(("provenance", self._provenance()))
        numbers = {name: part.numbers for name, part in parts if part.numbers}
        atomic_files.write_json(self._out / _SUMMARY_FILE, numbers)
        names = ", ".join(self._bundles)
        html_report.write(
            self._out / REPORT_FILE,
            title=f"Analysis of learned skills ({names})",
            subtitle=f"of the bundle {self._config.skills}",
            sections=[part.section for _, part in parts],
        )
        return "\n".join(line for _, part in parts for line in part.lines)

    def _skills(self, workers: Workers) -> list[tuple[str, Result]]:
        """Makes all sections on HeLMS except table 1."""
        config, out = self._config, self._out
        directory, skills = self._bundles["helms"]
        parts = []
        if self._in_cell:
            rollouts = skill_sections.run_rollouts(
                config, directory, skills.num_skills, workers
            )
            shown = skill_sections.show_rollouts(config, rollouts, out)
            parts.append(("rollouts", shown))
        if self._data is None:
            parts.append(("skills", skill_sections.show_transitions(skills, out)))
            samples = data_sections.rollout_samples(rollouts)
            source = "the rollouts above"
        else:
            skill_sequences = data_sections.infer(skills, self._data)
            shown = skill_sections.show_transitions(
                skills, out, skill_sequences.use, skill_sequences.transitions
            )
            prior = skills.transition_matrix().numpy()
            parts.append(("skills", shown))
            parts.append(
                ("sequences", data_sections.show_sequences(skill_sequences, prior, out))
            )
            samples = data_sections.skill_samples(skills, skill_sequences, config.seed)
            source = "the likeliest skills on the held-out episodes"
        kl = None
        if samples.stddevs.all():  # discrete skills have standard deviations of 0
            kl = latent_space.kl_to_standard(samples.means, samples.stddevs)
        shown = data_sections.show_latents(
            "Latent space", samples, kl, source, out / "latents.png", config.seed
        )
        return [*parts, ("latents", shown)]

    def _ceiling(self, workers: Workers) -> Result:
        config = self._config
        directory, skills = self._bundles["helms"]
        settings = ceiling.CeilingConfig(
            self._ceiling_setting,
            config.ceiling_episodes,
            config.skill_steps,
            distillation=DistillationConfig(seed=config.seed),
        )
        assert config.dataset is not None
        said = ceiling.distil(skills, config.dataset, settings.distillation)
        run_jobs = functools.partial(workers.run, exploration.run, title="ceiling")
        rows = ceiling.measure(self._out, directory, skills, settings, run_jobs)
        result = ceiling.show(said, rows, settings)
        result.lines += ["", ceiling.agreement_line(said)]
        for head, *cells in ceiling.tables(rows):
            result.lines += text_table(head, cells)
        return result

    def _returns(self, workers: Workers) -> Result:
        return zero_shot_returns.measure(
            self._out,
            self._setting,
            self._agents,
            self._checksums,
            self._config.table1_episodes,
            functools.partial(workers.run, zero_shot_returns.run, title="returns"),
        )

    def _table1(self, workers: Workers) -> Result:
        config, out = self._config, self._out
        exploration.record(out, self._setting, self._checksums)
        results = exploration.collect(
            out,
            self._setting,
            self._agents,
            config.table1_episodes,
            functools.partial(workers.run, exploration.run, title="table 1"),
        )
        table = exploration_table.make(results, config.seed)
        atomic_files.write_json(out / "table1.json", table.to_json())
        atomic_files.write_text(out / "table1.csv", table.to_csv())
        atomic_files.write_text(out / exploration_table.MARKDOWN, table.to_markdown())
        result = Result(html_report.Section("Table 1: zero-shot exploration"))
        section = result.section
        section.text(
            f"{config.table1_episodes} episodes of each agent at the start of RL: "
            f"{describe(config.environment)}. "
            "All agents have the same seeds and act as RL begins. What RL would "
            "start from scratch is drawn anew for each episode: HeLMS's high level, "
            "and the whole of the fresh MPO policy."
        )
        section.table(table.rows(between="\n"))
        section.note(exploration_table.NOTE)
        section.text("Ratios to the fresh MPO policy (–: that has 0):")
        section.table(table.rows(ratios=True, between="\n"))
        result.numbers = table.to_json()
        head, *rows = table.rows()
        result.lines += ["", *text_table(head, rows)]
        return result

    def _provenance(self) -> Result:
        """Makes the section on settings, versions and checksums."""
        section = html_report.Section("How this was made")
        settings = {
            key: value
            for key, value in vars(self._config).items()
            if key != "processes"  # changes no result
        }
        section.text(
            f"python -m launchers.analyse_skills, code version "
            f"{code_version.describe()}, with these settings:"
        )
        section.table(_pairs(settings), words=(1,))
        for name, (directory, bundle) in self._bundles.items():
            description = bundle.description
            section.text(
                f"Bundle of {name} at {directory}, checksum "
                f"{description['checksum'][:16]}…:"
            )
            section.table(_pairs(description.get("config", {})), words=(1,))
            section.details("the data it was trained on", description.get("data", {}))
            section.details("its training", description.get("training", {}))
        return Result(section)


def _pairs(values: dict[str, Any]) -> Sequence[Sequence[str]]:
    def text(value: Any) -> str:
        if isinstance(value, (list, tuple)):
            return ", ".join(map(str, value)) or "–"
        return "–" if value is None else str(value)

    return [
        ["setting", "value"],
        *([key, text(value)] for key, value in values.items()),
    ]
