"""Runs light actors against a replay server and a cacher; accounts for all items."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import reverb
import tqdm

from benchmarks.load import actors as light_actors
from benchmarks.load import limits, processes, servers, usage
from benchmarks.load.settings import Inputs, Settings

_DRAIN_SECONDS = 600.0


class Run(NamedTuple):
    """Results of a run."""

    result: dict[str, Any]
    samples: list[usage.Sample]
    insert: np.ndarray  # seconds of each


def total(parts: Sequence[light_actors.Progress]) -> light_actors.Progress:
    """Sums the totals of processes."""
    return light_actors.Progress(*(sum(column) for column in zip(*parts, strict=True)))


def lost(created: int, received: int) -> int:
    """Counts items that adders created and the table did not receive.

    A negative count means that the table received some twice: a writer repeats items
    that were not acknowledged when its connection broke.
    """
    return created - received


def percentiles(name: str, seconds: np.ndarray) -> dict[str, float | None]:
    """Returns p50, p99 and the maximum by name; None where nothing was measured."""
    names = [f"{name}_{statistic}_seconds" for statistic in ("p50", "p99", "max")]
    if not len(seconds):
        return dict.fromkeys(names)
    values = np.percentile(seconds, [50, 99, 100])
    return dict(zip(names, map(float, values), strict=True))


def measure(settings: Settings, inputs: Inputs) -> Run:
    """Connects all actors, lets them step, and drains them; shows progress.

    Raises:
      processes.Failed: a node failed.
    """
    with processes.running(inputs.logs) as start:
        program = servers.start_program(start, settings, inputs.variables)
        loads = [
            start(
                f"actors_{i}",
                light_actors.run,
                light_actors.Load(
                    agent=settings.agent,
                    seed=settings.seed,
                    actors=numbers,
                    episodes=inputs.episodes,
                    variables=inputs.variables,
                    replay_port=program.replay_port,
                    cacher_port=program.cacher_port,
                    seconds_per_step=(
                        settings.actors / settings.steps_per_second
                        if settings.steps_per_second
                        else 0.0
                    ),
                    update_period=settings.update_period,
                    threads=settings.threads,
                ),
            )
            for i, numbers in enumerate(
                light_actors.split(settings.actors, settings.processes)
            )
        ]
        _wait_for_connections(loads, settings.actors)
        client = reverb.Client(f"localhost:{program.replay_port}")
        before = servers.inserts(client)
        nodes = [*program.nodes, *loads]
        with (
            limits.held(settings.server_cores, program.nodes[0].pid),
            usage.Watch({node.name: node.pid for node in nodes}) as watch,
        ):
            begin = time.monotonic()
            for load in loads:
                load.send("go")
            _watch_progress(loads, settings.seconds, begin)
            connected = {
                "replay_connections": usage.connections(program.replay_port),
                "cacher_connections": usage.connections(program.cacher_port),
            }
            for load in loads:
                load.send("stop")
            stopped = total([load.receive("stopped") for load in loads])
            elapsed = time.monotonic() - begin
            middle = servers.inserts(client)
        reports = [load.receive("report", _DRAIN_SECONDS) for load in loads]
        after = servers.inserts(client)
    end = total([report.progress for report in reports])
    used = usage.summarise(watch.samples)
    insert = _together(reports, "insert")
    result = {
        "actors": settings.actors,
        "seconds": elapsed,
        "steps_per_second": stopped.steps / elapsed,
        "steps_per_second_wanted": settings.steps_per_second or None,
        "inserts_per_second": (middle.completed - before.completed) / elapsed,
        "fetches_per_second": stopped.fetches / elapsed,
        "steps": end.steps,
        "items_created": end.items,
        "items_received": after.completed,
        "lost": lost(end.items, after.completed),
        "errors": end.errors,
        "error_messages": [line for report in reports for line in report.errors],
        **percentiles("insert", insert),
        **percentiles("acknowledge", _together(reports, "acknowledge")),
        **percentiles("fetch", _together(reports, "fetch")),
        **connected,
        "nodes": {node: of_node._asdict() for node, of_node in used.items()},
        "settings": dataclasses.asdict(settings),
    }
    return Run(result, watch.samples, insert)


def _together(reports: Sequence[light_actors.Report], name: str) -> np.ndarray:
    return np.concatenate([getattr(report, name) for report in reports])


def _wait_for_connections(loads: Sequence[processes.Node], actors: int) -> None:
    """Shows progress while the nodes connect in parallel."""
    waiting = list(loads)
    counts = dict.fromkeys((load.name for load in loads), 0)
    with tqdm.tqdm(total=actors, desc="connecting", unit="actor") as bar:
        while waiting:
            for load in list(waiting):
                message = load.poll(0.05)
                if message is None:
                    continue
                kind, content = message
                if kind == "ready":
                    waiting.remove(load)
                elif kind == "connected":
                    bar.update(content - counts[load.name])
                    counts[load.name] = content


def _watch_progress(
    loads: Sequence[processes.Node], seconds: float, begin: float
) -> None:
    """Shows the actors' steps and items until the time is over."""
    newest = {load.name: light_actors.Progress(0, 0, 0, 0) for load in loads}
    with tqdm.tqdm(total=round(seconds), desc="stepping", unit="s") as bar:
        while (elapsed := time.monotonic() - begin) < seconds:
            for load in loads:
                message = load.poll(min(0.1, seconds - elapsed))
                if message is not None:
                    newest[load.name] = message[1]
            sums = total(list(newest.values()))
            bar.set_postfix(sums._asdict(), refresh=False)
            bar.update(min(int(elapsed), bar.total) - bar.n)
        bar.update(bar.total - bar.n)
