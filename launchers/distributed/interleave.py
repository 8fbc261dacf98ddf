"""Interleaved batches of several replay shards."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator, Sequence
from typing import Any


class InterleavedIterator:
    """Iterator over several iterators in turns; skips those without an item ready.

    Each iterator is read in its own thread, one item ahead, so an unreachable shard
    does not block the others.
    """

    def __init__(self, iterators: Sequence[Iterator[Any]]):
        """Starts the threads that read."""
        self._queues: list[queue.Queue[Any]] = [
            queue.Queue(maxsize=1) for _ in iterators
        ]
        self._ready = threading.Semaphore(0)
        self._turn = 0
        for iterator, waiting in zip(iterators, self._queues, strict=True):
            threading.Thread(
                target=self._read, args=(iterator, waiting), daemon=True
            ).start()

    def _read(self, iterator: Iterator[Any], waiting: queue.Queue) -> None:
        while True:
            try:
                item = next(iterator)
            except BaseException as e:
                waiting.put(e)
                self._ready.release()
                return
            waiting.put(item)
            self._ready.release()

    def __iter__(self) -> InterleavedIterator:
        return self

    def __next__(self) -> Any:
        """Returns the next item; raises an iterator's exception when its turn comes."""
        self._ready.acquire()
        count = len(self._queues)
        for i in range(count):
            index = (self._turn + i) % count
            try:
                item = self._queues[index].get_nowait()
            except queue.Empty:
                continue
            self._turn = index + 1
            if isinstance(item, BaseException):
                raise item
            return item
        raise AssertionError("an item was announced that is not there")
