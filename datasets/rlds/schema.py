"""What a data set looks like: names, features, and what decides its content.

The format is RLDS as TFDS stores it. Step t holds o_t, the action a_t taken there
and the one intended, and the reward and discount got after it; the last step holds the
final observation, with zero actions, reward and discount. https://github.com/google-research/rlds
"""

from __future__ import annotations

import dataclasses
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
# The action that the expert intended, before its exploration noise: DART's label
# (Laskey et al. 2017) beside the executed "action".
EXPERT_ACTION = "expert_action"
KEEP = ("all", "successes")
UNKNOWN_PHASE = -1  # Of a step whose expert has no phases, and of every last step.

DESCRIPTION = (
    "Episodes of a Sawyer arm that stacks RGB objects, in the RLDS format. A step's "
    "reward and discount are those got after its action; the last step holds the final "
    "observation alone. expert_action is what the expert intended before it added "
    "noise, action what was executed. expert_phase indexes the metadata's "
    "expert_phases (-1: none). builder.info.metadata has statistics of every dimension "
    "of the steps."
)


def shard_name(shard: int, num_shards: int) -> str:
    """Returns the file name that TFDS looks for."""
    return f"{DATASET_NAME}-{SPLIT}.{FILE_FORMAT}-{shard:05d}-of-{num_shards:05d}"


_MAX_EPISODES = 10_000_000
_NO_COMBINATION = {"task": None, "object_set": None}


@dataclasses.dataclass(frozen=True)
class Settings:
    """All that decides the content of a collected data set, and its files' names.

    Attributes:
      environment: of the episodes; where `dataset` has tasks and object sets, those of
        its first combination.
      expert: one of `experts.FORMS`, or what the caller calls its own.
      episodes: how many are kept, over all shards.
      seed: every episode's seed derives from this and its index.
      episodes_per_shard: of every file but the last.
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
        """Raises ValueError for values that are not valid, or contradict each other."""
        scene.one_of("keep", self.keep, KEEP)
        if self.dataset is not None:
            scene.one_of("dataset", self.dataset, recipes.RECIPES)
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
        """Returns the settings as the manifest has them, the environment's beside.

        Task and object set are None where `dataset` has them.
        """
        own = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        found = {**own.pop("environment").to_dict(), **own}
        return {**found, **({} if self.dataset is None else _NO_COMBINATION)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Settings:
        """Returns the settings that `to_dict` wrote; absent ones have their defaults.

        Raises:
          ValueError: one is unknown, lacks or is not valid.
        """
        own = {f.name for f in dataclasses.fields(cls)}
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
        """Tasks and object sets, of which the episodes take one after another."""
        if self.dataset is not None:
            return recipes.RECIPES[self.dataset]
        return ((self.environment.task, self.environment.object_set),)

    def combination(self, index: int) -> recipes.Combination:
        """Task and object set of an episode."""
        return self.combinations[index % len(self.combinations)]

    @property
    def num_shards(self) -> int:
        """Number of files."""
        return -(-self.episodes // self.episodes_per_shard)

    def shard_episodes(self, shard: int) -> range:
        """Places of one file's episodes among those that are kept."""
        first = shard * self.episodes_per_shard
        return range(first, min(first + self.episodes_per_shard, self.episodes))

    def episode_seed(self, index: int) -> int:
        """Seed of an episode, in [0, 2^63): a function of `seed` and `index` alone."""
        return self._word(index, 0)

    def expert_seed(self, index: int) -> int:
        """Seed of the expert: another, so that its noise is not the environment's."""
        return self._word(index, 1)

    def _word(self, index: int, which: int) -> int:
        words = np.random.SeedSequence((self.seed, index)).generate_state(2, np.uint64)
        return int(words[which] >> np.uint64(1))


@dataclasses.dataclass(frozen=True)
class EpisodeSummary:
    """What the manifest and the progress bar need of an episode.

    Attributes:
      index: from 0, over all that were tried.
      seed: of the environment.
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
    import tensorflow_datasets as tfds  # Takes seconds; checks of flags do without.

    f = tfds.features

    def feature(spec: specs.Array) -> Any:
        if is_image(spec):
            return f.Image(shape=spec.shape, encoding_format="png")
        return f.Tensor(shape=spec.shape, dtype=spec.dtype)

    return f.FeaturesDict(
        {
            "steps": f.Dataset(
                {
                    "observation": f.FeaturesDict(
                        {name: feature(s) for name, s in observation_spec.items()}
                    ),
                    "action": f.Tensor(shape=action_spec.shape, dtype=np.float32),
                    EXPERT_ACTION: f.Tensor(shape=action_spec.shape, dtype=np.float32),
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
                    "randomization": f.Text(),  # JSON object of what was drawn
                    "invalid": f.Scalar(np.bool_),  # the simulation diverged
                }
            ),
        }
    )


def object_set_number(object_set: objects.ObjectSet) -> int:
    """As stored with each episode: 1 to 5, or 0 for random or chosen objects."""
    return object_set if isinstance(object_set, int) else 0


def is_image(spec: Any) -> bool:
    """Whether an array spec is stored as PNG: uint8 [H, W, 3]."""
    return spec.dtype == np.uint8 and len(spec.shape) == 3 and spec.shape[-1] == 3
