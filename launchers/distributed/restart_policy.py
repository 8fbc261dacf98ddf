"""Rules for when a lost node is restarted and when its loss ends the program."""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Mapping

from launchers.common import backoff


class Failed(RuntimeError):
    """Raised when a node fails for good; the message is one line that names it."""


@dataclasses.dataclass(frozen=True)
class RestartPolicy:
    """Limits of restarts; all in seconds but the first."""

    limit: int = 10  # restarts of one node within the window
    window: float = 600.0
    first_delay: float = 1.0  # doubles with every restart in the window
    longest_delay: float = 30.0
    settled: float = 20.0  # a node that has run this long is not broken from the start
    aftermath: float = 60.0  # an exception this soon after a loss counts as its result


@dataclasses.dataclass(frozen=True)
class Loss:
    """Record of a lost node."""

    name: str
    reason: str  # how it died, or its exception's line
    worked: float  # seconds from its start to its end
    dispensable: bool  # whether the program can go on for a while without the node
    peers: Mapping[str, float]  # other running nodes of its group -> seconds of running


class Restarts:
    """Decisions on restarts of lost nodes, from their last losses.

    - A process that died (killed, out of memory) is restarted, within the limit; for
      one that had run for `settled` seconds the count starts anew.
    - An exception ends the program, because a restart would repeat it, with two
      exceptions: another node was lost shortly before, whose clients may fail; or the
      node is of a dispensable group and had run for `settled` seconds.
    - No loss of a node of a dispensable group ends the program while another node of
      the group has run for `settled` seconds and is within the limit itself.
    - The loss of a host counts for none of its nodes; they wait for a host.
    """

    def __init__(self, policy: RestartPolicy | None = None):
        self._policy = policy or RestartPolicy()
        self._times: dict[str, collections.deque[float]] = collections.defaultdict(
            collections.deque
        )
        self._losses: dict[str, float] = {}  # node -> time of its last loss

    def after_death(self, loss: Loss, now: float) -> float:
        """Returns the seconds to wait before a restart; `now` is any clock's time [s].

        Raises:
          Failed: the node was restarted too often.
        """
        if loss.worked >= self._policy.settled:
            self._times[loss.name].clear()
        return self._count(loss, now)

    def _recent(self, name: str, now: float) -> collections.deque[float]:
        times = self._times[name]
        while times and now - times[0] > self._policy.window:
            times.popleft()
        return times

    def _spared(self, loss: Loss, now: float) -> bool:
        return loss.dispensable and any(
            worked >= self._policy.settled
            and len(self._recent(peer, now)) < self._policy.limit
            for peer, worked in loss.peers.items()
        )

    def _count(self, loss: Loss, now: float) -> float:
        policy, times = self._policy, self._recent(loss.name, now)
        self._losses[loss.name] = now
        if len(times) >= policy.limit and not self._spared(loss, now):
            raise Failed(
                f"{loss.name} failed {len(times) + 1} times within "
                f"{policy.window / 60:g} min, the last time: {loss.reason}"
            )
        times.append(now)
        return backoff.seconds(len(times), policy.first_delay, policy.longest_delay)

    def after_exception(self, loss: Loss, now: float) -> float:
        """Returns the seconds to wait before a restart; `now` is any clock's time [s].

        Raises:
          Failed: the exception ends the program.
        """
        aftermath = any(
            now - lost <= self._policy.aftermath
            for other, lost in self._losses.items()
            if other != loss.name
        )
        sound = loss.dispensable and loss.worked >= self._policy.settled
        if not (aftermath or sound or self._spared(loss, now)):
            raise Failed(f"{loss.name}: {loss.reason}")
        delay = self._count(loss, now)
        # This exception results from a loss, so it excuses no further one.
        del self._losses[loss.name]
        return delay

    def after_host_lost(self, name: str, now: float) -> float:
        """Returns the seconds to wait before a new place for the node is requested."""
        self._losses[name] = now
        return self._policy.first_delay
