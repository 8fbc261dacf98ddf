"""Changes the number of actors of an experiment that runs on Ray.

python -m launchers.resize --workdir=DIR --num_actors=N

The launcher of `--launch=ray` in that directory starts the actors that are missing, or
stops those of the highest numbers.
"""

from __future__ import annotations

from collections.abc import Sequence

from absl import flags

from launchers.common import cli
from launchers.distributed.ray import resize_request

_WORKDIR = flags.DEFINE_string("workdir", None, "Work directory of the running launch.")
_NUM_ACTORS = flags.DEFINE_integer("num_actors", None, "Actors that it shall have.")


def main(argv: Sequence[str]) -> None:
    """Sends the request and waits for the launcher."""
    del argv
    with cli.bad_input():
        if _WORKDIR.value is None or _NUM_ACTORS.value is None:
            raise ValueError("give --workdir and --num_actors")
        resize_request.ask(_WORKDIR.value, _NUM_ACTORS.value)
    print(f"the launcher in {_WORKDIR.value} goes on with {_NUM_ACTORS.value} actors")


if __name__ == "__main__":
    cli.run(main)
