"""Collection of episodes by many processes."""
