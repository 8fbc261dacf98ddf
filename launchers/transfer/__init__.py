"""Transfer of skills by RL, for every kind of launch."""
