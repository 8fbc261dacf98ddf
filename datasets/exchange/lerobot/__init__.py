"""Data sets in LeRobot's layout, version 3.0, out and in.

`data/` has a row per step that has an action, `meta/episodes/` one per episode,
`meta/info.json` the features. A name of RLDS becomes one of LeRobot, with dots
(`observation/wrist/angle`: `observation.wrist.angle`), and an array is flattened. What
the layout has no place for lies in columns of `meta/episodes/`: `rlds/last/NAME`, the
values of the last step, and `rlds/metadata/NAME`; and in `rlds` of `info.json`: names
and shapes of RLDS, and what is of no single episode. Images are PNG in `data/`, or
lossless H.264, a file per episode, in `videos/`. T is the number of control steps.
https://huggingface.co/docs/lerobot/lerobot-dataset-v3
"""

from datasets.exchange.lerobot.reader import import_data
from datasets.exchange.lerobot.writer import export

__all__ = ("export", "import_data")
