"""Environment of the processes of each group of nodes, however they are launched."""

from __future__ import annotations

from launchers.common import onednn

LAUNCHER = "HELMS_LAUNCHER"  # environment variable: pid of the launcher

# TensorFlow and BLAS read these before they start threads.
_ONE_THREAD = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "TF_NUM_INTRAOP_THREADS": "1",
    "TF_NUM_INTEROP_THREADS": "1",
}
_HIDE_GPU = {"CUDA_VISIBLE_DEVICES": ""}
_ACTING = ("actor", "evaluator")


def variables(group: str, gpu: bool = False) -> dict[str, str]:
    """Returns a group's variables: no GPU unless `gpu`, one thread for nodes that act.

    `onednn` chooses whether they use oneDNN.
    """
    return {
        **onednn.variables(group in _ACTING),
        **({} if gpu else _HIDE_GPU),
        **(_ONE_THREAD if group in _ACTING else {}),
    }


def dispensable(group: str) -> bool:
    """Returns whether the program can run for a while without a node of this group."""
    return group in _ACTING
