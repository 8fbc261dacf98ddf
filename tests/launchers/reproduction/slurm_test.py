"""Slurm runs each command of a plan once."""

import subprocess

from launchers.reproduction import slurm


def test_jobs_of_slurm_run_each_command_once(tmp_path):
    lines = [f"echo {number} >> {tmp_path}/said" for number in range(3)]
    script = tmp_path / "slurm.sh"
    script.write_text(slurm.script(lines))
    assert "#SBATCH --array=1-3\n" in script.read_text()
    for task in (1, 3):
        environment = {"SLURM_ARRAY_TASK_ID": str(task), "PATH": "/usr/bin:/bin"}
        subprocess.run(["bash", script], env=environment, check=True)
    assert (tmp_path / "said").read_text() == "0\n2\n"
