"""Commands: one thin main a module, run as `python -m launchers.NAME`."""
