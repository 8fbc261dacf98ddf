"""Launchpad programs on Ray: each node is a Ray actor, a process on some host.

`manager` runs any program, `launch` an experiment's. `cluster` joins or starts Ray,
`node_process` runs in the workers. `addresses`, `resources` and `log_sync` need no Ray,
like `launchers.distributed.restart_policy`. See docs/guides/cluster.md.
"""
