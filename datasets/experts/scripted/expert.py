"""Scripted expert that stacks, and whose decisions depend on the state alone.

It has no memory: no counters, no pauses, no plans. A policy that sees the state can
therefore imitate it, unlike a state machine. The world serves as memory: fingers that
have started to close, an object held in the hand, a tool that is low beside an object.
Commands are velocity fields with few discontinuities.
"""

from __future__ import annotations

from typing import ClassVar

import dm_env
import numpy as np

from datasets.experts.scripted import grasping, placing
from datasets.experts.scripted.exploration_noise import ExplorationNoise
from datasets.experts.scripted.privileged_state import PrivilegedState
from environments import controller, observations, stacking, tasks
from environments.sensors import INWARD_GRASP, OUTWARD_GRASP

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
) = range(len(PHASES))

_OPEN, _CLOSE = -1.0, 1.0
_GAIN = 4.5  # 1/s, of position and yaw errors
_RISE = 0.02  # m below its target height at which the tool stops moving sideways

# Fingers, in tics.
_CLOSING = 8.0  # above: they have started to close
_READY = 60.0  # below: they are open enough to go down around an object
_EMPTY = 225.0  # above: they have closed on nothing

# Grasping.
_APPROACH_HEIGHT = 0.055  # m above the grasp
_SLOPE = 4.0  # of the funnel: height per distance
_RELATIVE_TURN = 0.1  # m of distance equivalent to a radian of yaw error
_ALIGNED = 0.15  # rad, largest yaw error of an aligned tool
_TURN_COST = (0.3, 5.3)  # of a change of side: high above the object, beside it

# Stacking.
_LIFT_HEIGHT = 0.04  # m of the object above its target, on the way
_CENTRED = 0.011  # m from the goal, within which the object may be released
_ASKEW = 0.01  # m above its support, within which a tilted object may rest on it
_STALLED = 0.006  # m/s, below which an object no longer sinks
_RESTING = 0.025  # m from the goal, within which an object counts as stacked
_RETREAT_HEIGHT = 0.1  # m of the tool above the stacked object

# Velocity [3] in m/s, turn in rad/s, fingers, phase.
Command = tuple[np.ndarray, float, float, int]


def pair(task: tasks.Task) -> tuple[str, str]:
    """Returns a task's top and bottom object; ValueError if it is no stack of two."""
    if task.pair is None:
        valid = ", ".join(name for name, t in tasks.TASKS.items() if t.pair or t.trio)
        raise ValueError(f"the scripted expert only stacks; valid tasks: {valid}")
    return task.pair


class ScriptedExpert:
    """Expert for an `RgbStacking` environment, whose privileged state it reads.

    Attributes:
      PHASES: names of the phases.
      phase: index of the current one; a label for analysis, never a model's input.
      intended: the last action without exploration noise, float32 [5].
    """

    PHASES: ClassVar[tuple[str, ...]] = PHASES

    def __init__(self, environment: stacking.RgbStacking) -> None:
        """Reads geometry and state from `environment` (unwrapped).

        Raises:
          ValueError: the task is no stack of two; the message names the valid ones.
        """
        self._environment = environment
        self._view = PrivilegedState(environment)
        self.phase = _APPROACH
        self.intended = np.zeros(5, np.float32)
        self.reset(0)

    def reset(self, seed: int) -> None:
        """Reads the episode's task and objects; the noise draws from `seed`."""
        self._read_task()
        self._view.read_objects()
        self._noise = ExplorationNoise(seed)

    def _read_task(self) -> None:
        top, bottom = pair(self._environment.task)
        self._top = observations.COLORS.index(top)
        self._bottom = observations.COLORS.index(bottom)

    def step(self, timestep: dm_env.TimeStep) -> np.ndarray:
        """Returns the action, float32 [5] in [-1, 1]; does not read `timestep`."""
        del timestep
        self._view.look()
        velocity, turn, finger, self.phase = self._decide()
        linear = velocity / controller.MAX_LINEAR_VELOCITY
        linear /= max(1.0, float(np.abs(linear).max()))  # keeps the path straight
        turn = np.clip(turn / controller.MAX_ANGULAR_VELOCITY, -1.0, 1.0)
        self.intended = np.array([*linear, turn, finger], np.float32)
        return self._noise(self.intended)

    # Reading of the state.

    def _held(self, index: int) -> bool:
        """Returns whether the object is between fingers that press on it."""
        view = self._view
        near = np.linalg.norm(view.placed[index].position - view.pinch) < 0.05
        return bool(view.grasp == INWARD_GRASP and near)

    def _is_stacked(self) -> bool:
        """Returns whether the top object rests on the bottom one, by their places."""
        placed = self._view.placed
        top, bottom = placed[self._top], placed[self._bottom]
        away = np.linalg.norm(top.position[:2] - self._stacking().goal(placed))
        above = top.position[2] - bottom.position[2] > 0.03
        # An object that is being released may still cling to a finger.
        gap = 0.012 if self._view.grasp == OUTWARD_GRASP else 0.006
        return bool(away < _RESTING and above and top.bottom - bottom.top < gap)

    def _stacking(self) -> placing.PlacementGoal:
        return placing.onto(self._top, self._bottom, _LIFT_HEIGHT)

    # Decisions.

    def _decide(self) -> Command:
        if self._held(self._top):
            return self._carry(self._stacking())
        if self._is_stacked():
            return self._leave()
        return self._fetch(self._stacking())

    def _fetch(self, move: placing.PlacementGoal) -> Command:
        """Goes down around an object through a funnel, and closes the fingers."""
        view = self._view
        subject, others = move.carried(view.placed), move.others(view.placed)
        height = max(subject.position[2], placing.FLOOR + 0.016)
        away = subject.position[:2] - view.pinch[:2]
        distance = float(np.linalg.norm(away))
        above = view.pinch[2] - height
        low = np.clip(1.0 - above / _APPROACH_HEIGHT, 0.0, 1.0)
        grasp = grasping.choose(
            subject, others, view.closing, view.wrist, height, _between(_TURN_COST, low)
        )
        # A wide object leaves the fingers little room.
        tolerance = np.clip((grasping.OPENING - grasp.width) / 2, 0.004, 0.012)
        aligned = distance < tolerance + 0.006 and abs(grasp.turn) < _ALIGNED
        closing = _CLOSING < view.finger < _EMPTY and distance < 0.025
        if (aligned and above < 0.009) or (closing and above < 0.02):
            down = np.array([0.0, 0.0, -_GAIN * max(0.0, above)])
            return down, 0.0, _CLOSE, _GRASP
        error = max(0.0, distance - tolerance)
        error += _RELATIVE_TURN * max(0.0, abs(grasp.turn) - 0.06)
        error += max(0.0, view.finger - _READY) / 1000.0
        wanted = min(_APPROACH_HEIGHT, _SLOPE * error)
        if distance > 0.04:  # clears the objects around
            wanted = max(wanted, placing.highest(others) + 0.04 - height)
        if wanted < 0.01:  # below the goal, because proportional control ends slowly
            wanted = max(-0.01, placing.FLOOR + 0.01 - height)
        level = self._level(wanted - above)
        velocity = _GAIN * np.append(level * away, wanted - above)
        phase = _DESCEND if wanted < 0.03 else _APPROACH
        return velocity, _GAIN * level * grasp.turn, _OPEN, phase

    def _carry(self, move: placing.PlacementGoal) -> Command:
        """Carries the held object over the goal, lowers it and releases it."""
        placed = self._view.placed
        carried, support = move.carried(placed), move.support(placed)
        away = move.goal(placed) - carried.position[:2]
        distance = float(np.linalg.norm(away))
        gap = carried.bottom - support
        # A tilted object may rest on something and sink no further.
        stalled = gap < _ASKEW and abs(self._view.climbing[move.subject]) < _STALLED
        if distance < _CENTRED and (gap < move.drop or stalled):
            return np.zeros(3), 0.0, _OPEN, _RELEASE
        half = carried.position[2] - carried.bottom
        # It may be low over the goal; farther away it must clear other objects.
        far = float(np.clip((distance - 0.006) / 0.02, 0.0, 1.0))
        clear = move.height(placed) - half - support
        if distance < 0.04:
            clear = min(clear, move.lift)
        wanted = _between((-0.004, clear), far)
        climb = _GAIN * (wanted - gap)
        if gap < 0.035:  # slow over the last centimetres
            climb = max(climb, -_GAIN * 0.012)
        level = self._level(wanted - gap)
        lifting = level < 0.5 or carried.bottom - placing.FLOOR < 0.01
        phase = _LIFT if lifting else _CARRY if far > 0.3 else _PLACE
        return np.append(level * _GAIN * away, climb), 0.0, _CLOSE, phase

    def _leave(self) -> Command:
        """Opens the fingers around the stacked object, rises, and stays above it."""
        view = self._view
        if (release := self._let_go(self._top)) is not None:
            return release
        offset = view.pinch - view.placed[self._top].position
        rise = _RETREAT_HEIGHT - offset[2]
        phase = _RETREAT if rise > 0.012 else _DONE
        level = self._level(rise)  # straight up, then over the object
        return _GAIN * np.append(-level * offset[:2], rise), 0.0, _OPEN, phase

    def _let_go(self, index: int) -> Command | None:
        """Opens the fingers where they are around an object; None: they are not."""
        view = self._view
        subject = view.placed[index]
        offset = view.pinch - subject.position
        across = subject.cloud[:, :2] @ view.closing
        width = min(float(across.max() - across.min()), 0.065)
        opening = grasping.OPENING * (1.0 - view.finger / 230.0)
        around = np.linalg.norm(offset[:2]) < 0.06 and offset[2] < 0.06
        if around and opening < width + 0.012:
            return np.zeros(3), 0.0, _OPEN, _RELEASE
        return None

    @staticmethod
    def _level(climb: float) -> float:
        """Returns the share of sideways speed of a tool that must climb `climb` [m]."""
        return float(np.clip(1.0 - (climb - _RISE / 2) / _RISE, 0.0, 1.0))


def _between(ends: tuple[float, float], share: float) -> float:
    """Interpolates from the first end, at a share of 0, to the second, at 1."""
    return ends[0] + (ends[1] - ends[0]) * share
