"""Launchpad programs on Ray: each node is a Ray actor, a process on some host.

`manager` runs any program, `launch` ours. `cluster` joins or starts Ray, `node_process`
is what runs in the workers. `addresses`, `resources` and `log_sync` are rules that need
no Ray, like `launchers.distributed.restart_policy`. Steps for a
cluster: docs/guides/cluster.md.
"""
