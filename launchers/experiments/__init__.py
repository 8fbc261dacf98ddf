"""RL experiments: configuration, record, evaluation, and runs in one process."""
