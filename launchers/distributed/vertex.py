"""Launches the program by Launchpad's own launcher for Vertex AI.

Launchpad builds a container for each kind of machine, through XManager and Docker,
submits one job of Vertex AI, and returns once the job is submitted. This module adds
the machine that each group needs. Nodes share a work directory on Cloud Storage, which
Vertex AI mounts under /gcs. See docs/guides/cluster.md; this launch has not been run.
"""

from __future__ import annotations

import atexit
import importlib.util
import pathlib
import shutil
import tempfile
from collections.abc import Iterable
from typing import Any

from launchers.distributed.config import Layout
from launchers.experiments.config import Experiment

_ROOT = pathlib.Path(__file__).resolve().parents[2]
_NOT_CODE = shutil.ignore_patterns(".*", "runs", "docs", "results", "__pycache__")
_MOUNT = "/gcs/"  # where Vertex AI mounts the buckets

# CPUs, memory in GiB and T4 GPUs. Equal machines are one worker pool of at most four,
# and the first pool must have a single node, the learner.
_LEARNER = (8, 30, 1)
_SERVICE = (4, 15, 0)
_ACTOR = (1, 4, 0)


def machines(groups: Iterable[str]) -> dict[str, tuple[int, int, int]]:
    """Returns each group's machine: CPUs, GiB of memory, GPUs."""
    known = {"learner": _LEARNER, "actor": _ACTOR, "evaluator": _ACTOR}
    return {group: known.get(group, _SERVICE) for group in groups}


def check(workdir: str, skills: str | None) -> None:
    """Checks what can be checked before a launch.

    Raises:
      ValueError: in one line, what is missing.
    """
    missing = [
        name for name in ("xmanager", "docker") if not importlib.util.find_spec(name)
    ]
    if missing:
        raise ValueError(
            f"--launch=vertex_ai needs {' and '.join(missing)}, which the project "
            "does not install: pip install xmanager docker (see docs/guides/cluster.md)"
        )
    if shutil.which("docker") is None:
        raise ValueError("--launch=vertex_ai needs the command docker")
    for name, path in (("workdir", workdir), ("skills", skills)):
        if path is not None and not path.startswith(_MOUNT):
            raise ValueError(
                f"--launch=vertex_ai needs --{name} in a bucket, {_MOUNT}BUCKET/..., "
                f"got {path}"
            )


def launch(experiment: Experiment, num_actors: int, layout: Layout) -> None:
    """Submits the program, which continues to run when this process has ended.

    Raises:
      ValueError: in one line, what is missing on this machine.
    """
    check(experiment.workdir, None)
    import launchpad as lp

    from launchers.distributed import program
    from launchers.distributed.coordinator import forget_earlier_program

    forget_earlier_program(experiment.workdir)
    vertex_program = program.make_program(experiment, num_actors, layout)
    lp.launch(
        vertex_program,
        launch_type="vertex_ai",
        xm_resources=_resources(vertex_program.groups),
    )


def _resources(groups: Iterable[str]) -> dict[str, Any]:
    from launchpad.nodes.python import xm_docker
    from xmanager import xm

    code = tempfile.mkdtemp()
    atexit.register(shutil.rmtree, code, ignore_errors=True)
    # Launchpad copies the whole directory into each container.
    shutil.copytree(_ROOT, code, ignore=_NOT_CODE, dirs_exist_ok=True)

    def config(cpus: int, gibibytes: int, gpus: int) -> Any:
        needs: dict[str, Any] = {"cpu": cpus, "ram": gibibytes * xm.GiB}
        if gpus:
            needs["t4"] = gpus
        return xm_docker.DockerConfig(
            code_directory=code,
            docker_requirements=f"{code}/requirements.txt",
            hw_requirements=xm.JobRequirements(**needs),
        )

    return {group: config(*machine) for group, machine in machines(groups).items()}
