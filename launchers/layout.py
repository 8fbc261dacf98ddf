"""How a distributed program is laid out over processes."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class Layout:
    """Which processes there are, beside how many actors."""

    actors_per_process: int = 1  # threads that share the policy's calls

    def __post_init__(self):
        """Raises ValueError, naming the field, for values that cannot be."""
        if self.actors_per_process < 1:
            raise ValueError(
                f"actors_per_process must be at least 1, got {self.actors_per_process}"
            )
