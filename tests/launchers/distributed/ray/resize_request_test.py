"""Another number of actors is asked for by a file."""

import threading

import pytest

from launchers.distributed.ray import (
    node_process,
    resize_request,
)


def test_resize_request_is_taken_once(tmp_path):
    (tmp_path / node_process.TOKEN).write_text("token")
    asked = threading.Thread(target=resize_request.ask, args=(str(tmp_path), 7))
    asked.start()
    taken: list[int] = []
    while not taken:
        taken += [n for n in [resize_request.take(str(tmp_path))] if n is not None]
    asked.join()
    assert taken == [7] and resize_request.take(str(tmp_path)) is None


def test_resize_request_that_nobody_takes(tmp_path):
    with pytest.raises(ValueError, match="no launcher"):
        resize_request.ask(str(tmp_path), 2)
    with pytest.raises(ValueError, match="at least 1"):
        resize_request.ask(str(tmp_path), 0)
    (tmp_path / node_process.TOKEN).write_text("token")
    with pytest.raises(ValueError, match="did not answer"):
        resize_request.ask(str(tmp_path), 2, timeout=0.1)
    assert resize_request.take(str(tmp_path)) is None


@pytest.mark.parametrize("content", ["{", "[]", '{"num_actors": "many"}', "{}"])
def test_resize_request_that_is_none(tmp_path, content):
    (tmp_path / ".num_actors.json").write_text(content)
    with pytest.raises(ValueError):
        resize_request.take(str(tmp_path))
    assert resize_request.take(str(tmp_path)) is None
