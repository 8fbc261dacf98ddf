"""A scripted expert that stacks: a state machine on privileged state, with noise.

It approaches the top object from above along the narrowest free side of the object's
own geometry, grasps, checks the grasp, lifts, hovers, places, releases and retreats;
when the object is lost it begins again. Speeds, heights, aim and yaw differ between
episodes and correlated noise is added to every action, so that the behaviour is a
distribution, as a stochastic agent's is. A bottom object that leans on the basket's
slope would not carry anything: it is first brought to the middle of the floor.
"""

from __future__ import annotations

import dataclasses

import dm_env
import numpy as np
from scipy import spatial

from environments import controller, observations, stacking, tasks
from environments import scene as scene_lib
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
)
_APPROACH, _DESCEND, _GRASP, _LIFT, _HOVER, _PLACE, _RELEASE, _RETREAT, _DONE = range(9)

_OPENING = 0.08  # m between the fingertips, a little less than fully open
_FINGER_THICKNESS = 0.022  # m along the closing axis
_FINGER_HALF_WIDTH = 0.014  # m across it
_FLOOR = 0.0485  # m, the basket's
_FLOOR_HALF = 0.05  # m around the basket's centre, where objects are put down
_LEANING = 0.085  # rad between the vertical and the bottom's upmost face
_OPEN, _CLOSE = -1.0, 1.0
_WRIST_MARGIN = 0.08  # rad kept from the wrist's limits


@dataclasses.dataclass
class _Style:
    """What differs between episodes."""

    gain: float  # 1/s, of position errors
    speed: float  # share of full speed
    approach_height: float  # m above the object
    lift_height: float  # m of the object above its target
    grasp_offset: np.ndarray  # [2] m, error of the aim when grasping
    place_offset: np.ndarray  # [2] m, error of the aim when placing
    yaw_offset: float  # rad
    noise: float  # standard deviation of the correlated action noise
    squeeze_steps: int  # steps of closing after the grasp is felt


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
        self.phase = _APPROACH
        self.reset(0)

    def reset(self, seed: int) -> None:
        """Reads the episode's task and objects, and draws its style."""
        top, bottom = pair(self._environment.task)
        self._top = observations.COLORS.index(top)
        self._bottom = observations.COLORS.index(bottom)
        self._vertices = [self._mesh(i) for i in range(len(observations.COLORS))]
        self._normals = [self._faces(v) for v in self._vertices]
        self._rng = rng = np.random.default_rng(seed)
        self._style = _Style(
            gain=rng.uniform(3.0, 5.0),
            speed=rng.uniform(0.8, 1.0),
            approach_height=rng.uniform(0.05, 0.08),
            lift_height=rng.uniform(0.035, 0.065),
            grasp_offset=rng.normal(0.0, 0.002, 2),
            place_offset=rng.normal(0.0, 0.002, 2),
            yaw_offset=rng.normal(0.0, 0.04),
            noise=rng.uniform(0.02, 0.1),
            squeeze_steps=int(rng.integers(2, 6)),
        )
        self._disturbance = np.zeros(4)
        self._subject = self._top
        self._planned = False
        self._moves_left = 1
        self._lost = self._felt = 0
        self._closed = 0.0
        self._enter(_APPROACH)

    def step(self, timestep: dm_env.TimeStep) -> np.ndarray:
        """Returns the action, float32 [5] in [-1, 1]; `timestep` itself is not read."""
        del timestep
        self._look()
        if self.phase == _APPROACH and not self._planned:
            self._plan()
        self._advance()
        target, yaw, finger = self._command()
        style = self._style
        velocity = style.gain * (target - self._pinch)
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
        motion = np.append(linear, turn) + self._disturbance * (0.3 if quiet else 1.0)
        return np.clip(np.append(motion, finger), -1.0, 1.0).astype(np.float32)

    # What it sees.

    def _mesh(self, index: int) -> np.ndarray:
        """Vertices of an object's collision mesh in the object's frame, [N, 3] m."""
        model, _ = self._environment.physics
        geom = self._environment.scene.object_geom[index]
        mesh = model.geom_dataid[geom]
        start = model.mesh_vertadr[mesh]
        vertices = model.mesh_vert[start : start + model.mesh_vertnum[mesh]]
        rotation = spatial.transform.Rotation.from_quat(
            np.roll(model.geom_quat[geom], -1)
        )
        return rotation.apply(vertices) + model.geom_pos[geom]

    @staticmethod
    def _faces(vertices: np.ndarray) -> np.ndarray:
        """Outward unit normals of a convex mesh's faces, [M, 3]."""
        return spatial.ConvexHull(vertices).equations[:, :3]

    def _plan(self) -> None:
        """Chooses what to carry: the top object, or a leaning bottom one first."""
        self._planned = True
        self._subject = self._top
        if self._moves_left and self._leaning():
            self._moves_left -= 1
            self._subject = self._bottom
            self._spot = self._free_spot()

    def _leaning(self) -> bool:
        """The bottom object has no level face to carry another one."""
        normals = self._rotation[self._bottom].apply(self._normals[self._bottom])
        return normals[:, 2].max() < np.cos(_LEANING)

    def _free_spot(self) -> np.ndarray:
        """Where on the floor to put the bottom object, [2] m: far from the others."""
        grid = np.linspace(-_FLOOR_HALF, _FLOOR_HALF, 5)
        spots = np.stack(np.meshgrid(grid, grid), -1).reshape(-1, 2)
        spots += scene_lib.BASKET_CENTRE
        others = [p[:2] for i, p in enumerate(self._position) if i != self._bottom]
        room = np.min([np.linalg.norm(spots - o, axis=1) for o in others], axis=0)
        return spots[int(np.argmax(np.minimum(room, 0.09) - 0.1 * self._away(spots)))]

    def _away(self, spots: np.ndarray) -> np.ndarray:
        return np.linalg.norm(spots - scene_lib.BASKET_CENTRE, axis=1)

    def _look(self) -> None:
        _, data = self._environment.physics
        scene = self._environment.scene
        self._pinch = data.site_xpos[scene.pinch_site].copy()
        self._axes = data.site_xmat[scene.pinch_site].reshape(3, 3).copy()
        self._wrist = float(data.qpos[6])
        state = self._environment.state()
        self._finger, self._grasp = state.finger, state.grasp
        poses = [data.qpos[a : a + 7] for a in scene.object_qpos]
        self._position = [p[:3].copy() for p in poses]
        self._rotation = [
            spatial.transform.Rotation.from_quat(np.roll(p[3:], -1)) for p in poses
        ]
        self._cloud = [
            r.apply(v) + p
            for r, v, p in zip(
                self._rotation, self._vertices, self._position, strict=True
            )
        ]

    def _grasp_yaw(self) -> float:
        """The turn [rad] about z to the best side to grasp the object.

        Sides are the edges of the object's outline from above. One is better that is
        narrow, has room for the fingers beside it, and needs little turning.
        """
        points = self._cloud[self._subject][:, :2]
        outline = points[spatial.ConvexHull(points).vertices]
        edges = np.roll(outline, -1, axis=0) - outline
        lengths = np.linalg.norm(edges, axis=1)
        closing = self._axes[:2, 1]
        now = np.arctan2(closing[1], closing[0])
        others = np.concatenate(
            [c for i, c in enumerate(self._cloud) if i != self._subject]
        )
        best, best_cost = 0.0, np.inf
        for edge, length in zip(edges, lengths, strict=True):
            if length < 0.008:
                continue
            normal = np.array([-edge[1], edge[0]]) / length
            spread = outline @ normal
            width = spread.max() - spread.min()
            for flip in (0.0, np.pi):
                turn = np.arctan2(normal[1], normal[0]) + flip - now
                turn = (turn + np.pi) % (2 * np.pi) - np.pi
                # Turning the tool by an angle turns the wrist by minus that.
                wrist = self._wrist - turn
                low, high = controller.WRIST_RANGE
                excess = max(low + _WRIST_MARGIN - wrist, wrist - high + _WRIST_MARGIN)
                cost = 0.3 * abs(turn) + 20.0 * max(0.0, width - 0.05)
                cost += 100.0 * max(0.0, excess) + 1000.0 * max(0.0, width - _OPENING)
                cost += 0.3 * self._blocked(others, normal, width)
                if cost < best_cost:
                    best, best_cost = turn, cost
        return best

    def _blocked(self, others: np.ndarray, normal: np.ndarray, width: float) -> float:
        """How deep other objects reach [cm] into where the fingers will stand."""
        relative = others[:, :2] - self._position[self._subject][:2]
        along = np.abs(relative @ normal)
        across = np.abs(relative @ np.array([-normal[1], normal[0]]))
        inner, outer = width / 2, _OPENING / 2 + _FINGER_THICKNESS
        inside = (
            (along > inner - 0.005)
            & (along < outer)
            & (across < _FINGER_HALF_WIDTH + 0.01)
        )
        return 100.0 * float((outer - along[inside]).max(initial=0.0))

    def _held(self) -> bool:
        """The object is between the fingers."""
        distance = np.linalg.norm(self._position[self._subject] - self._pinch)
        return self._grasp == INWARD_GRASP and distance < 0.05

    # The state machine.

    def _enter(self, phase: int) -> None:
        self.phase = phase
        self._steps = 0
        if phase == _APPROACH:
            self._goal_axis: np.ndarray | None = None
            self._planned = False

    def _advance(self) -> None:
        self._steps += 1
        carried = self._position[self._subject]
        phase, steps = self.phase, self._steps
        offset = self._pinch - carried
        if phase == _APPROACH:
            aligned = abs(self._yaw_error()) < 0.08
            if np.linalg.norm(offset[:2]) < 0.012 and aligned and offset[2] < 0.11:
                self._enter(_DESCEND)
        elif phase == _DESCEND:
            if np.linalg.norm(offset[:2]) > 0.03 or steps > 60:
                self._enter(_APPROACH)
            elif self._pinch[2] < self._grasp_height() + 0.005:
                self._enter(_GRASP)
        elif phase == _GRASP:
            self._felt = self._felt + 1 if self._held() and steps > 1 else 0
            if self._felt > self._style.squeeze_steps:
                self._enter(_LIFT)
            elif steps > 30:
                self._enter(_APPROACH)
        elif phase in (_LIFT, _HOVER, _PLACE) and not self._held():
            self._lost += 1
            if self._lost > 3:
                self._enter(_RETREAT if self._environment.success() else _APPROACH)
        elif phase == _LIFT:
            # Sideways as soon as it is clear of what stands around.
            if carried[2] > self._carry_height() - self._lift_height() + 0.012:
                self._enter(_HOVER)
        elif phase == _HOVER:
            if np.linalg.norm(carried[:2] - self._goal()) < 0.01:
                self._enter(_PLACE)
        elif phase == _PLACE:
            gap = self._cloud[self._subject][:, 2].min() - self._support()
            if gap < self._drop_height() or steps > 60:
                self._closed = self._finger
                self._enter(_RELEASE)
        elif phase == _RELEASE:
            if self._finger < self._closed - 60 or steps > 20:
                self._enter(_RETREAT)
        elif phase == _RETREAT:
            if self._subject == self._bottom:
                if offset[2] > 0.045 or steps > 30:
                    self._enter(_APPROACH)
            elif offset[2] > 0.095 or steps > 50:
                self._enter(_DONE)
        elif phase == _DONE and steps > 10 and not self._environment.success():
            self._enter(_APPROACH)
        if self.phase == _GRASP and self._steps == 0:
            self._felt = 0
        if self._held() or self.phase not in (_LIFT, _HOVER, _PLACE):
            self._lost = 0

    def _yaw_error(self) -> float:
        """Turn [rad] still to make; the side is chosen once an approach."""
        closing = self._axes[:2, 1]
        if self._goal_axis is None or (
            self.phase == _APPROACH and self._steps % 20 == 0
        ):
            turn = self._grasp_yaw() + self._style.yaw_offset
            c, s = np.cos(turn), np.sin(turn)
            self._goal_axis = np.array([[c, -s], [s, c]]) @ closing
        goal = self._goal_axis
        return float(
            np.arctan2(closing[0] * goal[1] - closing[1] * goal[0], closing @ goal)
        )

    def _grasp_height(self) -> float:
        """Height [m] of the tool at the grasp: the object's centre, off the floor."""
        return max(self._position[self._subject][2], _FLOOR + 0.016)

    def _lift_height(self) -> float:
        """Clearance [m] on the way; little where there is only the floor below."""
        if self._subject == self._bottom:
            return 0.02
        return self._style.lift_height

    def _drop_height(self) -> float:
        """Gap [m] below the object at which it is let go."""
        return 0.012 if self._subject == self._bottom else 0.002

    def _support(self) -> float:
        """Height [m] of what the carried object is put on."""
        if self._subject == self._bottom:
            return _FLOOR
        return float(self._cloud[self._bottom][:, 2].max())

    def _goal(self) -> np.ndarray:
        """Where the carried object's centre is to be, [2] m."""
        if self._subject == self._bottom:
            return self._spot
        return self._position[self._bottom][:2] + self._style.place_offset

    def _carry_height(self) -> float:
        """Height [m] of the carried object's centre on its way."""
        half = self._position[self._subject][2] - self._cloud[self._subject][:, 2].min()
        around = self._support()
        if self._subject == self._top:
            around = max(around, self._highest_other())
        return min(
            around + half + self._lift_height(),
            scene_lib.WORKSPACE_CENTRE[2] + scene_lib.WORKSPACE_SIZE[2] / 2 - 0.02,
        )

    def _command(self) -> tuple[np.ndarray, float, float]:
        """Target of the tool [3] m, turn [rad] and fingers of the current phase."""
        top = self._position[self._subject]
        style, phase, pinch = self._style, self.phase, self._pinch
        aim = top[:2] + style.grasp_offset
        carried = pinch - top  # how the object hangs in the hand
        over = self._goal() + carried[:2]
        if phase == _APPROACH:
            clear = top[2] + style.approach_height
            far = np.linalg.norm((pinch - top)[:2]) > 0.03
            height = max(clear, self._highest_other() + 0.04) if far else clear
            return np.append(aim, height), self._yaw_error(), _OPEN
        if phase == _DESCEND:
            # Aimed lower than it has to get: a proportional law ends slowly.
            height = max(self._grasp_height() - 0.01, _FLOOR + 0.01)
            return np.append(aim, height), self._yaw_error(), _OPEN
        if phase == _GRASP:
            return pinch, 0.0, _CLOSE
        if phase == _LIFT:
            height = self._carry_height() + carried[2] + 0.01
            return np.append(pinch[:2], height), 0.0, _CLOSE
        if phase == _HOVER:
            return np.append(over, self._carry_height() + carried[2]), 0.0, _CLOSE
        if phase == _PLACE:
            half = top[2] - self._cloud[self._subject][:, 2].min()
            height = self._support() + half + carried[2] - 0.004
            if pinch[2] - height < 0.03:  # slowly onto the last centimetres
                height = max(height, pinch[2] - 0.012)
            return np.append(over, height), 0.0, _CLOSE
        if phase == _RELEASE:
            return pinch, 0.0, _OPEN
        return np.append(pinch[:2], top[2] + 0.1), 0.0, _OPEN

    def _highest_other(self) -> float:
        return max(
            float(c[:, 2].max())
            for i, c in enumerate(self._cloud)
            if i != self._subject
        )
