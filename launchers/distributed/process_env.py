"""What the processes of a group of nodes are like, however they are launched."""

from __future__ import annotations

from launchers.common import onednn

LAUNCHER = "HELMS_LAUNCHER"  # variable: pid of the launcher of processes

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
    """Environment variables: no GPU unless `gpu`, one thread for those that act.

    Whether they compute with oneDNN, `onednn` says.
    """
    return {
        **onednn.variables(group in _ACTING),
        **({} if gpu else _HIDE_GPU),
        **(_ONE_THREAD if group in _ACTING else {}),
    }


def dispensable(group: str) -> bool:
    """Whether the rest goes on for a while without a node of this group."""
    return group in _ACTING
