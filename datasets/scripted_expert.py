"""A scripted expert that stacks: a state machine on privileged state, with noise.

It approaches the top object from above along the best free side of the object's own
geometry, grasps, checks the grasp, lifts, hovers, places, releases and retreats. When
the object is lost it begins again, from another side where one has failed. A bottom
object that could not carry anything is seen to first: one that leans on the basket's
slope is brought to the floor, one that lies on a face with no level one opposite is
toppled onto another (both take time, so at most twice an episode, early on; after that
it stacks on what there is).

Speeds, heights, aim and yaw differ between episodes, correlated noise is added to every
action, and at times the expert hesitates, closes its fingers too early or drops what it
carries, so that the behaviour is a distribution, as a stochastic agent's is.
"""

from __future__ import annotations

import dm_env
import numpy as np

from datasets import grasping, moving
from datasets.expert_style import Style
from datasets.expert_view import View
from datasets.object_geometry import Placed
from environments import controller, observations, stacking, tasks
from environments.sensors import INWARD_GRASP

PHASES = (
    "approach",
    "descend",
    "grasp",
    "lift",
    "hover",
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
    _HOVER,
    _PLACE,
    _RELEASE,
    _RETREAT,
    _DONE,
    _GO_BEHIND,
    _PUSH,
) = range(len(PHASES))
_CARRYING = (_LIFT, _HOVER, _PLACE)

_OPEN, _CLOSE = -1.0, 1.0
_OPENED = 60.0  # tics that the fingers open before the tool moves away
_READY = 60.0  # tics, of fingers open enough to go down around an object
_EMPTY = 225.0  # tics, of fingers that have closed on nothing
_CHOOSE_EVERY = 20  # steps of an approach, between looks for the best side
_PREPARATIONS = 2  # times that the bottom object is seen to
_LAST_PREPARATION = 170  # control step, after which there is no time for it
_SETTLE_STEPS = 14  # of an object that was toppled
_TURNED = np.cos(0.5)  # of the angle still to go at which a push is enough
_PUSH_LENGTH = 0.085  # m


def pair(task: tasks.Task) -> tuple[str, str]:
    """The task's top and bottom object; ValueError where it is no stack of two."""
    if task.pair is None:
        valid = ", ".join(name for name, t in tasks.TASKS.items() if t.pair)
        raise ValueError(f"the scripted expert only stacks; valid tasks: {valid}")
    return task.pair


class ScriptedExpert:
    """Actions for an `RgbStacking` environment, whose privileged state it reads.

    Attributes:
      PHASES: names of the phases.
      phase: index of the current one; a label for analysis, never a model's input.
    """

    PHASES = PHASES

    def __init__(self, environment: stacking.RgbStacking) -> None:
        """Reads geometry and state from `environment` (unwrapped).

        Raises:
          ValueError: a task that is no stack of two; the message names the valid ones.
        """
        self._environment = environment
        self._view = View(environment)
        self.phase = _APPROACH
        self.reset(0)

    def reset(self, seed: int) -> None:
        """Reads the episode's task and objects, and draws its style."""
        top, bottom = pair(self._environment.task)
        self._top = observations.COLORS.index(top)
        self._bottom = observations.COLORS.index(bottom)
        self._view.read_objects()
        self._rng = np.random.default_rng(seed)
        self._style = Style.draw(self._rng)
        self._disturbance = np.zeros(4)
        self._clock = 0
        self._pause_left = 0
        self._early_close, self._drops = self._style.early_close, self._style.drops
        self._preparations = 0
        self._pushed = False
        self._failed: list[list[np.ndarray]] = [[] for _ in observations.COLORS]
        self._lost = self._felt = 0
        self._closed = 0.0
        self._move = self._stacking()
        self._enter(_APPROACH)

    def step(self, timestep: dm_env.TimeStep) -> np.ndarray:
        """Returns the action, float32 [5] in [-1, 1]; `timestep` itself is not read."""
        del timestep
        self._view.look()
        if self.phase == _APPROACH and not self._planned:
            self._plan()
        self._advance()
        target, yaw, finger = self._command()
        if self._clock in self._style.pauses:
            self._pause_left = self._style.pause_steps
        self._clock += 1
        style = self._style
        velocity = style.gain * (target - self._view.pinch)
        if self._pause_left:
            self._pause_left -= 1
            velocity, yaw = np.zeros(3), 0.0
        speed = np.abs(velocity).max() / controller.MAX_LINEAR_VELOCITY
        # Scaled as a whole, so that the path stays straight.
        linear = (
            velocity / controller.MAX_LINEAR_VELOCITY / max(1.0, speed / style.speed)
        )
        turn = np.clip(style.gain * yaw / controller.MAX_ANGULAR_VELOCITY, -1.0, 1.0)
        # An Ornstein-Uhlenbeck walk; it fades near contact, where it would topple.
        self._disturbance += -0.15 * self._disturbance + np.sqrt(
            0.3
        ) * self._rng.normal(0.0, style.noise, 4)
        quiet = self.phase in (_GRASP, _PLACE, _RELEASE)
        motion = np.append(linear, turn)
        self.intended = np.clip(np.append(motion, finger), -1.0, 1.0, dtype=np.float32)
        motion += self._disturbance * (0.3 if quiet else 1.0)
        return np.clip(np.append(motion, finger), -1.0, 1.0).astype(np.float32)

    # What it sees.

    @property
    def _carried(self) -> Placed:
        return self._move.carried(self._view.placed)

    @property
    def _goal(self) -> np.ndarray:
        return self._move.goal(self._view.placed)

    @property
    def _height(self) -> float:
        return self._move.height(self._view.placed)

    @property
    def _support(self) -> float:
        return self._move.support(self._view.placed)

    def _others(self) -> list[Placed]:
        return self._move.others(self._view.placed)

    def _held(self) -> bool:
        """The object is between the fingers."""
        distance = np.linalg.norm(self._carried.position - self._view.pinch)
        return self._view.grasp == INWARD_GRASP and distance < 0.05

    # What it decides.

    def _stacking(self) -> moving.Move:
        lift, offset = self._style.lift_height, self._style.place_offset
        return moving.onto(self._top, self._bottom, lift, offset)

    def _plan(self) -> None:
        """Chooses what to move: the top object, or first one that cannot carry."""
        self._planned = True
        self._move = self._stacking()
        bottom = self._view.placed[self._bottom]
        if (
            self._preparations >= _PREPARATIONS
            or self._clock > _LAST_PREPARATION
            or bottom.level_top() is not None
        ):
            return
        self._preparations += 1
        # On the floor there is room to push it, too.
        self._move = moving.to_floor(self._bottom, self._view.placed)
        self._topple = grasping.topple(bottom, self._others())
        if self._topple is not None:
            self._enter(_GO_BEHIND)

    def _choose_side(self) -> None:
        closing = self._view.closing
        grasp = grasping.choose(
            self._carried,
            self._others(),
            closing,
            self._view.wrist,
            self._grasp_height(),
            self._failed[self._move.subject],
        )
        turn = grasp.turn + self._style.yaw_offset
        c, s = np.cos(turn), np.sin(turn)
        self._goal_axis = np.array([[c, -s], [s, c]]) @ closing
        # Beside a wide object there is little room for the fingers.
        self._aim_tolerance = float(
            np.clip((grasping.OPENING - grasp.width) / 2, 0.004, 0.012)
        )

    def _yaw_error(self) -> float:
        """Turn [rad] still to make to the side that was chosen."""
        if self._goal_axis is None:
            self._choose_side()
        closing, goal = self._view.closing, self._goal_axis
        return float(
            np.arctan2(closing[0] * goal[1] - closing[1] * goal[0], closing @ goal)
        )

    def _note_failure(self) -> None:
        """The side that it holds, or tried, is a bad one."""
        axis = self._carried.rotation.T @ np.append(self._view.closing, 0.0)
        self._failed[self._move.subject].append(axis)

    # The state machine.

    def _enter(self, phase: int) -> None:
        self.phase = phase
        self._steps = 0
        self._felt = 0
        if phase == _APPROACH:
            self._goal_axis: np.ndarray | None = None
            self._aim_tolerance = 0.0
            self._planned = False

    def _advance(self) -> None:
        self._steps += 1
        if self.phase in _CARRYING and not self._held():
            self._lost += 1
            if self._lost > 3:
                if self._environment.success():
                    self._enter(_RETREAT)
                else:
                    self._note_failure()
                    self._enter(_APPROACH)
            return
        self._lost = 0
        self._TRANSITIONS[self.phase](self, self._steps)

    def _after_approach(self, steps: int) -> None:
        if steps % _CHOOSE_EVERY == 0:
            self._choose_side()
        offset = self._view.pinch - self._carried.position
        aligned = abs(self._yaw_error()) < 0.08
        near = np.linalg.norm(offset[:2]) < max(self._aim_tolerance, 0.006)
        ready = self._view.finger < _READY
        if near and aligned and ready and offset[2] < 0.11:
            self._enter(_DESCEND)

    def _after_descend(self, steps: int) -> None:
        above = self._view.pinch[2] - self._grasp_height()
        offset = np.linalg.norm((self._view.pinch - self._carried.position)[:2])
        if offset > 0.03 or steps > 45:
            if offset <= 0.03:  # it stands on the object, or on another one
                self._note_failure()
            self._enter(_APPROACH)
        elif above < max(0.005, self._early_close):
            self._early_close = 0.0
            self._enter(_GRASP)

    def _after_grasp(self, steps: int) -> None:
        self._felt = self._felt + 1 if self._held() and steps > 1 else 0
        if self._felt > self._style.squeeze_steps:
            self._enter(_LIFT)
        elif steps > 30 or self._view.finger > _EMPTY:
            self._enter(_APPROACH)

    def _after_lift(self, steps: int) -> None:
        del steps
        # Sideways as soon as it is clear of what stands around.
        if self._carried.position[2] > self._height - self._move.lift + 0.012:
            self._enter(_HOVER)

    def _after_hover(self, steps: int) -> None:
        if self._drops and steps > 8 and self._move.bottom is not None:
            self._drops = False
            self._enter(_RELEASE)
            self._closed = self._view.finger
        elif np.linalg.norm(self._carried.position[:2] - self._goal) < 0.008:
            self._enter(_PLACE)

    def _after_place(self, steps: int) -> None:
        gap = self._carried.bottom - self._support
        if gap < self._move.drop or steps > 60:
            self._closed = self._view.finger
            self._enter(_RELEASE)

    def _after_release(self, steps: int) -> None:
        if self._view.finger < self._closed - _OPENED or steps > 20:
            self._enter(_RETREAT)

    def _after_retreat(self, steps: int) -> None:
        height = self._view.pinch[2] - self._carried.position[2]
        if self._move.bottom is None:
            still = steps > _SETTLE_STEPS or not self._pushed
            if (height > 0.035 and still) or steps > 30:
                self._pushed = False
                self._enter(_APPROACH)
        elif height > 0.095 or steps > 50:
            self._enter(_DONE)

    def _after_done(self, steps: int) -> None:
        if steps % 10 == 0 and not self._environment.success():
            self._enter(_APPROACH)

    def _after_go_behind(self, steps: int) -> None:
        away = self._view.pinch - np.append(self._topple.start, self._topple.height)
        if np.linalg.norm(away) < 0.012 or steps > 150:
            self._enter(_PUSH)

    def _after_push(self, steps: int) -> None:
        way = (self._view.pinch[:2] - self._topple.start) @ self._topple.direction
        # Pushed on, it would roll over the face that it is to lie on.
        turned = -self._carried.normals()[self._topple.face, 2] > _TURNED
        if turned or way > _PUSH_LENGTH or steps > 40:
            self._pushed = True
            self._enter(_RETREAT)

    _TRANSITIONS = (
        _after_approach,
        _after_descend,
        _after_grasp,
        _after_lift,
        _after_hover,
        _after_place,
        _after_release,
        _after_retreat,
        _after_done,
        _after_go_behind,
        _after_push,
    )

    # Where it goes.

    def _grasp_height(self) -> float:
        """Height [m] of the tool at the grasp: the object's centre, off the floor."""
        return max(self._carried.position[2], moving.FLOOR + 0.016)

    def _command(self) -> tuple[np.ndarray, float, float]:
        """Target of the tool [3] m, turn [rad] and fingers of the current phase."""
        top = self._carried.position
        style, phase, pinch = self._style, self.phase, self._view.pinch
        aim = top[:2] + style.grasp_offset
        hanging = pinch - top  # how the object hangs in the hand
        if phase == _APPROACH:
            clear = top[2] + style.approach_height
            far = np.linalg.norm((pinch - top)[:2]) > 0.03
            height = max(clear, moving.highest(self._others()) + 0.04) if far else clear
            return np.append(aim, height), self._yaw_error(), _OPEN
        if phase == _DESCEND:
            # Aimed lower than it has to get: a proportional law ends slowly.
            height = max(self._grasp_height() - 0.01, moving.FLOOR + 0.01)
            return np.append(aim, height), self._yaw_error(), _OPEN
        if phase == _GRASP:
            return pinch, 0.0, _CLOSE
        if phase == _LIFT:
            height = self._height + hanging[2] + 0.01
            return np.append(pinch[:2], height), 0.0, _CLOSE
        if phase == _HOVER:
            over = self._goal + hanging[:2]
            return (
                np.append(over, self._height + hanging[2]),
                0.0,
                _CLOSE,
            )
        if phase == _PLACE:
            half = top[2] - self._carried.bottom
            height = self._support + half + hanging[2] - 0.004
            if pinch[2] - height < 0.03:  # slowly onto the last centimetres
                height = max(height, pinch[2] - 0.012)
            return (
                np.append(self._goal + hanging[:2], height),
                0.0,
                _CLOSE,
            )
        if phase == _RELEASE:
            return pinch, 0.0, _OPEN
        if phase == _GO_BEHIND:
            far = np.linalg.norm(pinch[:2] - self._topple.start) > 0.01
            clear = max(moving.highest(self._others()), self._carried.top) + 0.03
            height = clear if far else self._topple.height
            return np.append(self._topple.start, height), 0.0, _CLOSE
        if phase == _PUSH:
            end = self._topple.start + (_PUSH_LENGTH + 0.02) * self._topple.direction
            return np.append(end, self._topple.height), 0.0, _CLOSE
        return np.append(pinch[:2], top[2] + 0.1), 0.0, _OPEN
