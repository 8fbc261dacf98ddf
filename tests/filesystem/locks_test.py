"""One process at a time holds the lock of a directory."""

import errno
import fcntl
import os

import pytest

from filesystem import locks


def test_a_lock_is_held_once_and_freed(tmp_path):
    descriptors = len(os.listdir("/proc/self/fd"))
    with locks.held(tmp_path):
        with pytest.raises(BlockingIOError):
            locks.take(tmp_path)
        with pytest.raises(BlockingIOError), locks.held(tmp_path, required=False):
            pass
    with pytest.raises(KeyError), locks.held(tmp_path):
        raise KeyError
    with locks.held(tmp_path):
        pass
    assert len(os.listdir("/proc/self/fd")) == descriptors


def test_a_taken_lock_is_freed_by_closing_it(tmp_path):
    handle = locks.take(tmp_path)
    assert handle is not None and not os.get_inheritable(handle)
    os.close(handle)
    with locks.held(tmp_path):
        pass


def test_a_file_system_without_locks(tmp_path, monkeypatch):
    def fail(*_):
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

    monkeypatch.setattr(fcntl, "flock", fail)
    descriptors = len(os.listdir("/proc/self/fd"))
    assert locks.take(tmp_path) is None
    with locks.held(tmp_path, required=False):
        pass
    with pytest.raises(OSError, match="No locks available"), locks.held(tmp_path):
        pass
    assert len(os.listdir("/proc/self/fd")) == descriptors


def test_a_directory_that_is_not_there(tmp_path):
    with pytest.raises(FileNotFoundError):
        locks.take(tmp_path / "none")
