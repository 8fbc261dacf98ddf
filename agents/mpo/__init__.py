"""MPO with a sequence critic: one learner for every agent that improves by MPO."""
