"""CUDA's libraries are loaded by full path, where there are any and a GPU."""

import ctypes
import importlib.util
import pathlib
import types

from launchers.common import cuda


def _wheels(directory, names):
    for name in names:
        path = directory / name.split(".")[0] / "lib" / name
        path.parent.mkdir(parents=True)
        path.touch()


def test_what_is_installed_is_loaded_in_order(tmp_path, monkeypatch):
    _wheels(tmp_path, ("libcudnn.so.8", "libcudart.so.11.0", "libcudnn_ops_infer.so.8"))
    loaded = []
    spec = types.SimpleNamespace(submodule_search_locations=[str(tmp_path)])
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: spec)
    monkeypatch.setattr(ctypes, "CDLL", lambda path, mode: loaded.append(path))
    expected = ["libcudart.so.11.0", "libcudnn.so.8"]
    assert cuda.load() == expected
    assert [pathlib.Path(path).name for path in loaded] == expected


def test_nothing_is_loaded_without_wheels_or_for_a_process_that_hides_gpus(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert cuda.load() == []
    monkeypatch.setattr(cuda, "load", lambda: ["loaded"])
    monkeypatch.setattr(cuda, "_DEVICE", pathlib.Path("/dev/null"))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert cuda.preload() == ["loaded"]
    for hidden in ("", "-1"):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", hidden)
        assert cuda.preload() == []
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    monkeypatch.setattr(cuda, "_DEVICE", pathlib.Path("/dev/no_such_device"))
    assert cuda.preload() == []
