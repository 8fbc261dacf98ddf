"""Assignment of episodes to files: all episodes, or the first that succeed.

Episodes arrive in any order. The content of a file depends on the settings alone.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence

from datasets.rlds import schema

PATIENCE = 100  # episodes without any success after which collection ends

Shard = tuple[int, list[bytes]]  # number and records of a file


def fits(
    settings: schema.Settings, shard: int, indices: Sequence[int], after: int
) -> bool:
    """Returns whether a file may hold the episodes of these indices.

    Args:
      settings: settings of the data set.
      shard: number of the file.
      indices: indices of its episodes, in order.
      after: last index in the files before it; -1 if there are none.
    """
    expected = settings.shard_episodes(shard)
    if settings.keep == "all":
        return list(indices) == list(expected)
    rising = all(a < b for a, b in itertools.pairwise([after, *indices]))
    return len(indices) == len(expected) and rising


def make(
    settings: schema.Settings,
    written: Mapping[int, Sequence[int]],
    begun: Mapping[int, bytes] | None = None,
) -> KeepAll | FirstSuccesses:
    """Makes the assignment of the missing episodes to files.

    Args:
      settings: settings of the data set.
      written: number of each existing file -> indices of its episodes.
      begun: index -> record of the first episodes, in order, of a file that an
        extension makes longer; left out if that file exists.

    Raises:
      ValueError: a missing file cannot be collected because later files exist.
    """
    kind = KeepAll if settings.keep == "all" else FirstSuccesses
    return kind(settings, written, begun or {})


class KeepAll:
    """Assignment that keeps all episodes, each in the file of its index."""

    def __init__(
        self,
        settings: schema.Settings,
        written: Mapping[int, Sequence[int]],
        begun: Mapping[int, bytes],
    ) -> None:
        self._settings = settings
        missing = [s for s in range(settings.num_shards) if s not in written]
        self._shards: dict[int, dict[int, bytes]] = {shard: {} for shard in missing}
        for index, record in begun.items():
            shard = index // settings.episodes_per_shard
            if shard in self._shards:
                self._shards[shard][index] = record
        self.num_begun = sum(map(len, self._shards.values()))
        self.tried = sum(map(len, written.values())) + self.num_begun

    def indices(self) -> Iterable[int]:
        """Returns the indices of the episodes to run, in order."""
        return [
            index
            for shard, records in self._shards.items()
            for index in self._settings.shard_episodes(shard)
            if index not in records
        ]

    def add(self, index: int, record: bytes | None) -> Iterator[Shard]:
        """Adds an episode and yields the file that it completes, if any."""
        assert record is not None
        self.tried += 1
        shard = index // self._settings.episodes_per_shard
        records = self._shards[shard]
        records[index] = record
        if len(records) == len(self._settings.shard_episodes(shard)):
            del self._shards[shard]
            yield shard, [records[i] for i in sorted(records)]

    @property
    def complete(self) -> bool:
        """Whether every file was yielded."""
        return not self._shards


class FirstSuccesses:
    """Assignment that keeps the first successful episodes, in the order of indices.

    An episode counts once all before it are known. So files are filled one after the
    other, and a run resumes after the last episode of the last file.
    """

    def __init__(
        self,
        settings: schema.Settings,
        written: Mapping[int, Sequence[int]],
        begun: Mapping[int, bytes],
    ) -> None:
        self._settings = settings
        self._shard = len(written)  # number of the file being filled
        for shard in range(self._shard):
            if shard not in written:
                raise ValueError(
                    f"file {shard} is missing before others that are there: delete "
                    "those after it too and collect again"
                )
        self._next = written[self._shard - 1][-1] + 1 if written else 0
        self._records: list[bytes] = []
        if begun and max(begun) >= self._next:
            self._records, self._next = list(begun.values()), max(begun) + 1
        self.num_begun = len(self._records)
        self._waiting: dict[int, bytes | None] = {}
        self.tried = self._next

    def indices(self) -> Iterable[int]:
        """Returns the indices of the episodes to run, in order, without end."""
        return itertools.count(self._next)

    def add(self, index: int, record: bytes | None) -> Iterator[Shard]:
        """Adds an episode, None if it failed, and yields the files that are complete.

        Raises:
          ValueError: none of the first `PATIENCE` episodes succeeded.
        """
        self.tried += 1
        self._waiting[index] = record
        while self._next in self._waiting and not self.complete:
            record = self._waiting.pop(self._next)
            self._next += 1
            if record is not None:
                self._records.append(record)
                if len(self._records) == len(
                    self._settings.shard_episodes(self._shard)
                ):
                    full = self._shard, self._records
                    self._shard, self._records = self._shard + 1, []
                    yield full
            elif self._next >= PATIENCE and not self._shard and not self._records:
                raise ValueError(
                    f"none of the first {PATIENCE} episodes succeeded with the expert "
                    f"{self._settings.expert}; valid: another one, or to keep all"
                )

    @property
    def complete(self) -> bool:
        """Whether every file was yielded."""
        return self._shard == self._settings.num_shards
