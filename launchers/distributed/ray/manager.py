"""Manager that keeps the nodes of a Launchpad program running on Ray.

    manager = Manager(workdir, resources)
    manager.reconcile(program)
    manager.wait()

All work happens in `step`, in the caller's thread: placement, addresses, starts,
restarts, logs. Nodes of which others hold handles are placed first, because their
addresses are part of every node; the rest start as room becomes free.
"""

from __future__ import annotations

import os
import pathlib
import time
import uuid
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import cloudpickle
import launchpad as lp
import ray
from launchpad.launch import serialization

from launchers.common import atomic_files
from launchers.distributed.ray import addresses, cluster, node_process, resources
from launchers.distributed.ray.log_collector import LogCollector
from launchers.distributed.ray.managed_node import ManagedNode
from launchers.distributed.ray.resources import RayResources
from launchers.distributed.restart_policy import Failed, Loss, RestartPolicy, Restarts

_GRACE_SECONDS = 12.0  # between the request to stop and the kill
_PLACE_SECONDS = 120.0  # for a host to join with room for nodes that others use
_TELL_SECONDS = 15.0  # until nodes that wait for room are reported
_CALLS = 5  # at once: run, wait_for_stop_request, read_logs, stop, and one spare


class Manager:
    """Manager of a running program; see the module's docstring."""

    def __init__(
        self,
        workdir: str,
        needs: Mapping[str, RayResources],
        report: Callable[[str], None] = print,
        policy: RestartPolicy | None = None,
        same_disk: Collection[str] = (),
        inputs: Sequence[str] = (),
    ):
        """Prepares; `reconcile` starts the nodes.

        Args:
          workdir: work directory of the run; nodes' output goes under its logs/output.
          needs: resources by group; "" holds those of groups that are not named.
          report: receives a line for each event that a user should know.
          policy: limits of restarts.
          same_disk: groups that need the launcher's own work directory.
          inputs: directories that nodes read, sent to hosts where they are missing.
        """
        self._workdir = os.path.abspath(workdir)
        self._needs = needs
        self._report = report
        self._restarts = Restarts(policy)
        self._same_disk = same_disk
        self._collector = LogCollector(self._workdir, report)
        self._process = ray.remote(node_process.NodeProcess)
        self._nodes: dict[str, ManagedNode] = {}
        self._calls: dict[Any, tuple[ManagedNode, str]] = {}  # by Ray's reference
        self._bound = False
        self._failure: Failed | None = None
        self._stopping = False
        self._told: frozenset[str] = frozenset()
        self._launcher = node_process.Launcher(
            workdir=self._workdir,
            token=uuid.uuid4().hex,
            directory=os.getcwd(),
            arguments=node_process.given_flags(),
            inputs={
                os.path.abspath(path): ray.put(node_process.pack(path))
                for path in inputs
            },
        )
        atomic_files.write_text(
            pathlib.Path(self._workdir) / node_process.TOKEN, self._launcher.token
        )

    def reconcile(self, program: lp.Program) -> None:
        """Starts and stops nodes so that those of `program` run, also after a resize.

        Nodes that are running stay as they are; new nodes are started with the
        addresses of the running ones, and nodes that `program` lacks are asked to stop.

        Raises:
          ValueError: nodes that others use would be added or dropped, or the program
            is stopping.
        """
        if self._stopping:
            raise ValueError("the program is stopping")
        wanted = {
            f"{group}/{i}": (group, i, node)
            for group, nodes in program.groups.items()
            for i, node in enumerate(nodes)
        }
        serving = addresses.serving(program.get_all_nodes())
        for group, nodes in program.groups.items():
            for node in nodes:
                for handle in node.input_handles:
                    handle.connect(node, group)
        now_serving = {
            name for name, (*_, node) in wanted.items() if id(node) in serving
        }
        if self._nodes and now_serving != {n.name for n in self._all() if n.serves}:
            raise ValueError("only nodes that no other node uses can come or go")
        for name, (group, i, node) in wanted.items():
            running = self._nodes.get(name)
            if running is None or running.stop_by is not None:
                if running is not None:
                    self._kill(running)
                needs = resources.of_group(self._needs, group)
                self._nodes[name] = ManagedNode(
                    group, i, node, name in now_serving, needs
                )
            elif running.placed is not None:
                running.bind(node)
        for name in self._nodes.keys() - wanted.keys():
            self._stop(self._nodes[name])

    @property
    def started(self) -> bool:
        """Whether all nodes that others use have started to run."""
        return self._bound

    @property
    def ended(self) -> bool:
        """Whether no node runs or will run."""
        return all(node.phase == "ended" for node in self._all())

    def wait(self, every: Callable[[], None] = lambda: None) -> None:
        """Waits until the program has ended, and cleans up.

        Args:
          every: called at intervals; may stop the program.

        Raises:
          RuntimeError: in one line, which node failed and how.
        """
        try:
            while not self.ended:
                self.step()
                every()
        finally:
            self.close()
        if self._failure is not None:
            raise self._failure

    def stop(self) -> None:
        """Asks all nodes to stop; `step` kills those that still run 12 s later."""
        self._stopping = True
        for node in self._all():
            self._stop(node)

    def kill(self) -> None:
        """Kills all nodes at once."""
        for node in self._all():
            self._kill(node)

    def close(self) -> None:
        """Kills the processes that are left, after their last logs are collected."""
        for ip, process in self._hosts_with_logs().items():
            self._collector.finish(ip, process)
        self.kill()
        (pathlib.Path(self._workdir) / node_process.TOKEN).unlink(missing_ok=True)

    def step(self, seconds: float = 0.5) -> None:
        """Handles what is due; waits at most `seconds` for an event."""
        try:
            self._start_waiting()
            self._start_placed()
            self._collector.step(self._hosts_with_logs())
            self._tell_missing()
            self._answers(seconds)
        except Failed as e:
            if self._failure is None:
                self._failure = e
            self.stop()
        now = time.monotonic()
        for node in self._all():
            if node.phase == "running" and node.stop_by and now > node.stop_by:
                self._report(f"{node.name} did not stop in time and was killed")
                self._kill(node)

    def _all(self) -> list[ManagedNode]:
        return list(self._nodes.values())

    def _start_waiting(self) -> None:
        for node in self._all():
            if node.phase != "waiting" or time.monotonic() < node.start_at:
                continue
            needs = node.needs
            wanted: tuple[int, ...] = ()
            if node.serves and node.placed is not None:
                needs, wanted = needs.at(node.placed.ip), node.placed.ports
            node.process = self._process.options(
                max_concurrency=_CALLS, **needs.options()
            ).remote(node.name, self._launcher)
            node.enter("placing")
            self._call(node, "place", len(node.node.addresses), wanted)

    def _start_placed(self) -> None:
        if not self._bound:
            if not all(n.phase == "placed" for n in self._all() if n.serves):
                return
            self._bound = True
        for node in self._all():
            if node.phase == "placed":
                serialization.enable_lru_cache_pickling_once()
                node.enter("running")
                self._call(node, "run", cloudpickle.dumps(node.node))
                self._call(node, "wait_for_stop_request")

    def _call(self, node: ManagedNode, method: str, *arguments: Any) -> None:
        self._calls[getattr(node.process, method).remote(*arguments)] = (node, method)

    def _answers(self, seconds: float) -> None:
        if not self._calls:
            time.sleep(seconds)
            return
        ray.wait(list(self._calls), num_returns=1, timeout=seconds)
        ready, _ = ray.wait(list(self._calls), num_returns=len(self._calls), timeout=0)
        for call in ready:
            node, method = self._calls.pop(call, (None, ""))
            if node is None:  # call of a process that was killed meanwhile
                continue
            try:
                answer = ray.get(call)
            except (ray.exceptions.RayError, OSError) as e:
                if method in ("place", "run"):
                    self._died(node, e)
                continue
            if method == "place":
                self._on_placed(node, answer)
            elif method == "run":
                self._on_end(node, answer)
            else:
                self.stop()

    def _on_placed(self, node: ManagedNode, placed: node_process.Placed) -> None:
        node.placed = placed
        node.enter("placed")
        if not placed.shares:
            self._collector.begin(placed.ip, placed.found)
            if node.group in self._same_disk:
                raise Failed(
                    f"{node.name} runs on {placed.ip}, which does not see the work "
                    f"directory {self._workdir}; put it on storage that both share"
                )
        node.bind(node.node)

    def _on_end(self, node: ManagedNode, error: str | None) -> None:
        now = time.monotonic()
        worked = now - node.since
        if node.logs_elsewhere is not None:
            self._collector.finish(node.logs_elsewhere, node.process)
        self._kill(node)
        if error is not None and node.stop_by is None:
            loss = self._loss(node, error, worked, now)
            delay = self._restarts.after_exception(loss, now)
            self._again(node, delay, error)

    def _died(self, node: ManagedNode, error: BaseException) -> None:
        now, had_host = time.monotonic(), node.phase == "running"
        worked = now - node.since if had_host else 0.0
        self._kill(node)
        if node.stop_by is not None:
            return
        if had_host and node.placed and cluster.lost(node.placed.host_id):
            reason = f"host {node.placed.ip} is lost"
            delay = self._restarts.after_host_lost(node.name, now)
        else:
            reason = cluster.reason(error)
            loss = self._loss(node, reason, worked, now)
            delay = self._restarts.after_death(loss, now)
        self._again(node, delay, reason)

    def _loss(self, node: ManagedNode, reason: str, worked: float, now: float) -> Loss:
        peers = {
            other.name: now - other.since
            for other in self._all()
            if other.group == node.group and other.phase == "running"
        }
        return Loss(node.name, reason, worked, node.needs.dispensable, peers)

    def _again(self, node: ManagedNode, delay: float, reason: str) -> None:
        node.enter("waiting")
        node.start_at = time.monotonic() + delay
        self._report(f"{node.name}: {reason}; starts again in {delay:g} s")

    def _stop(self, node: ManagedNode) -> None:
        if node.stop_by is not None:
            return
        node.stop_by = time.monotonic() + _GRACE_SECONDS
        if node.phase == "running":
            node.process.stop.remote()
        else:
            self._kill(node)

    def _kill(self, node: ManagedNode) -> None:
        """Kills a node's process, if it has one, and drops its pending calls."""
        node.enter("ended")
        self._calls = {c: v for c, v in self._calls.items() if v[0] is not node}
        if node.process is not None:
            ray.kill(node.process)
            node.process = None

    def _hosts_with_logs(self) -> dict[str, Any]:
        """Returns a process of each host that lacks the launcher's work directory."""
        return {
            node.logs_elsewhere: node.process
            for node in self._all()
            if node.phase == "running" and node.logs_elsewhere is not None
        }

    def _tell_missing(self) -> None:
        now = time.monotonic()
        late = [
            node
            for node in self._all()
            if node.phase == "placing" and now - node.since > _TELL_SECONDS
        ]
        names = frozenset(node.name for node in late)
        if names and names != self._told:
            self._report(
                f"not started yet, for want of room or time: {', '.join(sorted(names))}"
            )
        self._told = names
        for node in late:
            patient = self._bound or now - node.since <= _PLACE_SECONDS
            if patient or any(node.needs.fit(h) for h in cluster.hosts()):
                continue
            raise Failed(
                f"no host has what {node.name} needs: {node.needs}; "
                f"the cluster has {cluster.describe()}"
            )
