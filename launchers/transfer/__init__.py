"""Transfer of skills by RL, however it is launched."""
