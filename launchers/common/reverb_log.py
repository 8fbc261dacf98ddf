"""Switch for what Reverb's C++ prints on standard error.

Reverb logs through `std::clog`, whatever the severity, and has no setting for it
(`reverb/cc/platform/default/logging.h`): a line or more at every start and checkpoint
of a server. Faults reach Python as exceptions, and fatal ones are printed through
`std::cerr`, which stays.
"""

from __future__ import annotations

import contextlib
import ctypes

_BADBIT = 1  # std::ios_base::badbit: a stream in this state prints nothing
_POINTER = ctypes.sizeof(ctypes.c_void_p)


def show(shown: bool) -> None:
    """Prints Reverb's log, or not; does nothing where C++'s library is another."""
    with contextlib.suppress(OSError, AttributeError, ValueError):
        library = ctypes.CDLL("libstdc++.so.6")
        # Makes the streams, if no library has; later ones leave them as they are.
        library._ZNSt8ios_base4InitC1Ev(ctypes.create_string_buffer(1))
        clog = ctypes.addressof(ctypes.c_char.in_dll(library, "_ZSt4clog"))
        clear = library._ZNSt9basic_iosIcSt11char_traitsIcEE5clearESt12_Ios_Iostate
        clear.argtypes, clear.restype = [ctypes.c_void_p, ctypes.c_int], None
        # Where the state is in the object, the Itanium ABI says before its table of
        # virtual functions: the offset of the virtual base.
        table = ctypes.c_void_p.from_address(clog).value
        assert table is not None
        offset = ctypes.c_ssize_t.from_address(table - 3 * _POINTER).value
        clear(clog + offset, 0 if shown else _BADBIT)
