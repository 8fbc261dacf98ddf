"""Compiled policies against TensorFlow's, and that they follow the variables."""

import numpy as np
import pytest
import tensorflow as tf
from acme import core

from agents.builder import Decision, Held, Policy
from agents.compiled_graph import CompiledGraph, Draws, Unsupported
from agents.mpo.batched_acting import BatchedPolicy, VariableClient
from agents.registry import AGENTS
from benchmarks.common import untrained
from environments import wrappers

_SPEC = wrappers.environment_spec()
_ROWS = 3
_CASES = [
    *((name, {}) for name, agent in AGENTS.items() if not agent.vision_only),
    ("helms_mix", {"components": "frozen"}),
    ("helms_mix", {"components": "scratch"}),
    ("helms_mix", {"evaluation": "greedy"}),
    ("helms_cat", {"evaluation": "greedy"}),
    ("helms_cat", {"skill_steps": 3}),
    ("helms_mix", {"skill_steps": 3}),
    ("npmp", {"skill_steps": 3}),
    ("mpo", {"finger": "bernoulli"}),
]


def _policy(name, settings, **bundle):
    made = AGENTS[name]
    builder = made.builder(
        made.config_type(**settings), untrained.frozen(made.model, seed=1, **bundle)
    )
    networks = builder.make_networks(_SPEC, seed=2)
    return builder.make_policy(networks, evaluation=bool(settings))


def _observation(rows, seed=0):
    rng = np.random.default_rng(seed)
    return {
        key: rng.normal(size=(rows, *spec.shape)).astype(np.float32)
        for key, spec in _SPEC.observations.items()
    }


def _held(policy, rows, number):
    """What a policy is given if its decisions last: some rows hold another's draw."""
    if policy.skill_steps == 1:
        return ()
    observation = {k: tf.constant(v) for k, v in _observation(rows, number).items()}
    decision = policy(observation, tf.constant([7, number]))
    held = decision.agent_action if decision.held is None else decision.held
    return (Held(held.numpy(), np.arange(rows) % 2 == number % 2),)


def _compiled(policy, rows):
    specs = {
        key: tf.TensorSpec([rows, *spec.shape], spec.dtype)
        for key, spec in _SPEC.observations.items()
    }
    function = tf.function(policy.__call__, autograph=False)
    held = [
        Held(*map(tf.TensorSpec.from_tensor, map(tf.constant, held)))
        for held in _held(policy, rows, 0)
    ]
    return CompiledGraph(function, specs, tf.TensorSpec([2], tf.int32), *held)


def _recorded_draws(monkeypatch):
    """Has TensorFlow's draws kept by kind and shape."""
    kept: dict = {}

    def record(kind, function):
        def draw(shape, seed, **kwargs):
            found = function(shape, seed, **kwargs)
            kept.setdefault((kind, tuple(found.shape)), []).append(found.numpy())
            return found

        return draw

    for kind in ("normal", "uniform"):
        name = f"stateless_{kind}"
        monkeypatch.setattr(tf.random, name, record(kind, getattr(tf.random, name)))
    return kept


@pytest.mark.parametrize(("name", "settings"), _CASES)
def test_equals_tensorflow(name, settings, monkeypatch):
    _check_equal(_policy(name, settings), monkeypatch)


@pytest.mark.parametrize("name", ["helms_cat", "bc"])
def test_a_bundle_with_a_bernoulli_finger_equals_tensorflow(name, monkeypatch):
    _check_equal(_policy(name, {}, finger="bernoulli"), monkeypatch)


def _check_equal(policy, monkeypatch):
    graph = _compiled(policy, _ROWS)
    kept = _recorded_draws(monkeypatch)
    for trial in range(4):
        held = _held(policy, _ROWS, trial)
        kept.clear()
        observation, seed = _observation(_ROWS, trial), np.array([3, trial], np.int32)
        expected = policy(
            {key: tf.constant(value) for key, value in observation.items()},
            tf.constant(seed),
            *(Held(*map(tf.constant, some)) for some in held),
        )
        draws = [kept[key].pop(0) for key in graph.draws]
        found = graph(tf.nest.flatten((observation, seed, held)), draws)
        expected = [part for part in expected if part is not None]
        for a, b in zip(found, expected, strict=True):
            assert a.shape == b.shape
            assert a.dtype == b.dtype
            np.testing.assert_allclose(a, b, rtol=1e-4, atol=2e-6)


@pytest.mark.parametrize("name", ["helms_mix", "helms_cat"])
def test_a_row_does_not_depend_on_how_many_there_are(name):
    policy = _policy(name, {})
    graphs = {rows: _compiled(policy, rows) for rows in (1, 4)}

    def first_row(rows, number):
        graph = graphs[rows]
        observation = {k: v[:rows] for k, v in _observation(4).items()}
        arguments = tf.nest.flatten((observation, np.zeros(2, np.int32)))
        found = graph(arguments, Draws(5, graph.draws).of_call(number))
        return [x[0] for x in found]

    for number in range(3):
        for a, b in zip(first_row(1, number), first_row(4, number), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-4, atol=2e-6)


def test_draws_are_those_of_a_seed_and_a_call():
    shapes = [("normal", (1, 50, 40)), ("uniform", (50, 40)), ("normal", (50, 40))]

    def draws(seed, number, rows=50):
        drawn = [(kind, tuple(rows if n == 50 else n for n in s)) for kind, s in shapes]
        return Draws(seed, drawn).of_call(number)

    normal, uniform, other = draws(1, 3)
    assert normal.dtype == uniform.dtype == np.float32
    assert abs(normal.mean()) < 0.1 and abs(normal.std() - 1) < 0.1
    assert 0 <= uniform.min() < 0.01 and 0.99 < uniform.max() < 1
    assert abs(uniform.mean() - 0.5) < 0.05
    assert abs(np.corrcoef(normal.ravel(), other.ravel())[0, 1]) < 0.1
    for a, b in zip(draws(1, 3), (normal, uniform, other), strict=True):
        np.testing.assert_array_equal(a, b)
    for few, many in zip(draws(1, 3, rows=2), (normal, uniform, other), strict=True):
        np.testing.assert_array_equal(few[..., :2, :], many[..., :2, :])
    for seed, number in ((2, 3), (1, 4)):
        assert not np.array_equal(draws(seed, number)[0], normal)


def test_calls_of_a_runner_have_draws_of_their_own():
    made = Draws(7, [("normal", (2, 3))])
    first, second = made.of_call(0)[0], made.of_call(1)[0]
    assert not np.array_equal(first, second)
    np.testing.assert_array_equal(made.of_call(0)[0], first)


class _Scaled(Policy):
    def __init__(self):
        super().__init__()
        self.fixed = tf.Variable(1.0, trainable=False)
        self.scale = tf.Variable(2.0)

    def __call__(self, observation, seed, held=None):
        del seed, held
        value = self.scale * observation["x"] * self.fixed
        return Decision(value, value)

    @property
    def learned_variables(self):
        return [self.fixed, self.scale]


def _act(runner):
    return float(runner.decide(0, {"x": np.ones(1, np.float32)})[1][0])


@pytest.mark.parametrize(
    "change",
    [
        lambda v: v.assign(6.0),
        lambda v: v.assign_add(4.0),
        tf.function(lambda v: v.assign_add(4.0)),
    ],
)
def test_follows_a_learner_in_its_process(change):
    policy = _Scaled()
    runner = BatchedPolicy(policy, seed=0)
    assert _act(runner) == _act(runner) == 2.0
    change(policy.scale)
    assert _act(runner) == _act(runner) == 6.0


def test_follows_a_source_of_variables():
    class Source(core.VariableSource):
        scale = 3.0

        def get_variables(self, names):
            return [[np.float32(10.0), np.float32(self.scale)] for _ in names]

    policy, source = _Scaled(), Source()
    client = VariableClient(source, {"policy": policy.learned_variables}, 2)
    client.update_and_wait()
    runner = BatchedPolicy(policy, 0, variable_client=client)
    assert _act(runner) == 30.0
    source.scale = 4.0
    runner.update(wait=True)
    assert _act(runner) == 30.0  # not its time yet
    runner.update(wait=True)
    assert _act(runner) == _act(runner) == 40.0


def test_does_not_run_what_it_does_not_know():
    def compile_(function):
        spec = tf.TensorSpec([4, 3], tf.float32)
        return CompiledGraph(tf.function(function, autograph=False), spec)

    with pytest.raises(Unsupported, match="op Cumsum"):
        compile_(lambda x: tf.cumsum(x))
    with pytest.raises(Unsupported, match="op MatMul with transpose_b"):
        compile_(lambda x: tf.matmul(x, x, transpose_b=True))
    with pytest.raises(Unsupported, match="effect"):
        compile_(lambda x: tf.debugging.check_numerics(x, "x") + tf.random.normal([3]))


@pytest.mark.parametrize(
    "function",
    [
        lambda x: x[1:, ::-1],
        lambda x: x[None, ..., 0],
        lambda x: tf.split(x, 3, axis=1)[2],
        lambda x: tf.reshape(tf.concat([x, 2.0 * x], 1), [2, -1]),
        lambda x: tf.cast(tf.argmax(x, 1), tf.int32),
        lambda x: tf.reduce_mean(x, [-1], keepdims=True) + tf.fill([3], 2.0),
        lambda x: tf.sigmoid(x) + tf.nn.softplus(-x) + tf.math.rsqrt(x * x + 1.0),
        lambda x: tf.nn.elu(x) - tf.tanh(x) / tf.math.log(tf.maximum(x, 0.5)),
        lambda x: tf.math.squared_difference(tf.minimum(x, 0.1), tf.stop_gradient(-x)),
    ],
)
def test_ops(function):
    x = np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32)
    compiled = CompiledGraph(
        tf.function(function, autograph=False), tf.TensorSpec([4, 3], tf.float32)
    )
    (found,), expected = compiled([x], []), function(tf.constant(x))
    assert found.dtype == expected.dtype
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_a_debugger_sees_every_call():
    class Counted(_Scaled):
        calls = 0

        def __call__(self, observation, seed, held=None):
            self.calls += 1
            return super().__call__(observation, seed, held)

    policy = Counted()
    runner = BatchedPolicy(policy, seed=0)
    tf.config.run_functions_eagerly(True)
    try:
        for _ in range(3):
            assert _act(runner) == 2.0
    finally:
        tf.config.run_functions_eagerly(False)
    assert policy.calls == 3
