"""What the README and the documentation say holds, and the site builds."""

import ast
import importlib.util
import os
import pathlib
import re
import shlex
import shutil
import subprocess
import sys

import numpy as np
import pytest

from agents import scales
from datasets import loader
from datasets.rlds import reader
from datasets.validation import inspection
from launchers.common import atomic_files
from tests.helpers import commands, dataset_files, finished_runs

ROOT = pathlib.Path(__file__).resolve().parents[1]
README = ROOT / "README.md"
_WITH_MAPS = (README, *sorted(ROOT.glob("agents/*/README.md")))


def _run_script(script, tmp_path):
    return subprocess.run(
        [sys.executable, str(script)],
        cwd=ROOT,
        env={"PYTHONPATH": str(ROOT), "PATH": "", "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=200,
    )


def _python_blocks(path):
    return re.findall(r"```python\n(.*?)```", path.read_text(), re.S)


def test_the_readme_has_at_most_900_words():
    assert len(README.read_text().split()) <= 900


@pytest.mark.parametrize("page", _WITH_MAPS, ids=lambda page: page.parent.name)
def test_maps_name_what_is_there(page):
    """Each `FILE.py`: `NAME` is a function or class of that file, or its member."""
    named = re.findall(r"`([\w/]+\.py)`: `(\w+)(?:\.(\w+))?`", page.read_text())
    assert named
    for file, name, member in named:
        body = ast.parse((ROOT / file).read_text()).body
        found = [node for node in body if getattr(node, "name", None) == name]
        assert found, f"{file} has no {name}"
        source = ast.unparse(found[0])
        assert not member or re.search(rf"def {member}\(|self\.{member} =", source), (
            f"{name} of {file} has no {member}"
        )


def test_the_readme_s_python_runs(tmp_path):
    (block,) = _python_blocks(README)
    assert len(block.splitlines()) <= 13
    script = tmp_path / "example.py"
    script.write_text(block)
    run = _run_script(script, tmp_path)
    assert run.returncode == 0, run.stderr


def _copy_of_what_the_site_reads(directory):
    for folder in ("docs", "agents", "environments", "datasets"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / folder, directory / folder, ignore=ignored)
    images = [p.relative_to(ROOT) for p in ROOT.glob("benchmarks/results/**/*.png")]
    texts = ("README.md", "LICENSE", "mkdocs.yml", "scripts/docs_pages.py")
    files = map(pathlib.Path, (*texts, "pretrained/README.md"))
    for file in (*files, *images):
        (directory / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / file, directory / file)


def _build_site(directory):
    return subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict"],
        cwd=directory,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        timeout=280,
    )


@pytest.mark.slow
def test_the_site_builds(tmp_path):
    _copy_of_what_the_site_reads(tmp_path)
    run = _build_site(tmp_path)
    assert run.returncode == 0, run.stderr
    page = tmp_path / "runs/site/api/agents/losses/elbo/index.html"
    assert "cumulative component probability" in page.read_text()


@pytest.mark.slow
def test_a_broken_link_fails_the_build(tmp_path):
    _copy_of_what_the_site_reads(tmp_path)
    with (tmp_path / "docs" / "results.md").open("a") as page:
        page.write("\n[page](missing_page.md), [anchor](fidelity.md#missing_anchor), ")
        page.write("![image](images/missing_image.png)\n")
    run = _build_site(tmp_path)
    assert run.returncode != 0
    for missing in ("missing_page.md", "missing_anchor", "missing_image.png"):
        assert missing in run.stderr
    assert run.stderr.count("WARNING") == 3


@pytest.mark.doors
def test_bring_your_own(tmp_path):
    page = ROOT / "docs" / "guides" / "datasets.md"
    (block,) = (block for block in _python_blocks(page) if "MyS" in block)
    script = tmp_path / "mine.py"
    script.write_text(block.replace("runs/mine", str(tmp_path / "mine")))
    run = _run_script(script, tmp_path)
    assert run.returncode == 0, run.stderr
    directory = tmp_path / "mine" / "my_stacking" / "1.0.0"
    relative = f"{directory.relative_to(tmp_path)}"
    assert relative.replace("mine", "runs/mine", 1) in page.read_text()
    found = inspection.Inspection(reader.Records(directory))
    for episode in reader.Records(directory).episodes(found.report):
        found.add(episode)
    found.finish()
    assert list(map(str, found.problems)) == []
    np.testing.assert_array_equal(loader.load(directory).lengths, [51] * 3)
    (batch,) = loader.windows(directory, batch_size=4).take(1)
    assert np.isfinite(batch["proprio"]).all()
    shutil.rmtree(tmp_path / "mine")


def _commands(page):
    """Returns module and arguments of each of the page's commands of ours."""
    blocks = re.findall(r"```\n(.*?)```", page.read_text(), re.S)
    lines = [shlex.split(line) for block in blocks for line in block.splitlines()]
    return [words[words.index("-m") + 1 :] for words in lines if "-m" in words]


@pytest.mark.doors
@pytest.mark.slow
def test_the_commands_of_the_comparison(tmp_path):
    """On runs and data that are there: no seed is left to run."""
    laptop = scales.settings("laptop", "mpo")
    for seed in (0, 1, 2):
        workdir = tmp_path / "mpo" / f"seed_{seed}"
        finished_runs.write(workdir, [0.0] * 4, [0] * 4, seed=seed, **laptop)
        summary = {"stopped_by": "max_actor_steps", "actor_steps": 100_000}
        atomic_files.write_json(workdir / "summary.json", summary)
    finished_runs.write(tmp_path / "mpo_slow", [1.0], [1], **{**laptop, "n_step": 3})
    dataset_files.write(tmp_path / "r4", dataset_files.examples(18))
    page = ROOT / "docs" / "guides" / "compare.md"
    names = []
    for module, *arguments in _commands(page):
        names.append(module)
        arguments = [a.replace("runs/", f"{tmp_path}/") for a in arguments]
        html = f"--html={tmp_path}/episode_00017.html"  # named after it by default
        arguments = [html if a == "--html" else a for a in arguments]
        optional = any("--loggers" in a for a in arguments)
        if optional and importlib.util.find_spec("wandb") is not None:
            continue  # it would run
        done = commands.run(module, *arguments)
        if optional:
            assert done.returncode == 2 and "requirements-loggers.txt" in done.stderr
        else:
            assert done.returncode == 0, done.stderr
    view, train, compare = "view", "train_agent", "compare"
    assert names == [f"launchers.{name}" for name in (train, compare, train, view)]
    for written in re.findall(
        r"`(?:runs/)?([\w/]+\.(?:html|png|csv|json))`", page.read_text()
    ):
        found = list(tmp_path.rglob(written))
        assert found or written == "config.json", f"{written} was not written"


@pytest.mark.doors
@pytest.mark.slow
def test_exchange(tmp_path):
    """Each command of the guide, on small data sets, then its Python."""
    page = (ROOT / "docs" / "guides" / "exchange.md").read_text()
    episodes = dataset_files.examples(6)
    dataset_files.write(tmp_path / "r4", episodes[:4])
    dataset_files.write(tmp_path / "r4_more", episodes[4:])
    blocks = re.findall(r"```\n(.*?)```", page, re.S)
    lines = [line for block in blocks for line in block.splitlines()]
    ours = [line for line in lines if line.startswith("python -m launchers.")]
    assert len(ours) == 8
    for line in ours:
        line = line.replace("runs/", f"{tmp_path}/").replace(
            "--episodes=2", "--episodes=1"
        )
        _, _, module, *arguments = line.split()
        run = commands.run(module, *arguments)
        assert run.returncode == 0, f"{line}: {run.stderr}"
    assert {p.name for p in tmp_path.iterdir()} >= {"from_robomimic", "from_lerobot"}
    assert (ROOT / "scripts" / "open_exports.py").exists()
    (block,) = _python_blocks(ROOT / "docs" / "guides" / "exchange.md")
    script = tmp_path / "act.py"
    script.write_text(block.replace("runs/", f"{tmp_path}/"))
    run = _run_script(script, tmp_path)
    assert run.returncode == 0, run.stderr
    assert run.stdout.count("]") == 2  # two arrays
