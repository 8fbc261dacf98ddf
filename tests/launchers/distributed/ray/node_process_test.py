"""Directories that nodes read reach their hosts."""

import os

from launchers.distributed.ray import (
    node_process,
)


def test_inputs_are_packed_whole(tmp_path):
    source, to = tmp_path / "source", tmp_path / "a" / "to"
    (source / "folder").mkdir(parents=True)
    (source / "folder" / "weights").write_bytes(b"\0\1")
    node_process.unpack(str(to), node_process.pack(str(source)))
    assert (to / "folder" / "weights").read_bytes() == b"\0\1"
    node_process.unpack(str(to), b"not read where the directory is")
    assert os.listdir(to.parent) == ["to"]
