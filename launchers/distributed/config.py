"""Configuration of a distributed program's processes."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class Layout:
    """Layout of a program over processes, given the number of actors."""

    actors_per_process: int = 1  # threads, which batch policy calls
    num_replay_shards: int = 1  # Reverb servers; actors are spread over them
    num_cachers: int = 0  # between learner and actors; with 0, actors ask the learner

    def __post_init__(self) -> None:
        """Raises ValueError, naming the field, for invalid values."""
        for name, least in (
            ("actors_per_process", 1),
            ("num_replay_shards", 1),
            ("num_cachers", 0),
        ):
            if getattr(self, name) < least:
                raise ValueError(
                    f"{name} must be at least {least}, got {getattr(self, name)}"
                )
