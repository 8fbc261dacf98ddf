"""Schema of a data set: names, features, and the settings that decide its content.

The format is RLDS as TFDS stores it. Step t holds o_t, the executed action a_t and the
intended one, and the reward and discount received after it; the last step holds the
final observation, with zero actions, reward and discount. https://github.com/google-research/rlds
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from dm_env import specs

from datasets.rlds import recipes
from environments import EnvironmentConfig, objects, scene

DATASET_NAME = "helms_stacking"
VERSION = "1.1.0"  # 1.0.0 lacks EXPERT_ACTION.
SPLIT = "train"
FILE_FORMAT = "tfrecord"

ACTION_SIZE = 5
# The action that the expert intended, before exploration noise: DART's label (Laskey et
# al. 2017) beside the executed "action".
EXPERT_ACTION = "expert_action"
KEEP = ("all", "successes")
UNKNOWN_PHASE = -1  # Phase of steps whose expert has none, and of every last step.

DESCRIPTION = (
    "Episodes in the RLDS format, of a Sawyer arm that stacks RGB objects where "
    "manifest.json names no other environment. A step's "
    "reward and discount are those got after its action; the last step holds the final "
    "observation alone. expert_action is what the expert intended before it added "
    "noise, action what was executed. expert_phase indexes the metadata's "
    "expert_phases (-1: none). builder.info.metadata has statistics of every dimension "
    "of the steps."
)


def shard_name(shard: int, num_shards: int, dataset: str = DATASET_NAME) -> str:
    """Returns the file name that TFDS expects."""
    return f"{dataset}-{SPLIT}.{FILE_FORMAT}-{shard:05d}-of-{num_shards:05d}"


def shard_glob() -> str:
    """Returns the pattern of all files' names, whatever their number."""
    return f"{DATASET_NAME}-{SPLIT}.{FILE_FORMAT}-*-of-*"


_MAX_EPISODES = 10_000_000
_NO_COMBINATION = {"task": None, "object_set": None}


@dataclasses.dataclass(frozen=True)
class Settings:
    """Settings that decide the content of a collected data set and its files' names.

    Attributes:
      environment: environment of the episodes; where `dataset` is given, with the task
        and object set of its first combination.
      expert: one of `experts.FORMS`, or a name of the caller's own expert.
      episodes: number of episodes kept, over all shards.
      seed: seed from which, with its index, every episode's seed derives.
      episodes_per_shard: episodes in every file but the last.
      dataset: name of a recipe, whose combinations episodes take in turns, or None.
      keep: one of `KEEP`; successes are the first `episodes` that succeed.
    """

    environment: EnvironmentConfig
    expert: str
    episodes: int
    seed: int = 0
    episodes_per_shard: int = 10
    dataset: str | None = None
    keep: str = "all"

    def __post_init__(self) -> None:
        """Raises ValueError for values that are invalid or contradict each other."""
        scene.one_of("keep", self.keep, KEEP)
        if self.dataset is not None:
            scene.one_of("dataset", self.dataset, recipes.RECIPES)
            if self.environment.environment is not None:
                raise ValueError(
                    f"dataset {self.dataset} is of the Sawyer cell: leave it out "
                    f"beside {self.environment.environment}"
                )
            task, object_set = self.combinations[0]
            first = dataclasses.replace(
                self.environment, task=task, object_set=object_set
            )
            object.__setattr__(self, "environment", first)
        if self.episodes > _MAX_EPISODES:
            raise ValueError(
                f"episodes is {self.episodes}; valid: 1 to {_MAX_EPISODES:,}"
            )
        for name, low in (("episodes", 1), ("episodes_per_shard", 1), ("seed", 0)):
            if getattr(self, name) < low:
                value = getattr(self, name)
                raise ValueError(f"{name} is {value}; valid: whole numbers from {low}")

    def to_dict(self) -> dict[str, Any]:
        """Returns the settings as in the manifest, the environment's among them.

        Task and object set are None where `dataset` is given.
        """
        own = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        found = {**own.pop("environment").to_dict(), **own}
        return {**found, **({} if self.dataset is None else _NO_COMBINATION)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Settings:
        """Returns the settings that `to_dict` wrote; absent ones take their defaults.

        Raises:
          ValueError: a setting is unknown, missing or invalid.
        """
        own = {f.name for f in dataclasses.fields(cls)} - {"environment"}
        environment = {k: v for k, v in values.items() if k not in own}
        if values.get("dataset") is not None:
            for name in _NO_COMBINATION:
                environment.pop(name, None)
        try:
            return cls(
                environment=EnvironmentConfig.from_dict(environment),
                **{k: v for k, v in values.items() if k in own},
            )
        except TypeError as e:
            raise ValueError(str(e)) from e

    @property
    def combinations(self) -> tuple[recipes.Combination, ...]:
        """The tasks and object sets that episodes take in turns."""
        if self.dataset is not None:
            return recipes.RECIPES[self.dataset]
        if self.environment.environment is not None:
            return ((self.environment.environment, 0),)
        return ((self.environment.task, self.environment.object_set),)

    def combination(self, index: int) -> recipes.Combination:
        """Returns the task and object set of an episode."""
        return self.combinations[index % len(self.combinations)]

    @property
    def num_shards(self) -> int:
        """The number of files."""
        return -(-self.episodes // self.episodes_per_shard)

    def shard_episodes(self, shard: int) -> range:
        """Returns the positions of a file's episodes among those that are kept."""
        first = shard * self.episodes_per_shard
        return range(first, min(first + self.episodes_per_shard, self.episodes))

    def episode_seed(self, index: int) -> int:
        """Derives an episode's seed, in [0, 2^63), from `seed` and `index` alone."""
        return self._word(index, 0)

    def expert_seed(self, index: int) -> int:
        """Derives the expert's seed, which differs from the environment's."""
        return self._word(index, 1)

    def _word(self, index: int, which: int) -> int:
        words = np.random.SeedSequence((self.seed, index)).generate_state(2, np.uint64)
        return int(words[which] >> np.uint64(1))


@dataclasses.dataclass(frozen=True)
class EpisodeSummary:
    """Summary of an episode, for the manifest and the progress bar.

    Attributes:
      index: index from 0, over all episodes that were tried.
      seed: seed of the environment.
      success: whether the task was solved at the episode's end.
      steps: control steps, one less than the RLDS steps.
      episode_return: sum of rewards.
    """

    index: int
    seed: int
    success: bool
    steps: int
    episode_return: float


def summary(example: Mapping[str, Any]) -> EpisodeSummary:
    """Returns the summary of an example: steps as arrays [T+1, ...], and metadata."""
    metadata, reward = example["episode_metadata"], example["steps"]["reward"]
    return EpisodeSummary(
        index=int(metadata["episode_index"]),
        seed=int(metadata["seed"]),
        success=bool(metadata["success"]),
        steps=len(reward) - 1,
        episode_return=float(reward.sum()),
    )


def features(
    observation_spec: Mapping[str, specs.Array], action_spec: specs.Array
) -> Any:
    """Returns the `tfds.features.FeaturesDict` of an episode."""
    import tensorflow_datasets as tfds  # Takes seconds; flags do not need it.

    f = tfds.features

    def feature(spec: specs.Array) -> Any:
        if is_image(spec):
            return f.Image(shape=spec.shape, encoding_format="png")
        return f.Tensor(shape=spec.shape, dtype=spec.dtype)

    action = feature(action_spec)
    if isinstance(action_spec, specs.BoundedArray):
        document = f.Documentation(value_range=range_text(action_spec))
        action = f.Tensor(shape=action_spec.shape, dtype=np.float32, doc=document)
    return f.FeaturesDict(
        {
            "steps": f.Dataset(
                {
                    "observation": f.FeaturesDict(
                        {name: feature(s) for name, s in observation_spec.items()}
                    ),
                    "action": action,
                    EXPERT_ACTION: action,
                    "reward": f.Scalar(np.float32),
                    "discount": f.Scalar(np.float32),
                    "is_first": f.Scalar(np.bool_),
                    "is_last": f.Scalar(np.bool_),
                    "is_terminal": f.Scalar(np.bool_),
                    "expert_phase": f.Scalar(np.int32),
                }
            ),
            "episode_metadata": f.FeaturesDict(
                {
                    "success": f.Scalar(np.bool_),
                    "task": f.Text(),
                    "reward": f.Text(),
                    "object_set": f.Scalar(np.int32),  # 0: random
                    "seed": f.Scalar(np.int64),
                    "episode_index": f.Scalar(np.int64),
                    "action_delay": f.Scalar(np.int32),
                    "expert": f.Text(),
                    "expert_phases": f.Text(),  # JSON list of names
                    "randomization": f.Text(),  # JSON object of the values drawn
                    "invalid": f.Scalar(np.bool_),  # the simulation diverged
                }
            ),
        }
    )


def range_text(spec: specs.BoundedArray) -> str:
    """Returns an action's bounds as `columns.Columns.bounds` are read: JSON lists."""
    bounds = (np.broadcast_to(x, spec.shape) for x in (spec.minimum, spec.maximum))
    return json.dumps([bound.tolist() for bound in bounds])


def object_set_number(object_set: objects.ObjectSet) -> int:
    """Returns the number stored with an episode: 1 to 5; 0 if random or chosen."""
    return object_set if isinstance(object_set, int) else 0


def is_image(spec: Any) -> bool:
    """Returns whether arrays of a spec are stored as PNG: uint8 [H, W, 3]."""
    return spec.dtype == np.uint8 and len(spec.shape) == 3 and spec.shape[-1] == 3
