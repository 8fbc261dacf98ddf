"""MPO with a sequence critic: one learner for every agent whose improvement is MPO."""
