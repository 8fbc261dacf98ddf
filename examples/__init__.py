"""Examples: one screen each, to copy from. `python -m examples.NAME` runs one.

`python scripts/make_tour.py` makes `tour.ipynb` from them.
"""

import launchers  # noqa: F401  Quiets libraries before an example loads them.
