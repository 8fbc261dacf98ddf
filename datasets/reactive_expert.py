"""A scripted expert that stacks, and whose every decision follows from the state.

It has no memory: no counters, no pauses, no plans, so that a policy that sees the same
state can imitate it. What would be a memory is in the world: fingers that have begun to
close, an object that hangs in the hand, a tool that is low beside an object. Each
command is a velocity field with few edges; noise is added to what is executed and not
to what is recorded as intended (DART, https://arxiv.org/abs/1703.09327), so that data
show how to come back from the states around the path.
"""

from __future__ import annotations

import dataclasses

import dm_env
import numpy as np

from datasets import grasping, moving
from datasets.expert_view import View
from datasets.object_geometry import Placed
from environments import controller, observations, stacking, tasks
from environments.sensors import INWARD_GRASP

PHASES = (
    "approach",
    "descend",
    "grasp",
    "lift",
    "carry",
    "place",
    "release",
    "retreat",
    "done",
    "go_behind",
    "push",
)
(
    _APPROACH,
    _DESCEND,
    _GRASP,
    _LIFT,
    _CARRY,
    _PLACE,
    _RELEASE,
    _RETREAT,
    _DONE,
    _GO_BEHIND,
    _PUSH,
) = range(len(PHASES))

_OPEN, _CLOSE = -1.0, 1.0
_GAIN = 4.5  # 1/s, of position errors
_READY = 60.0  # tics, of fingers open enough to go down around an object
_EMPTY = 225.0  # tics, of fingers that have closed on nothing
_APPROACH_HEIGHT = 0.055  # m above the grasp
_LIFT_HEIGHT = 0.04  # m of the object above its target
_RETREAT_HEIGHT = 0.1  # m of the tool above the stacked object
_STACK_DROP = 0.002  # m


@dataclasses.dataclass(frozen=True)
class Command:
    """What the expert intends: velocity [3] m/s, turn [rad/s], fingers, phase."""

    velocity: np.ndarray
    turn: float
    finger: float
    phase: int


class Noise:
    """Ornstein-Uhlenbeck walks on the motion, and bursts of a constant push.

    Nothing of it is in the intended action.
    """

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng
        self._scale = rng.uniform(0.05, 0.3)
        self._walk = np.zeros(4)
        self._burst = np.zeros(4)
        self._left = 0
        self._flip_left = 0

    def apply(self, intended: np.ndarray) -> np.ndarray:
        """Returns what is executed, [5] in [-1, 1]."""
        rng = self._rng
        self._walk += -0.15 * self._walk + np.sqrt(0.3) * rng.normal(
            0.0, self._scale, 4
        )
        if self._left:
            self._left -= 1
        elif rng.random() < 0.006:
            self._left = int(rng.integers(4, 12))
            self._burst = rng.uniform(-1.0, 1.0, 4)
        executed = intended.copy()
        executed[:4] += self._walk
        if self._left:
            executed[:4] += self._burst
        if self._flip_left:
            self._flip_left -= 1
            executed[4] = -executed[4]
        elif rng.random() < 0.003:
            self._flip_left = int(rng.integers(1, 8))
        return np.clip(executed, -1.0, 1.0).astype(np.float32)


class ReactiveExpert:
    """Actions for an `RgbStacking` environment, whose privileged state it reads.

    Attributes:
      PHASES: names of the phases.
      phase: index of the current one; a label for analysis, never a model's input.
      intended: the last action without noise, float32 [5].
    """

    PHASES = PHASES

    def __init__(self, environment: stacking.RgbStacking) -> None:
        """Reads geometry and state from `environment` (unwrapped)."""
        self._environment = environment
        self._view = View(environment)
        self.phase = _APPROACH
        self.intended = np.zeros(5, np.float32)
        self.reset(0)

    def reset(self, seed: int) -> None:
        """Reads the episode's task and objects; seeds the noise."""
        top, bottom = self._environment.task.pair
        self._top = observations.COLORS.index(top)
        self._bottom = observations.COLORS.index(bottom)
        self._view.read_objects()
        self._noise = Noise(np.random.default_rng(seed))

    def step(self, timestep: dm_env.TimeStep) -> np.ndarray:
        """Returns the action, float32 [5] in [-1, 1]; `timestep` itself is not read."""
        del timestep
        self._view.look()
        command = self._command()
        self.phase = command.phase
        linear = command.velocity / controller.MAX_LINEAR_VELOCITY
        linear = linear / max(1.0, float(np.abs(linear).max()))
        turn = np.clip(command.turn / controller.MAX_ANGULAR_VELOCITY, -1.0, 1.0)
        self.intended = np.array([*linear, turn, command.finger], np.float32)
        return self._noise.apply(self.intended)

    # What it sees.

    def _held(self, index: int) -> bool:
        placed = self._view.placed[index]
        distance = np.linalg.norm(placed.position - self._view.pinch)
        return self._view.grasp == INWARD_GRASP and distance < 0.05

    def _is_on(self) -> bool:
        """The top object is on the bottom one, as far as their places tell."""
        placed = self._view.placed
        top, bottom = placed[self._top], placed[self._bottom]
        goal = moving.onto(self._top, self._bottom, 0.0, np.zeros(2)).goal(placed)
        near = np.linalg.norm(top.position[:2] - goal) < 0.025
        above = top.position[2] - bottom.position[2] > 0.03
        return bool(near and above and top.bottom - bottom.top < 0.006)

    # What it decides.

    def _command(self) -> Command:
        top = self._view.placed[self._top]
        move = moving.onto(self._top, self._bottom, _LIFT_HEIGHT, np.zeros(2))
        if self._held(self._top):
            return self._carry(move)
        if self._is_on():
            return self._leave(top)
        return self._fetch(move)

    def _opening(self) -> float:
        """m between the fingertips."""
        return grasping.OPENING * max(0.0, 1.0 - self._view.finger / 230.0)

    def _leave(self, top: Placed) -> Command:
        outline = top.outline() @ self._view.closing
        width = min(float(outline.max() - outline.min()), 0.065)
        pinch = self._view.pinch
        height = pinch[2] - top.position[2]
        beside = np.linalg.norm((pinch - top.position)[:2]) < 0.06 and height < 0.06
        if beside and self._opening() < width + 0.012:
            return Command(np.zeros(3), 0.0, _OPEN, _RELEASE)
        rise = _RETREAT_HEIGHT - height
        phase = _RETREAT if rise > 0.012 else _DONE
        return Command(np.array([0.0, 0.0, _GAIN * rise]), 0.0, _OPEN, phase)

    def _carry(self, move: moving.Move) -> Command:
        view = self._view
        carried = move.carried(view.placed)
        goal, support = move.goal(view.placed), move.support(view.placed)
        away = goal - carried.position[:2]
        distance = float(np.linalg.norm(away))
        gap = carried.bottom - support
        if distance < 0.011 and gap < move.drop:
            return Command(np.zeros(3), 0.0, _OPEN, _RELEASE)
        half = carried.position[2] - carried.bottom
        # Over the goal it may be low, farther off it has to clear what stands around.
        around = move.height(view.placed) - half - support  # gap on the way
        near = np.clip((distance - 0.006) / 0.02, 0.0, 1.0)
        wanted = near * around + (1.0 - near) * -0.004
        if distance < 0.04:
            wanted = min(wanted, near * move.lift)
        error = wanted - gap
        climb = _GAIN * error
        if error < 0.0 and gap < 0.035:  # slowly onto the last centimetres
            climb = max(climb, -_GAIN * 0.012)
        level = np.clip(1.0 - (error - 0.004) / 0.02, 0.0, 1.0)
        speed = level * _GAIN * away
        low = carried.bottom - moving.FLOOR < 0.01
        phase = _LIFT if level < 0.5 or low else _CARRY if near > 0.3 else _PLACE
        return Command(np.append(speed, climb), 0.0, _CLOSE, phase)

    def _fetch(self, move: moving.Move) -> Command:
        view = self._view
        pinch = view.pinch
        subject, others = move.carried(view.placed), move.others(view.placed)
        height = max(subject.position[2], moving.FLOOR + 0.016)
        away = subject.position[:2] - pinch[:2]
        distance = float(np.linalg.norm(away))
        above = pinch[2] - height
        grasp = grasping.choose(
            subject,
            others,
            view.closing,
            view.wrist,
            height,
            (),
        )
        yaw = grasp.turn
        tolerance = float(np.clip((grasping.OPENING - grasp.width) / 2, 0.004, 0.012))
        closing = _READY < view.finger < _EMPTY
        there = distance < tolerance + 0.004 and abs(yaw) < 0.15 and above < 0.006
        if there or (closing and distance < 0.025 and above < 0.012):
            return Command(np.zeros(3), 0.0, _CLOSE, _GRASP)
        # A funnel: the farther off, the higher.
        off = max(0.0, distance - tolerance) + 0.1 * max(0.0, abs(yaw) - 0.06)
        unready = max(0.0, view.finger - _READY) / 1000.0
        wanted = min(_APPROACH_HEIGHT, 4.0 * (off + unready))
        if distance > 0.04:
            wanted = max(wanted, moving.highest(others) + 0.04 - height)
        if wanted < 0.01:
            wanted = -0.01 if subject.position[2] - 0.01 > moving.FLOOR + 0.01 else 0.0
        error = wanted - above
        level = np.clip(1.0 - (error - 0.01) / 0.02, 0.0, 1.0)
        phase = _DESCEND if wanted < 0.03 else _APPROACH
        return Command(
            np.append(level * _GAIN * away, _GAIN * error),
            _GAIN * level * yaw,
            _OPEN,
            phase,
        )
