"""Test that a run survives the loss of a host, with three hosts on one machine.

python -m scripts.ray_hosts        (as root, from the repository's root; Linux)

Each host is a network namespace on a bridge, with its own address, /tmp/ray and work
directory. The head runs the launcher and all nodes except the actors; the two others
have room for one actor each. Once both act, the last host's link goes down. The other
hosts must continue; when the link is up and the host has joined again, an actor must
act there again and its logs must reach the head. This is repeated `--cuts` times. The
last line printed is one JSON object; the exit code is 1 if the test fails.
"""

from __future__ import annotations

import contextlib
import csv
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import tqdm
from absl import flags

from launchers.common import cli

_CUT_SECONDS = flags.DEFINE_float("cut_seconds", 60.0, "How long the link is down.")
_CUTS = flags.DEFINE_integer("cuts", 1, "How often.", lower_bound=1)
_PATIENCE = flags.DEFINE_float("patience", 600.0, "Seconds to wait for each change.")
_KEEP = flags.DEFINE_bool("keep", False, "Keep the directory of logs.")
_LAUNCHER = flags.DEFINE_string("launcher", None, "For the script itself.")

_BRIDGE = "helmsbr"
_HOSTS = ("head", "near", "far")
_PORT = 6379
# A host is lost after about period x threshold; Ray's defaults take a minute.
_HEALTH = {
    "RAY_health_check_initial_delay_ms": "5000",
    "RAY_health_check_period_ms": "2000",
    "RAY_health_check_timeout_ms": "5000",
    "RAY_health_check_failure_threshold": "3",
}


def _ip(host: str) -> str:
    return f"10.77.0.{1 + _HOSTS.index(host)}"


def _space(host: str) -> str:
    return f"helms-{host}"


def _do(*arguments: str) -> None:
    subprocess.run(arguments, check=True, capture_output=True)


@contextlib.contextmanager
def _network() -> Iterator[None]:
    """Makes the namespaces and their bridge; at exit ends all that runs in them."""
    try:
        _do("ip", "link", "add", _BRIDGE, "type", "bridge")
        _do("ip", "link", "set", _BRIDGE, "up")
        for host in _HOSTS:
            space, outside = _space(host), f"helms{host}"
            inside = ("ip", "-n", space)
            _do("ip", "netns", "add", space)
            peer = ("peer", "name", "eth0", "netns", space)
            _do("ip", "link", "add", outside, "type", "veth", *peer)
            _do("ip", "link", "set", outside, "master", _BRIDGE, "up")
            _do(*inside, "addr", "add", f"{_ip(host)}/24", "dev", "eth0")
            _do(*inside, "link", "set", "eth0", "up")
            _do(*inside, "link", "set", "lo", "up")
        yield
    finally:
        for host in _HOSTS:
            _end_all(host)
            subprocess.run(["ip", "netns", "del", _space(host)], capture_output=True)
        subprocess.run(["ip", "link", "del", _BRIDGE], capture_output=True)


def _end_all(host: str) -> None:
    """Kills all processes of a host."""
    listed = subprocess.run(
        ["ip", "netns", "pids", _space(host)], capture_output=True, text=True
    )
    for pid in listed.stdout.split():
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(pid), signal.SIGKILL)


def _start(
    host: str, root: pathlib.Path, arguments: Sequence[str], log: str
) -> subprocess.Popen:
    """Runs a command in a host, with the host's own disk in place of the head's."""
    mounts = {f"{root}/{host}/ray": "/tmp/ray"}
    if host != "head":
        mounts[f"{root}/{host}/run"] = f"{root}/run"
    for path in (*mounts, *mounts.values()):
        pathlib.Path(path).mkdir(parents=True, exist_ok=True)
    script = [f"mount --bind {disk} {place}" for disk, place in mounts.items()]
    script.append('exec "$@"')
    with open(root / log, "ab") as output:
        return subprocess.Popen(
            ["ip", "netns", "exec", _space(host), "sh", "-ec", "; ".join(script)]
            + ["sh", sys.executable, *arguments],
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, **_HEALTH, "RAY_USAGE_STATS_ENABLED": "0"},
        )


def _join(host: str, root: pathlib.Path) -> subprocess.Popen:
    """Starts Ray in a host; the process ends when Ray does."""
    where = ["--address", f"{_ip('head')}:{_PORT}"]
    if host == "head":
        where = ["--head", "--port", str(_PORT), "--include-dashboard=false"]
    return _start(
        host,
        root,
        ["-m", "ray.scripts.scripts", "start", "--block", *where]
        + ["--node-ip-address", _ip(host), "--num-cpus", "1"]
        + ["--object-store-memory", str(128 * 2**20)],
        f"{host}.txt",
    )


def _link(host: str, state: str) -> None:
    _do("ip", "link", "set", f"helms{host}", state)


def _until(what: str, condition: Callable[[], Any]) -> float:
    """Waits until `condition` holds and returns the seconds that it took.

    Raises:
      TimeoutError: the condition does not hold within `--patience` seconds.
    """
    begin = time.monotonic()
    while not condition():
        if time.monotonic() - begin > _PATIENCE.value:
            raise TimeoutError(f"not within {_PATIENCE.value:g} s: {what}")
        time.sleep(0.5)
    return round(time.monotonic() - begin, 1)


def _starts(workdir: pathlib.Path, host: str) -> list[str]:
    """Returns the actors that were started in a host, by their output on the head."""
    actors = []
    for path in sorted((workdir / "logs/output/actor").glob("*")):
        header = rf"^--- .* actor/\d+ on {re.escape(_ip(host))}, process"
        actors += [path.name] * len(re.findall(header, path.read_text(), re.M))
    return actors


def _rows(workdir: pathlib.Path, actor: str = "*") -> list[dict[str, str]]:
    """Returns the episodes of an actor, or of all, that have reached the head."""
    rows = []
    for path in workdir.glob(f"logs/actor_{actor}/logs.csv"):
        with path.open(newline="") as f:
            rows += list(csv.DictReader(f))
    return rows


def _steps(workdir: pathlib.Path) -> int:
    return int(max((float(r["actor_steps"]) for r in _rows(workdir)), default=0))


def _check(root: pathlib.Path, results: dict[str, Any]) -> None:
    """Runs the test and writes each measurement into `results`."""
    workdir = root / "run"
    joined = {"head": _join("head", root)}
    head = root / "head.txt"
    _until("Ray runs on the head", lambda: "runtime started" in head.read_text())
    for host in _HOSTS[1:]:
        joined[host] = _join(host, root)
    launcher = _start(
        "head", root, ["-m", "scripts.ray_hosts", f"--launcher={workdir}"], "launcher"
    )

    def both_act() -> bool:
        if launcher.poll() is not None:
            raise ChildProcessError("the launcher ended early")
        starts = [_starts(workdir, host) for host in _HOSTS[1:]]
        return all(s and len(_rows(workdir, s[-1])) > 1 for s in starts)

    results["seconds_to_act"] = _until("actors act on both hosts", both_act)
    near = _starts(workdir, "near")[-1]
    for _ in tqdm.tqdm(range(_CUTS.value), unit="cut"):
        cut: dict[str, Any] = {}
        results["cuts"].append(cut)
        joined["far"] = _cut_off(root, joined["far"], near, cut)

    launcher.send_signal(signal.SIGINT)
    begin = time.monotonic()
    launcher.wait(60)
    results["seconds_to_stop"] = round(time.monotonic() - begin, 1)
    results["stopped_by"] = (root / "launcher").read_text().splitlines()[-1]
    results["actor_steps"] = _steps(workdir)
    checkpoints = list((workdir / "checkpoints" / "learner").glob("ckpt-*.index"))
    results["ok"] = (
        all(cut["near_episodes"] > 0 for cut in results["cuts"])
        and results["stopped_by"] == "signal"
        and bool(checkpoints)
    )


def _cut_off(
    root: pathlib.Path, ray: subprocess.Popen, near: str, results: dict[str, Any]
) -> subprocess.Popen:
    """Cuts the far host off for a while and lets it join again.

    Args:
      root: directory of all logs.
      ray: Ray process of the far host.
      near: actor that must continue meanwhile.
      results: measurements, to which the call adds.

    Returns:
      The far host's new Ray process.
    """
    workdir, launcher = root / "run", root / "launcher"
    lost = f"host {_ip('far')} is lost"
    far, losses = _starts(workdir, "far")[-1], launcher.read_text().count(lost)
    results["actor_steps_before"] = _steps(workdir)
    _link("far", "down")
    begin, rows = time.monotonic(), len(_rows(workdir, near))
    results["seconds_until_lost"] = _until(
        "the launcher sees the loss",
        lambda: launcher.read_text().count(lost) > losses,
    )
    time.sleep(max(0.0, _CUT_SECONDS.value - (time.monotonic() - begin)))
    results["seconds_cut"] = round(time.monotonic() - begin, 1)
    results["actor_steps_after"] = _steps(workdir)
    results["near_episodes"] = len(_rows(workdir, near)) - rows

    _link("far", "up")
    try:
        ray.wait(30)
        results["far_left_by_itself"] = True
    except subprocess.TimeoutExpired:
        results["far_left_by_itself"] = False
    _end_all("far")
    starts = len(_starts(workdir, "far"))
    rows = len(_rows(workdir, far))
    joined = _join("far", root)
    results["seconds_until_back"] = _until(
        "an actor acts on the host that joined again",
        lambda: (
            len(_starts(workdir, "far")) > starts and len(_rows(workdir, far)) > rows
        ),
    )
    return joined


def _launch(workdir: str) -> None:
    """Launches the run in the head."""
    from launchers.distributed.ray import launch
    from launchers.experiments.config import Budget
    from tests.helpers import fakes

    budget = Budget(run_seconds=3600, max_actor_steps=None, eval_episodes=0)
    # Actors do not wait for the learner, and the learner takes little time from them.
    experiment = fakes.make_experiment(
        workdir,
        budget=budget,
        samples_per_insert=0.0,
        batch_size=8,
        **fakes.TINY_NETWORKS,
    )
    print(
        launch.run(
            experiment,
            num_actors=2,
            address=f"{_ip('head')}:{_PORT}",
            report=lambda line: print(line, flush=True),
        ),
        flush=True,
    )


def main(argv: Sequence[str]) -> None:
    """Makes the network, runs the test, cleans up and prints the result."""
    del argv
    if _LAUNCHER.value:
        _launch(_LAUNCHER.value)
        return
    if os.geteuid() != 0 or shutil.which("ip") is None:
        cli.fail("this needs root and the command ip (Debian: iproute2)")
    # Without this the script would leave the namespaces behind.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    root = pathlib.Path(tempfile.mkdtemp(prefix="ray_hosts_"))
    results: dict[str, Any] = {"ok": False, "cuts": []}
    try:
        with _network():
            _check(root, results)
    except (TimeoutError, ChildProcessError, subprocess.SubprocessError) as e:
        results["error"] = str(e)
    finally:
        if _KEEP.value or not results["ok"]:
            print(f"logs: {root}", file=sys.stderr)
        else:
            shutil.rmtree(root)
    print(json.dumps(results))
    raise SystemExit(0 if results["ok"] else 1)


if __name__ == "__main__":
    cli.run(main)
