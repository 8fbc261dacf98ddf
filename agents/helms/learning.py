"""The offline learner of HeLMS: one compiled step of Adam on the exact bound.

Shape letters: B batch, T time, L look-ahead, K skills, Z latent, D action.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NamedTuple

import acme
import numpy as np
import sonnet as snt
import tensorflow as tf
from acme.utils import counting, loggers

from agents.helms.config import HelmsConfig
from agents.helms.networks import HelmsNetworks
from agents.losses import elbo

# proprio [B, T+L, P], objects [B, T+L, O], action [B, T, D], mask [B, T]; float32.
Batch = Mapping[str, tf.Tensor]
_KEYS = ("proprio", "objects", "action", "mask")
_ACTIVE_NATS = 0.01  # a latent dimension with less KL than this carries nothing


class Evaluation(NamedTuple):
    """Means over the valid steps of a data set; likelihoods and KLs in nats a step."""

    elbo: float
    log_likelihood: float
    latent_kl: float
    categorical_kl: float
    action_mse: float  # of the action at the latents' means, per dimension
    skill_use: tuple[float, ...]  # [K] mean of q(y_t | x_{1:t})
    use_entropy: float  # of `skill_use`; log K where all skills are used alike
    step_entropy: float  # mean entropy of q(y_t | x_{1:t}); low where it decides
    prior_stay: float  # mean of p(y_t = y | y_{t-1} = y)
    active_latents: int  # dimensions whose expected KL exceeds 0.01 nats
    steps: int  # valid steps evaluated

    def scalars(self) -> dict[str, float]:
        """A flat dict for loggers, `skill_use` as skill_0_use, skill_1_use, ..."""
        values = self._asdict()
        use = values.pop("skill_use")
        values.update({f"skill_{y}_use": share for y, share in enumerate(use)})
        return values


class _Terms(NamedTuple):
    bound: tf.Tensor  # [B]
    stats: elbo.ElboStats
    latent_kl_per_dim: tf.Tensor  # [B, T, K, Z]
    latent_mean: tf.Tensor  # [B, T, K, Z]
    proprio: tf.Tensor  # [B, T, P] normalised


class HelmsLearner(acme.Learner):
    """Raises the bound of Eq. 3 on batches of windows.

    A batch whose loss or gradient is not finite changes nothing and raises.
    """

    def __init__(
        self,
        config: HelmsConfig,
        networks: HelmsNetworks,
        make_batches: Callable[[int], Iterable[Batch]] | None = None,
        counter: counting.Counter | None = None,
        logger: loggers.Logger | None = None,
        jit_compile: bool = False,
    ):
        """Sets up; reads no data yet.

        Args:
          config: the objective and the optimiser.
          networks: what is trained.
          make_batches: maps the number of batches that training has already used (so
            that a resumed run goes on in the data where it stopped) to the endless
            rest of them. Only `step` needs it.
          counter: counts steps and the time they took.
          logger: gets the means of each step.
          jit_compile: compile the step with XLA. On a CPU the step gains nothing and
            takes three times as long to compile.
        """
        self._config = config
        self._networks = networks
        self._make_batches = make_batches
        self._batches: Iterator[Batch] | None = None
        self._counter = counter or counting.Counter()
        self._logger = logger or loggers.NoOpLogger()
        self._variables = networks.trainable_variables
        self._optimizer = snt.optimizers.Adam(config.learning_rate)
        # Makes the moments, so that a checkpoint can be restored before the first step.
        self._optimizer.apply(
            [tf.zeros_like(v) for v in self._variables], self._variables
        )
        self._optimizer.step.assign(0)
        self._num_steps = tf.Variable(0, dtype=tf.int64, trainable=False)

        dims, frames = networks.dims, config.window + config.look_ahead
        shapes = {
            "proprio": (frames, dims.proprio),
            "objects": (frames, dims.objects),
            "action": (config.window, dims.action),
            "mask": (config.window,),
        }
        self._spec = {
            key: tf.TensorSpec([None, *shape], tf.float32, name=key)
            for key, shape in shapes.items()
        }
        seed = tf.TensorSpec([2], tf.int32, name="seed")
        self._step = tf.function(
            self._train, input_signature=[self._spec, seed], jit_compile=jit_compile
        )
        self._sums = tf.function(
            self._evaluation_sums, input_signature=[self._spec, seed]
        )

    @property
    def num_steps(self) -> int:
        """Steps taken so far, also those before a restart."""
        return int(self._num_steps)

    @property
    def checkpointables(self) -> dict[str, object]:
        """What a checkpoint must hold so that training goes on as if never stopped."""
        return {
            "networks": self._networks,
            "optimizer": self._optimizer,
            "num_steps": self._num_steps,
        }

    def step(self) -> dict[str, float]:
        """Takes one step and returns its means in nats a step.

        Raises:
          FloatingPointError: the loss or a gradient is not finite; weights, optimiser
            and step count are as before.
          ValueError: the batch does not have the shapes of the networks.
        """
        if self._batches is None:
            if self._make_batches is None:
                raise ValueError("this learner was made without batches to train on")
            self._batches = iter(self._make_batches(self.num_steps))
        start = time.perf_counter()
        batch = self._check(next(self._batches))
        # A function of the step alone: a resumed run draws what it would have drawn.
        seed = tf.constant([self._config.seed, self.num_steps], tf.int32)
        means = {k: float(v) for k, v in self._step(batch, seed).items()}
        if means.pop("finite") < 1.0:
            raise FloatingPointError(
                f"loss {means['loss']} or gradient norm {means['gradient_norm']} is "
                f"not finite at step {self.num_steps + 1}; the weights stay those of "
                f"step {self.num_steps}; look for NaN in the data or lower "
                "learning_rate"
            )
        counts = self._counter.increment(steps=1, walltime=time.perf_counter() - start)
        self._logger.write({**means, **counts})
        return means

    def get_variables(self, names: list[str]) -> list[list[np.ndarray]]:
        """All variables of the networks, once for each name."""
        return [[v.numpy() for v in self._networks.variables] for _ in names]

    def evaluate(self, batches: Iterable[Batch]) -> Evaluation:
        """Means over one finite pass; the same noise every time.

        Raises:
          ValueError: there is no valid step.
          FloatingPointError: the bound is not finite.
        """
        total: dict[str, np.ndarray] = {}
        for index, batch in enumerate(batches):
            seed = tf.constant([self._config.seed + 1, index], tf.int32)
            for key, value in self._sums(self._check(batch), seed).items():
                total[key] = total.get(key, 0.0) + value.numpy().astype(np.float64)
        steps = total.pop("steps", 0.0)
        if steps == 0:
            raise ValueError("no valid step to evaluate on")
        mean = {key: value / steps for key, value in total.items()}
        if not np.isfinite(mean["elbo"]):
            raise FloatingPointError(f"the bound is {mean['elbo']} in evaluation")
        use = mean["skill_use"]
        prior = tf.nn.softmax(self._networks.prior_logits).numpy()
        return Evaluation(
            elbo=float(mean["elbo"]),
            log_likelihood=float(mean["log_likelihood"]),
            latent_kl=float(mean["latent_kl"]),
            categorical_kl=float(mean["categorical_kl"]),
            action_mse=float(mean["action_mse"]),
            skill_use=tuple(float(share) for share in use),
            use_entropy=float(-np.sum(use * np.log(np.maximum(use, 1e-12)))),
            step_entropy=float(mean["step_entropy"]),
            prior_stay=float(np.mean(np.diag(prior))),
            active_latents=int(np.sum(mean["latent_kl_per_dim"] > _ACTIVE_NATS)),
            steps=int(steps),
        )

    def _check(self, batch: Batch) -> dict[str, tf.Tensor]:
        missing = [key for key in _KEYS if key not in batch]
        if missing:
            raise ValueError(f"a batch needs {', '.join(_KEYS)}; missing: {missing[0]}")
        tensors = {key: tf.convert_to_tensor(batch[key], tf.float32) for key in _KEYS}
        for key, spec in self._spec.items():
            if not spec.shape.is_compatible_with(tensors[key].shape):
                raise ValueError(
                    f"{key} of a batch has shape {tuple(tensors[key].shape)}, the "
                    f"model takes {tuple(spec.shape)}"
                )
        return tensors

    def _terms(self, batch: Batch, seed: tf.Tensor) -> _Terms:
        networks, config = self._networks, self._config
        proprio, objects = networks.normalize(batch["proprio"], batch["objects"])
        logits = networks.posterior_logits(proprio, objects)  # [B, T, K, K]
        proprio, objects = proprio[:, : config.window], objects[:, : config.window]
        mean, stddev = networks.latent(proprio, objects)  # [B, T, K, Z]
        noise = tf.random.stateless_normal(tf.shape(mean), seed)
        action_mean = networks.low_level(mean + stddev * noise, proprio[:, :, None])
        latent_kl = elbo.gaussian_kl_to_standard(mean, stddev)
        bound, stats = elbo.helms_elbo(
            log_likelihood=elbo.gaussian_log_prob(
                batch["action"][:, :, None], action_mean, networks.low_level.stddev
            ),
            latent_kl=tf.reduce_sum(latent_kl, axis=-1),
            posterior_logits=logits,
            prior_logits=networks.prior_logits,
            mask=batch["mask"],
            beta_y=config.beta_y,
            beta_z=config.beta_z,
        )
        return _Terms(bound, stats, latent_kl, mean, proprio)

    def _train(self, batch: Batch, seed: tf.Tensor) -> dict[str, tf.Tensor]:
        with tf.GradientTape() as tape:
            terms = self._terms(batch, seed)
            # A constant scale (not the number of valid steps, which differs between
            # batches), so that the gradient is that of the bound of the data set.
            loss = -tf.reduce_mean(terms.bound) / self._config.window
        gradients = tape.gradient(loss, self._variables)
        norm = tf.linalg.global_norm(gradients)
        finite = tf.math.is_finite(loss) & tf.math.is_finite(norm)
        if self._config.max_gradient_norm is not None:
            gradients, _ = tf.clip_by_global_norm(
                gradients, self._config.max_gradient_norm, use_norm=norm
            )

        def apply() -> tf.Tensor:
            self._optimizer.apply(gradients, self._variables)
            return tf.identity(self._num_steps.assign_add(1))

        tf.cond(finite, apply, lambda: tf.identity(self._num_steps))
        steps = tf.maximum(tf.reduce_sum(batch["mask"]), 1.0)
        stats = terms.stats
        return {
            "finite": tf.cast(finite, tf.float32),
            "loss": loss,
            "gradient_norm": norm,
            "elbo": tf.reduce_sum(terms.bound) / steps,
            "log_likelihood": tf.reduce_sum(stats.log_likelihood) / steps,
            "latent_kl": tf.reduce_sum(stats.latent_kl) / steps,
            "categorical_kl": tf.reduce_sum(stats.categorical_kl) / steps,
        }

    def _evaluation_sums(self, batch: Batch, seed: tf.Tensor) -> dict[str, tf.Tensor]:
        terms = self._terms(batch, seed)
        valid = batch["mask"] > 0
        marginals = terms.stats.marginals  # [B, T, K]
        weights = tf.where(valid[..., None], marginals, tf.zeros_like(marginals))
        entropy = -tf.reduce_sum(tf.math.xlogy(weights, weights), axis=-1)
        actions = self._networks.low_level(
            terms.latent_mean, terms.proprio[:, :, None]
        )  # [B, T, K, D]
        squares = tf.square(batch["action"][:, :, None] - actions)
        return {
            "steps": tf.reduce_sum(tf.cast(valid, tf.float32)),
            "elbo": tf.reduce_sum(terms.bound),
            "log_likelihood": tf.reduce_sum(terms.stats.log_likelihood),
            "latent_kl": tf.reduce_sum(terms.stats.latent_kl),
            "categorical_kl": tf.reduce_sum(terms.stats.categorical_kl),
            "latent_kl_per_dim": tf.einsum(
                "btk,btkz->z", weights, terms.latent_kl_per_dim
            ),
            "action_mse": tf.reduce_sum(weights * tf.reduce_mean(squares, axis=-1)),
            "skill_use": tf.reduce_sum(weights, axis=[0, 1]),
            "step_entropy": tf.reduce_sum(entropy),
        }
