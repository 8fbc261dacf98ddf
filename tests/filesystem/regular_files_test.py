"""What is no regular file is refused and never waited for."""

import os

import pytest

from filesystem import regular_files

pytestmark = pytest.mark.timeout(20)  # who opens a pipe waits for ever


def _link_to_a_device(path):
    path.symlink_to("/dev/zero")


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir, _link_to_a_device])
def test_what_is_no_regular_file_is_refused(make, tmp_path):
    path = tmp_path / "file"
    make(path)
    with pytest.raises(OSError, match="regular"):
        regular_files.read_text(path)
    descriptors = len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        with pytest.raises(OSError):
            regular_files.open_file(path)
    assert len(os.listdir("/proc/self/fd")) == descriptors


def test_a_text_is_read_as_pathlib_reads_it(tmp_path):
    (tmp_path / "text").write_bytes("é\nb".encode())
    assert regular_files.read_text(tmp_path / "text") == "é\nb"
    (tmp_path / "text").write_bytes(b"\xff")
    with pytest.raises(UnicodeDecodeError):
        regular_files.read_text(tmp_path / "text")
    assert regular_files.read_text(tmp_path / "text", errors="replace") == "\ufffd"
    with pytest.raises(FileNotFoundError):
        regular_files.read_text(tmp_path / "none")
