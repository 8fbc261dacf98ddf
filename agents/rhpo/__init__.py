"""RHPO: MPO on a mixture of Gaussians (https://arxiv.org/abs/1906.11228)."""
