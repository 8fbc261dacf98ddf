"""What docs/guides/datasets.md tells users to do with data of their own works."""

import pathlib
import re
import shutil
import subprocess
import sys

import numpy as np

from datasets import loader
from datasets.rlds import reader
from datasets.validation import inspection

ROOT = pathlib.Path(__file__).resolve().parents[1]


def test_bring_your_own(tmp_path):
    text = (ROOT / "docs" / "guides" / "datasets.md").read_text()
    (block,) = (b for b in re.findall(r"```python\n(.*?)```", text, re.S) if "MyS" in b)
    script = tmp_path / "mine.py"
    script.write_text(block.replace("runs/mine", str(tmp_path / "mine")))
    run = subprocess.run(
        [sys.executable, str(script)],
        cwd=ROOT,
        env={"PYTHONPATH": str(ROOT), "PATH": "", "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert run.returncode == 0, run.stderr
    directory = tmp_path / "mine" / "my_stacking" / "1.0.0"
    assert f"{directory.relative_to(tmp_path)}".replace("mine", "runs/mine", 1) in text
    found = inspection.Inspection(reader.Records(directory))
    for episode in reader.Records(directory).episodes(found.report):
        found.add(episode)
    found.finish()
    assert list(map(str, found.problems)) == []
    np.testing.assert_array_equal(loader.load(directory).lengths, [51] * 3)
    (batch,) = loader.windows(directory, batch_size=4).take(1)
    assert np.isfinite(batch["proprio"]).all()
    shutil.rmtree(tmp_path / "mine")
