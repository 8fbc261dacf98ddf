"""Work that fails is reported once for each kind of failure, and goes on."""

import pytest

from launchers.common import guard


def test_each_kind_is_reported_once():
    lines: list[str] = []
    one = guard.Guard("the status", lines.append)
    for i in range(3):
        with one:
            raise KeyError(f"key {i}\nof two lines")
        with one:
            raise KeyError("elsewhere")
        with one:
            _ = 1 / 0
        with one:
            pass
    assert len(lines) == 3 and not any("\n" in line for line in lines)
    assert "the status failed and continues (KeyError: 'key 0" in lines[0]
    assert "ZeroDivisionError" in lines[2] and "guard_test.py" in lines[2]


def test_a_report_that_fails_does_no_harm():
    def report(line):
        raise BrokenPipeError

    with guard.Guard("the status", report):
        raise KeyError("x")


def test_an_interruption_passes():
    with pytest.raises(KeyboardInterrupt), guard.Guard("the status", print):
        raise KeyboardInterrupt
