"""Commands as a user runs them, without waiting for TensorFlow's import each time.

Python's fork server imports what is heavy once for all tests of a process; each command
runs in a fork of it. For what runs long, is sent signals or needs other
environment variables, start a process of its own.
"""

from __future__ import annotations

import multiprocessing
import os
import pathlib
import runpy
import subprocess
import sys
import tempfile

import tensorflow as tf

ROOT = pathlib.Path(__file__).resolve().parents[2]

# Modules without flags of their own, which commands of any kind share.
_MODULES = ["agents.registry", "datasets.collection.collect", "datasets.loader"]
_MODULES += [
    "launchers.transfer.training",
    "launchers.common.figures",
    "launchers.skills.training",
]
CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(_MODULES)


def run(
    module: str,
    *arguments: str,
    timeout: float = 280.0,
    path: str = str(ROOT),
    eagerly: bool = False,
) -> subprocess.CompletedProcess[str]:
    """Runs `python -m MODULE ARGUMENTS` at the repository's root.

    Args:
      module: the module.
      *arguments: its arguments.
      timeout: in seconds.
      path: a directory for PYTHONPATH.
      eagerly: whether TensorFlow's functions run eagerly: for learners of a few steps,
        which take a tenth of the time that compiling theirs takes.

    Raises:
      TimeoutError: it has not ended after `timeout` seconds; it is killed.
    """
    with tempfile.TemporaryDirectory() as directory:
        paths = [os.path.join(directory, name) for name in ("stdout", "stderr")]
        process = CONTEXT.Process(
            target=_main, args=(module, arguments, paths, path, eagerly)
        )
        process.start()
        process.join(timeout)
        if process.exitcode is None:
            process.kill()
            raise TimeoutError(f"{module} {arguments} ran over {timeout} s")
        output = [pathlib.Path(path).read_text() for path in paths]
    return subprocess.CompletedProcess([module, *arguments], process.exitcode, *output)


def _main(
    module: str,
    arguments: tuple[str, ...],
    paths: list[str],
    modules: str,
    eagerly: bool,
) -> None:
    for stream, path in zip((1, 2), paths, strict=True):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT), stream)
    os.chdir(ROOT)
    sys.path[:0] = dict.fromkeys((str(ROOT), modules))
    sys.argv = [module, *arguments]
    tf.config.run_functions_eagerly(eagerly)
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
