"""Policy loss of a mixture of Gaussians (RHPO).

Shape letters: R rows of a batch, K components, N samples, D action.
"""

from __future__ import annotations

from collections.abc import Mapping

import tensorflow as tf
from typing_extensions import override

from agents.distributions.policies import Mixture
from agents.losses import mixture_mpo
from agents.mpo.policy_losses.base import PriorWeight, positive, total_and_diagnostics
from agents.mpo.policy_losses.sampled import SampledPolicyLoss, dual
from agents.rhpo.config import RHPOConfig


class MixturePolicyLoss(SampledPolicyLoss):
    """Policy loss of a mixture, with trust regions of weights, means and deviations."""

    _config: RHPOConfig

    def __init__(self, config: RHPOConfig):
        """Makes the duals."""
        super().__init__(config, name="mixture_policy_loss")
        self._eta_y = PriorWeight(config.eta_y, config.eta_y_half_life)
        self._log_alphas = {
            "alpha_categorical": dual(
                "alpha_categorical", config.init_log_alpha_categorical
            ),
            "alpha_mean": dual("alpha_mean", config.init_log_alpha_mean),
            "alpha_stddev": dual("alpha_stddev", config.init_log_alpha_stddev),
        }

    def __call__(
        self,
        online: Mixture,
        target: Mixture,
        actions: tf.Tensor,
        values: tf.Tensor,
        prior: Mixture | tuple[tf.Tensor, tf.Tensor] | None = None,
    ) -> tuple[tf.Tensor, Mapping[str, tf.Tensor]]:
        """Returns the loss [R] of one improvement step, and diagnostics [R] by name.

        Args:
          online: mixture of the online policy.
          target: mixture of the target policy.
          actions: draws [N, R, D] of the target policy.
          values: values [N, R] of the draws.
          prior: a mixture; or mean and standard deviation [R, K, D] of the components,
            while the weights' is uniform; None: the weights' uniform one alone.
        """
        config, logits = self._config, None
        if isinstance(prior, Mixture):
            logits, prior = prior.logits, (prior.means, prior.stddevs)
        losses, stats = mixture_mpo.mixture_mpo(
            online,
            target,
            actions,
            values,
            **self.dual_values(),
            epsilon=config.epsilon,
            epsilon_categorical=config.epsilon_categorical,
            epsilon_mean=config.epsilon_mean,
            epsilon_stddev=config.epsilon_stddev,
            categorical_prior_weight=self._eta_y(),
            categorical_prior_logits=logits,
            prior=prior,
            component_prior_weight=config.eta_z,
        )
        return total_and_diagnostics(losses, stats)

    @override
    def end_step(self) -> None:
        self._eta_y.end_step()

    def dual_values(self) -> Mapping[str, tf.Tensor]:
        """Returns the temperature and the three multipliers."""
        alphas = {name: positive(v) for name, v in self._log_alphas.items()}
        return {"temperature": positive(self.log_temperature), **alphas}
