"""RL experiments: their configuration and record, and how they run in one process."""
