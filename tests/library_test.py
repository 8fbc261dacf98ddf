"""Who imports the library reads nothing on standard error, and keeps their warnings."""

import os
import subprocess
import sys

import pytest

from tests.helpers.commands import ROOT

# Run as a script, whose own deprecation warnings Python shows.
_IMPORTS = """
import sys, warnings
sys.path.insert(0, {root!r})
before = list(warnings.filters)
for name in {names!r}:
    __import__(name)
added = [f for f in warnings.filters if f not in before and f[3] is None]
shown = [f for f in added if f[2] is DeprecationWarning]
assert shown == [], shown
warnings.warn("my own", DeprecationWarning)
"""


@pytest.mark.parametrize(
    "names",
    [
        ("environments", "agents.registry"),
        ("agents.registry", "environments", "datasets.loader"),
    ],
    ids=lambda names: names[0],
)
def test_an_import_prints_nothing(names, tmp_path):
    script = tmp_path / "script.py"
    script.write_text(_IMPORTS.format(root=str(ROOT), names=names))
    unset = ("TF_CPP_MIN_LOG_LEVEL", "DISPLAY", "MUJOCO_GL", "PYTHONWARNINGS")
    done = subprocess.run(
        [sys.executable, str(script)],
        env={k: v for k, v in os.environ.items() if k not in unset},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    first, *rest = done.stderr.splitlines()
    assert "DeprecationWarning: my own" in first and len(rest) <= 1, done.stderr
