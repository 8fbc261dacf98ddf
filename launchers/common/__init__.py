"""Helpers of all commands: flags, files, figures, signals and logs."""
