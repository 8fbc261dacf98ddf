"""The notebook has the examples' code, and it runs."""

import ast
import base64
import io

import imageio.v2 as imageio
import nbformat
import pytest

from scripts import make_tour

_EXAMPLES = ("environment_loop", "act_with_skills", "learn_skills", "transfer")


def _code(notebook):
    return [cell.source for cell in notebook.cells if cell.cell_type == "code"]


def _images(notebook):
    for cell in notebook.cells:
        for output in cell.get("outputs", ()):
            if "image/png" in output.get("data", {}):
                content = base64.b64decode(output.data["image/png"])
                yield imageio.imread(io.BytesIO(content), format="png")


def test_the_notebook_is_made_from_the_examples_as_they_are():
    tour = nbformat.read(make_tour.TOUR, as_version=4)
    nbformat.validate(tour)
    made = make_tour.make()
    assert [(c.cell_type, c.source) for c in tour.cells] == [
        (c.cell_type, c.source) for c in made.cells
    ], "python scripts/make_tour.py makes it anew"


@pytest.mark.parametrize("name", _EXAMPLES)
def test_a_cell_is_all_of_an_example_but_its_command_line(name):
    source = (make_tour.TOUR.parent / f"{name}.py").read_text()
    (cell,) = (c for c in _code(make_tour.make()) if c in source and "def " in c)
    docstring, *statements, guard = ast.parse(source).body
    assert ast.dump(ast.Module(statements, [])) == ast.dump(ast.parse(cell))
    assert isinstance(guard, ast.If)
    assert ast.unparse(guard.test) == "__name__ == '__main__'"


def test_the_notebook_shows_what_it_did():
    tour = nbformat.read(make_tour.TOUR, as_version=4)
    assert make_tour.TOUR.stat().st_size < 500_000
    assert len(list(_images(tour))) == 3
    ran = [c.execution_count for c in tour.cells if c.cell_type == "code"]
    assert ran == list(range(1, len(ran) + 1))
    text = make_tour.TOUR.read_text()
    assert "/tmp" not in text and "/home" not in text and "Traceback" not in text


@pytest.mark.slow
@pytest.mark.gl
def test_the_notebook_runs():
    notebook = make_tour.make()
    make_tour.execute(notebook)
    first, *_ = images = list(_images(notebook))
    assert len(images) == 3
    assert first.shape == (240, 320, 3)
    assert first.std() > 10
