"""Addresses of Ray clusters that are none, and no Ray."""

import pytest

from launchers.distributed.ray import (
    cluster,
)


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("nowhere", "must be auto or HOST:PORT"),
        ("127.0.0.1:1", "no Ray cluster at 127.0.0.1:1"),
        ("127.0.0.1:99999", "no Ray cluster at 127.0.0.1:99999"),
    ],
)
def test_bad_address(address, message):
    pytest.importorskip("ray")
    with pytest.raises(ValueError, match=message) as error:
        cluster.join(address)
    assert "\n" not in str(error.value)


def test_ray_is_optional(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "ray", None)
    with pytest.raises(ValueError, match="pip install ray=="):
        cluster.join(None)
