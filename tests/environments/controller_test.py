"""The mapping to joint velocities, against OSQP on the programs it stands for."""

import numpy as np
import osqp
import pytest
from scipy import sparse

from environments import controller, scene
from environments.rendering import mujoco

NUM_STATES = 10_000
# m/s and rad/s: how far dm_robotics lets the second program move the tool.
SLACK = 1e-4


class Program:
    """min |J q - v|^2 + weight |q - bias|^2 within a box, by OSQP.

    Written with the residual as a variable of its own: q and r with r = J q - v, both
    in units in which their costs weigh alike.
    """

    def __init__(self, weight, size=7, rows=6):
        self.failures = 0
        self._scale = 1.0 / np.sqrt(weight)
        self._size = size
        pattern = sparse.csc_matrix(self._rows(np.ones((rows, size))))
        self._entries = (
            pattern.indices,
            np.repeat(np.arange(size + rows), np.diff(pattern.indptr)),
        )
        total = size + rows
        self._solver = osqp.OSQP()
        self._solver.setup(
            sparse.identity(total, format="csc"),
            np.zeros(total),
            pattern,
            np.zeros(total),
            np.zeros(total),
            eps_abs=1e-7,
            eps_rel=1e-7,
            max_iter=50_000,
            polishing=False,
            verbose=False,
        )

    def _rows(self, jacobian):
        rows, size = jacobian.shape
        return np.block(
            [
                [self._scale * jacobian, -np.eye(rows)],
                [np.eye(size), np.zeros((size, rows))],
            ]
        )

    def solve(self, jacobian, target, bias, low, high):
        right = self._scale * target
        self._solver.update(
            q=np.concatenate([-bias, np.zeros(len(target))]),
            Ax=self._rows(jacobian)[self._entries],
            l=np.concatenate([right, low]),
            u=np.concatenate([right, high]),
        )
        result = self._solver.solve()
        self.failures += result.info.status != "solved"
        return result.x[: self._size]


class Programs:
    """The two programs, one after the other; `failures` of OSQP are counted."""

    def __init__(self):
        self._first = Program(controller.REGULARIZATION)
        self._second = Program(controller.NULLSPACE_WEIGHT)

    @property
    def failures(self):
        return self._first.failures + self._second.failures

    def velocities(self, jacobian, twist, bias, low, high):
        """The first program's solution and the second one's, each [7]."""
        first = self._first.solve(jacobian, twist, np.zeros(7), low, high)
        bias = np.clip(bias, low, high)
        return first, self._second.solve(jacobian, jacobian @ first, bias, low, high)


def states(count, seed=0):
    """Joint angles, Jacobians, twists and biases, of four kinds in turn.

    Around the posture of work; anywhere; at the ends of some joints' ranges; and near
    singular poses (elbow or wrist stretched). Every third twist is far too fast.
    """
    model = scene.build(4)
    addresses = scene.Scene(model)
    data = mujoco.MjData(model)
    low, high = model.jnt_range[addresses.arm_joints].T
    rng = np.random.default_rng(seed)
    posture = controller.NULLSPACE_POSTURE
    jacobian = np.zeros((6, model.nv))
    for index in range(count):
        kind = index % 4
        joints = rng.uniform(low, high)
        if kind == 0:
            joints = posture + rng.normal(0, 0.3, 7)
        elif kind == 2:
            at_end = rng.integers(7, size=3)
            ends = np.where(rng.random(3) < 0.5, low[at_end], high[at_end])
            joints[at_end] = ends + rng.normal(0, 0.03, 3)
        elif kind == 3:
            joints = posture + rng.normal(0, 0.2, 7)
            joints[[3, 5]] = rng.normal(0, 0.02, 2)
        twist = rng.uniform(-1, 1, 6) * np.repeat([0.07, 1.0], 3)
        if index % 3 == 0:
            twist *= 5.0
        data.qpos[addresses.arm_qpos] = joints
        mujoco.mj_kinematics(model, data)
        mujoco.mj_comPos(model, data)
        mujoco.mj_jacSite(model, data, jacobian[:3], jacobian[3:], addresses.wrist_site)
        bias = 0.5 * (posture - joints)
        yield joints, jacobian[:, addresses.arm_dof].copy(), twist, bias


@pytest.fixture(scope="module")
def mapper():
    model = scene.build(4)
    return controller.JointVelocityMapper(
        model.jnt_range[scene.Scene(model).arm_joints]
    )


def slopes(x, target, weight, jacobian, bias, low, high):
    """Returns the cost's slope along each joint that can move: 0 at the optimum."""
    slope = jacobian.T @ (jacobian @ x - target) + weight * (x - bias)
    slope[(x <= low + 1e-9) & (slope > 0)] = 0.0
    slope[(x >= high - 1e-9) & (slope < 0)] = 0.0
    return slope / weight


def test_the_mapper_solves_the_programs_that_osqp_solves(mapper):
    programs = Programs()
    bound = near_singular = failures = 0
    for joints, jacobian, twist, bias in states(NUM_STATES):
        low, high = mapper.bounds(joints)
        first, expected = programs.velocities(jacobian, twist, bias, low, high)
        found = mapper(jacobian, joints, twist, bias)
        assert np.all((found >= low - 1e-12) & (found <= high + 1e-12))
        if programs.failures == failures:
            np.testing.assert_allclose(found, expected, atol=2e-3)  # OSQP's accuracy
        failures = programs.failures
        bound += bool(np.any((found <= low + 1e-9) | (found >= high - 1e-9)))
        near_singular += np.linalg.svd(jacobian, compute_uv=False)[-1] < 0.02
    assert failures < 0.01 * NUM_STATES  # it ran out of iterations
    # The cases that are hard are there.
    assert bound > 0.2 * NUM_STATES
    assert near_singular > 0.1 * NUM_STATES


def test_solutions_are_exact_where_bounds_are_active_and_where_none_is(mapper):
    kinds = set()
    for joints, jacobian, twist, bias in states(2000, seed=2):
        bounds = low, high = mapper.bounds(joints)
        free, closed_form = controller._solve_programs(jacobian, twist, bias, bounds)
        boxed = controller._solve_boxed(jacobian, twist, bias, bounds)
        if free:
            assert boxed is not None
            np.testing.assert_allclose(boxed, closed_form, atol=1e-7)
        # The second program's target is what the first one's solution does.
        nowhere = np.array([low - 1e9, high + 1e9])
        first = np.linalg.solve(
            jacobian.T @ jacobian + controller.REGULARIZATION * np.eye(7),
            jacobian.T @ twist,
        )
        if np.all((first >= low) & (first <= high)):
            slope = slopes(
                boxed,
                jacobian @ first,
                controller.NULLSPACE_WEIGHT,
                jacobian,
                np.clip(bias, low, high),
                low,
                high,
            )
            assert np.abs(slope).max() < 1e-6
        assert controller._solve_programs(jacobian, twist, bias, nowhere)[0]
        kinds.add(bool(free))
    assert kinds == {True, False}


def test_the_nullspace_moves_the_tool_by_no_more_than_the_slack(mapper):
    """What dm_robotics demands by a constraint, in states where no bound is active."""
    programs = Programs()
    residuals = []
    for joints, jacobian, twist, bias in states(400, seed=1):
        low, high = mapper.bounds(joints)
        first, _ = programs.velocities(jacobian, twist, bias, low, high)
        if np.linalg.svd(jacobian, compute_uv=False)[-1] < 0.1:
            continue
        if np.any((first <= low + 1e-6) | (first >= high - 1e-6)):
            continue
        moved = jacobian @ (mapper(jacobian, joints, twist, bias) - first)
        residuals.append(np.abs(moved).max())
    assert len(residuals) > 50
    assert np.median(residuals) < SLACK
    assert max(residuals) < 10 * SLACK


@pytest.mark.parametrize("direction", [-1.0, 1.0])
def test_a_joint_stops_at_the_end_of_its_range(mapper, direction):
    model = scene.build(4)
    low, high = model.jnt_range[scene.Scene(model).arm_joints].T
    joints = controller.NULLSPACE_POSTURE.copy()
    joints[3] = high[3] if direction > 0 else low[3]
    bounds = mapper.bounds(joints)
    assert bounds[1 if direction > 0 else 0, 3] == 0.0
    assert bounds[0 if direction > 0 else 1, 3] == pytest.approx(-direction * 1.957)
    # Half a margin before the end the joint may still come as near as the margin.
    joints[3] -= direction * 2 * controller.JOINT_MARGIN
    limit = mapper.bounds(joints)[1 if direction > 0 else 0, 3]
    assert limit == pytest.approx(direction * 0.95 * controller.JOINT_MARGIN / 0.05)


def test_numbers_that_are_not_finite_give_no_velocities(mapper):
    joints, jacobian, twist, bias = next(states(1))
    twist[0] = np.nan
    found = mapper(jacobian, joints, twist, bias)
    assert found is None or np.isnan(found).any()
