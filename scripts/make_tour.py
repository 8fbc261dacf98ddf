"""Makes examples/tour.ipynb from the examples, and runs it.

python scripts/make_tour.py

A cell of code is an example without its docstring and its command line. The docstring
becomes the text above the cell, and a call with small arguments follows it. The
notebook keeps the outputs of the run. A test compares its code with the examples.
"""

from __future__ import annotations

import ast
import pathlib
import sys
import tempfile

import nbformat
from nbclient import NotebookClient
from nbformat import v4

_ROOT = pathlib.Path(__file__).resolve().parents[1]
TOUR = _ROOT / "examples" / "tour.ipynb"

_TITLE = """\
# A tour of HeLMS

The examples of this folder, one after another: an environment, skills that act in it,
how skills are learned, and how RL reuses them. Each cell of code is the example of that
name without its command line; the calls are small, so that all run in a few minutes.
That of `transfer` ends before the learner begins: its two evaluations differ by chance.
The project's `.venv` has the kernel.
"""
_SET_UP = """\
import os
import pathlib
import sys

from IPython.display import Image

while not pathlib.Path("environments").is_dir():  # the project runs from its root
    os.chdir("..")
sys.path.insert(0, os.getcwd())

import launchers  # noqa: E402, F401  Quiets libraries before the examples load them."""

# Example -> the calls that follow its code.
_CALLS = {
    "environment_loop": (
        'run_episode(picture="runs/tour/scene.png")',
        'Image("runs/tour/scene.png")',
    ),
    "act_with_skills": (
        'act(picture="runs/tour/act.png")',
        'Image("runs/tour/act.png")',
    ),
    "learn_skills": (
        'learn(episodes=10, steps=100, out="runs/tour/learn")',
        'Image("runs/tour/learn/skills/skills.png", width=720)',
    ),
    "transfer": (
        'transfer(object_set=1, steps=800, episodes=2, workdir="runs/tour/transfer")',
    ),
}


def split(source: str) -> tuple[str, str]:
    """Returns the docstring of an example, and its code up to the command line."""
    tree = ast.parse(source)
    docstring, *statements = tree.body
    assert isinstance(docstring, ast.Expr)
    guards = [s for s in statements if isinstance(s, ast.If)]
    first, end = statements[0].lineno - 1, guards[0].lineno - 1
    text = ast.literal_eval(docstring.value)
    return text, "\n".join(source.splitlines()[first:end]).strip()


def make() -> nbformat.NotebookNode:
    """Makes the notebook without outputs."""
    cells = [v4.new_markdown_cell(_TITLE), v4.new_code_cell(_SET_UP)]
    for name, calls in _CALLS.items():
        text, code = split((TOUR.parent / f"{name}.py").read_text())
        summary, _, rest = text.partition("\n")
        cells.append(
            v4.new_markdown_cell(f"## {name}\n\n{summary}\n\n```\n{rest.strip()}\n```")
        )
        cells += [v4.new_code_cell(cell) for cell in (code, *calls)]
    for number, cell in enumerate(cells):
        cell["id"] = f"cell-{number}"  # not random: the same code makes the same file
    return v4.new_notebook(
        cells=cells,
        metadata={
            "kernelspec": {
                "name": "python3",
                "display_name": "Python 3",
                "language": "python",
            }
        },
    )


def execute(notebook: nbformat.NotebookNode) -> None:
    """Runs a notebook beside an empty runs/ and keeps the outputs of its cells."""
    with tempfile.TemporaryDirectory() as directory:
        root = pathlib.Path(directory)
        for path in _ROOT.iterdir():
            if path.name not in ("runs", TOUR.parent.name):
                (root / path.name).symlink_to(path)
        (root / TOUR.parent.name).mkdir()
        resources = {"metadata": {"path": str(root / TOUR.parent.name)}}
        NotebookClient(notebook, timeout=600, resources=resources).execute()
    for cell in notebook.cells:
        cell.metadata.clear()  # times of execution
        if cell.cell_type == "code":
            cell.outputs = _without_progress(cell.outputs)


def _without_progress(
    outputs: list[nbformat.NotebookNode],
) -> list[nbformat.NotebookNode]:
    """Drops standard error, which has progress bars, and joins standard output."""
    kept: list[nbformat.NotebookNode] = []
    for output in outputs:
        if output.output_type != "stream":
            kept.append(output)
        elif output.name == "stdout":
            if kept and kept[-1].output_type == "stream":
                kept[-1].text += output.text
            else:
                kept.append(output)
    return kept


def main() -> int:
    """Makes, runs and writes the notebook."""
    notebook = make()
    execute(notebook)
    nbformat.write(notebook, TOUR)
    print(f"{TOUR.relative_to(_ROOT)}: {TOUR.stat().st_size / 1e3:.0f} kB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
