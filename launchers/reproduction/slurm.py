"""Scripts of a plan's runs for Slurm."""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence


def script(commands: Sequence[str]) -> str:
    """Returns a script of sbatch: a job array with a task for each command.

    sbatch's own flags say how many cores a task has.
    """
    numbered = "\n".join(commands)
    return f"""#!/bin/bash
#SBATCH --job-name=helms
#SBATCH --array=1-{len(commands)}
cd {shlex.quote(os.getcwd())}
sed -n "$((SLURM_ARRAY_TASK_ID)) p" <<'COMMANDS' | bash
{numbered}
COMMANDS
"""
