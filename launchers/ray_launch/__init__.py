"""Launchpad programs on Ray: each node is a Ray actor, a process on some host.

`manager` runs any program, `experiments` ours. `cluster` joins or starts Ray, `host` is
what runs in the workers, `addresses`, `resources` and `mirror` are rules of their own,
without Ray, as `launchers.restarts` is. Steps for a cluster: docs/cluster.md.
"""
