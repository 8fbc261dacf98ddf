"""Record of a run on disk: `config.json`, and the bundle of skills beside it.

Agent, skills, environment, seed, demonstrations and the agent's settings identify a
run: another start with others is refused. The budget may change. `starts` in the
record has an entry for each start: `launchers.common.provenance`, the run's counts
then, and what of the budget changed, as NAME: [before, after].
"""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib
from collections.abc import Iterator, Mapping
from typing import Any

from agents.offline import bundle
from agents.registry import AGENTS
from datasets import loader
from environments import EnvironmentConfig
from launchers.common import atomic_files, loggers, provenance, workdir_lock
from launchers.experiments.config import RunConfig, check_agent, make_experiment
from launchers.skills.record import fingerprint

CONFIG = "config.json"
_BUNDLE = "skills"  # name of the bundle's directory in a work directory
_FORMAT = {"format": "helms-agent", "version": 1}
_COUNTS = ("actor_steps", "learner_steps")


class RunRecord:
    """Record of a start that fits its work directory.

    Attributes:
      resumes: whether the start resumes a run.
    """

    def __init__(self, config: RunConfig, new: dict[str, Any], old: dict[str, Any]):
        """Makes the record; `old` is the existing one, {} of a new run."""
        self.resumes = bool(old)
        self._config, self._new, self._old = config, new, old

    def commit(self, counts: Mapping[str, float] | None = None) -> None:
        """Writes the record, once all that the start reads has been read.

        Args:
          counts: counts that the run resumes from.
        """
        root = pathlib.Path(self._config.workdir)
        old, new = self._old, self._new
        start = provenance.describe()
        if old:
            was, now = old.get("budget", {}), new["budget"]
            start |= {name: int((counts or {}).get(name, 0)) for name in _COUNTS}
            start["changed"] = {
                name: [was.get(name), now[name]]
                for name in now
                if was.get(name) != now[name]
            }
        if self._config.skills is not None:
            if not (root / _BUNDLE).exists():
                bundle.copy(self._config.skills, root / _BUNDLE)
            new["skills"]["path"] = _BUNDLE
        starts = [*old.get("starts", []), start]
        atomic_files.write_json(root / CONFIG, {**new, "starts": starts})


def check(config: RunConfig, restart: bool = False) -> RunRecord:
    """Locks the work directory, and checks that it is new or holds the same run.

    Records a new run at once; `RunRecord.commit` records a later start.

    Args:
      config: configuration of the run.
      restart: whether to begin anew, and to move aside the run that the work directory
        holds (`workdir_lock.set_aside`).

    Raises:
      ValueError: in one line, if the work directory holds another run.
      OSError: a log of the run cannot be read.
    """
    root = pathlib.Path(config.workdir)
    new = json.loads(json.dumps(_describe(config)))  # tuples become lists, as on disk
    if restart and (before := workdir_lock.set_aside(root, CONFIG)):
        print(f"--restart moved {root} to {before}", flush=True)
        bundles = root / _BUNDLE
        if config.skills and os.path.abspath(config.skills) == os.path.abspath(bundles):
            bundle.copy(str(before / _BUNDLE), bundles)
    workdir_lock.hold(root)
    if (root / CONFIG).exists():
        old = atomic_files.read_json(root / CONFIG)
        _check_same(root, old, new)
        loggers.check(config.workdir)
        # The lock is held: what is unfinished there is of a process that was killed.
        atomic_files.remove_temporaries(root, below=True)
        return RunRecord(config, new, old)
    # The bundle is copied before the record is written: alone, it is no run.
    if not all(
        path.name == _BUNDLE
        or path.name.startswith(f".{_BUNDLE}.")  # aside, of a start that was killed
        or atomic_files.is_temporary(path)
        for path in root.iterdir()
    ):
        raise ValueError(
            f"workdir {root} is not empty and has no {CONFIG}; give another --workdir"
        )
    record = RunRecord(config, new, {})
    record.commit()
    return record


def holds(config: RunConfig) -> bool:
    """Returns whether the work directory holds this run; locks and writes nothing.

    Raises:
      ValueError: in one line, if it holds another run.
    """
    root = pathlib.Path(config.workdir)
    if not (root / CONFIG).exists():
        return False
    new = json.loads(json.dumps(_describe(config)))
    _check_same(root, atomic_files.read_json(root / CONFIG), new)
    return True


def load_config(workdir: str, skills: str | None = None) -> RunConfig:
    """Reads the record of a run for its evaluation, without demonstrations.

    Args:
      workdir: work directory of a run.
      skills: current directory of the skill bundle; None takes the recorded one.

    Raises:
      ValueError: in one line, why this is no run, or that the skills differ.
    """
    path = pathlib.Path(workdir) / CONFIG
    if not path.is_file():
        raise ValueError(f"no run in {workdir}: it has no {CONFIG}")
    recorded = atomic_files.read_json(path)
    try:
        check_agent(recorded["agent"])
        config_type = AGENTS[recorded["agent"]].config_type
        known = {field.name for field in dataclasses.fields(config_type)}
        agent_config: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value
            for key, value in recorded["agent_config"].items()
            if key in known
        }
        directory = skills or _found_skills(path.parent, recorded["skills"]["path"])
        if not skills and directory and not pathlib.Path(directory).is_dir():
            raise ValueError(
                f"the skills of {workdir} are no longer at {directory}: give the "
                "bundle's directory by --skills"
            )
        config = RunConfig(
            skills=directory,
            workdir=str(workdir),
            agent_config=config_type(**agent_config),
            agent=recorded["agent"],
            environment=EnvironmentConfig.from_dict(_environment(recorded)),
            seed=recorded["seed"],
        )
        checksum = recorded["skills"]["checksum"]
    except (KeyError, TypeError) as e:
        raise ValueError(f"{path} is not the record of an agent: {e!r}") from e
    if _skills_checksum(config) != checksum:
        raise ValueError(
            f"the skills at {config.skills} are not those that {workdir} was run with"
        )
    return config


def recorded_settings(path: pathlib.Path) -> dict[str, Any]:
    """Reads a run's settings by the names of train_agent's flags.

    Args:
      path: path of a `config.json`.

    Returns:
      The settings of environment, agent and budget, and agent, skills, seed and
      demonstrations.

    Raises:
      ValueError: in one line, why this is no record of a run.
    """
    if not path.is_file():
        raise ValueError(f"{path} is not a file; valid: the config.json of a run")
    found = atomic_files.read_json(path)
    try:
        check_agent(found["agent"])
        skills = found["skills"]["path"]
        return {
            "agent": found["agent"],
            "skills": _found_skills(path.parent, skills),
            "seed": found["seed"],
            "demonstrations": found.get("demonstrations"),
            **_environment(found),
            **found["agent_config"],
            **found["budget"],
        }
    except (KeyError, TypeError) as e:
        raise ValueError(f"{path} is not the record of an agent: {e!r}") from e


def identity(path: pathlib.Path) -> dict[str, Any]:
    """Reads what tells a run from others: all settings but the budget, and the seed.

    Args:
      path: path of a `config.json`.

    Returns:
      Settings as in `recorded_settings`, with checksums for skills and demonstrations;
      a setting that an old record lacks has its present default.

    Raises:
      ValueError: in one line, why this is no record of a run.
    """
    settings = recorded_settings(path)
    found = atomic_files.read_json(path)
    defaults = {
        **EnvironmentConfig().to_dict(),
        **dataclasses.asdict(AGENTS[settings["agent"]].config_type()),
    }
    for name in found["budget"]:
        settings.pop(name, None)
    if settings["demonstrations"]:
        checksum = found.get("demonstrations_checksum")
        settings["demonstrations"] = checksum or settings["demonstrations"]
    settings["skills"] = found["skills"]["checksum"]
    return {**json.loads(json.dumps(defaults)), **settings}


def starts(path: pathlib.Path) -> list[dict[str, Any]]:
    """Reads the starts of a run from its `config.json`; old records have none."""
    return atomic_files.read_json(path).get("starts", [])


def export(config: RunConfig, out: pathlib.Path, copy_skills: bool) -> int:
    """Writes all that an evaluation of an agent needs: settings, policy and bundle.

    Args:
      config: configuration of the run (`load_config`).
      out: directory to make; `load_config` and `evaluate` take it as a run's.
      copy_skills: whether to copy the bundle of skills into `out`, which otherwise
        refers to it by a relative path.

    Returns:
      The learner steps of the policy.

    Raises:
      ValueError: `out` exists, or there is no checkpoint.
    """
    if out.exists():
        raise ValueError(f"{out} exists; give another directory")
    experiment = make_experiment(config)
    builder = experiment.builder_factory()
    networks = builder.make_networks(experiment.environment_spec, experiment.seed)
    learner_steps = builder.restore_policy(networks, config.workdir)
    description = _describe(config)
    with bundle.replaced(out) as aside:
        builder.save_policy(networks, str(aside), learner_steps)
        if config.skills is not None:
            path = _BUNDLE if copy_skills else os.path.relpath(config.skills, out)
            if copy_skills:
                bundle.copy(config.skills, aside / path)
            description["skills"]["path"] = path
        description |= {"demonstrations": None, "policy_only": True}
        atomic_files.write_json(aside / CONFIG, description)
    return learner_steps


def _check_same(root: pathlib.Path, old: dict[str, Any], new: dict[str, Any]) -> None:
    """Raises ValueError, in one line, unless a record is of the run that is described.

    Args:
      root: work directory, for the message.
      old: the record.
      new: description of the run, as JSON has it.
    """
    if old.get("format") != _FORMAT["format"]:
        raise ValueError(f"{root / CONFIG} is not the record of an agent")
    if old.get("policy_only"):
        raise ValueError(
            f"workdir {root} was exported: it has a policy alone and cannot go on; "
            "give another --workdir"
        )
    for name, was, now in _differences(old, new):
        raise ValueError(
            f"workdir {root} holds another run, with {name} {was!r} and not "
            f"{now!r}; give another --workdir, or --restart"
        )


def _found_skills(workdir: pathlib.Path, path: str | None) -> str | None:
    """Resolves a bundle's path, which may be relative to the record's directory."""
    return path and os.path.normpath(workdir / path)


def _describe(config: RunConfig) -> dict[str, Any]:
    described = {
        **_FORMAT,
        "agent": config.agent,
        "skills": {
            "path": None if config.skills is None else os.path.abspath(config.skills),
            "checksum": _skills_checksum(config),
        },
        "environment": config.environment.to_dict(),
        "seed": config.seed,
        "demonstrations": None,
        "agent_config": dataclasses.asdict(config.agent_config),
        "budget": dataclasses.asdict(config.budget),
    }
    if config.demonstrations is not None:
        described["demonstrations"] = os.path.abspath(config.demonstrations)
        manifest = loader.manifest(config.demonstrations)
        described["demonstrations_checksum"] = fingerprint(manifest)
    return described


def _differences(
    old: dict[str, Any], new: dict[str, Any]
) -> Iterator[tuple[str, Any, Any]]:
    """Yields (name, old value, new value) of settings that make two runs differ.

    A setting that an old record lacks had its present default.
    """
    if old.get("agent") != new["agent"]:
        yield "agent", old.get("agent"), new["agent"]
        return
    was = EnvironmentConfig.with_defaults(_environment(old))
    now = _environment(new)
    same_images = was.get("observations") == now.get("observations") == "vision"
    for key in dict.fromkeys(("environment", *now)):  # which decides the others
        if was.get(key) != now.get(key) and (key != "cameras" or same_images):
            yield key, was.get(key), now.get(key)
    was = old.get("skills", {}).get("checksum")
    if was != new["skills"]["checksum"]:
        yield "skills of checksum", str(was)[:12], str(new["skills"]["checksum"])[:12]
    if old.get("seed") != new["seed"]:
        yield "seed", old.get("seed"), new["seed"]
    key = "demonstrations_checksum"
    if bool(old.get("demonstrations")) != bool(new["demonstrations"]) or (
        key in old and old[key] != new[key]
    ):
        yield "demonstrations", old.get("demonstrations"), new["demonstrations"]
    defaults = dataclasses.asdict(AGENTS[new["agent"]].config_type())
    recorded = {**json.loads(json.dumps(defaults)), **old.get("agent_config", {})}
    for key, value in new["agent_config"].items():
        # A clone's finger is its bundle's, whose checksum was compared.
        if recorded[key] != value and not (
            key == "finger" and None in (recorded[key], value)
        ):
            yield key, recorded[key], value


def _environment(record: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the environment's settings, which old records mix with the others."""
    if "environment" in record:
        return record["environment"]
    names = {field.name for field in dataclasses.fields(EnvironmentConfig)}
    found = EnvironmentConfig.with_defaults(
        {k: v for k, v in record.items() if k in names}
    )
    found["observations"] = "vision" if record["cameras"] else "state"
    return {**found, "cameras": record["cameras"] or list(EnvironmentConfig().cameras)}


def _skills_checksum(config: RunConfig) -> str | None:
    """Reads the checksum of the bundle's weights from its description."""
    if config.skills is None:
        return None
    return str(bundle.read_description(config.skills).get("checksum"))
