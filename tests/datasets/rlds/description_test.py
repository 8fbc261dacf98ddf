"""A data set runs no code, and its files are those of its directory."""

import json
import shutil
import sys

import numpy as np
import pytest
import tensorflow_datasets as tfds

from datasets import loader
from datasets.rlds import description, files, reader
from tests.helpers import dataset_files

CLASS = "stowaway_features.Feature"
LEGACY = {"type": CLASS, "content": {"shape": [], "dtype": "float32"}}
PROTO = {"pythonClassName": CLASS, "tensor": {"dtype": "float32"}}
DICTIONARY = "tensorflow_datasets.core.features.features_dict.FeaturesDict"


@pytest.fixture(scope="module")
def clean(tmp_path_factory):
    directory = tmp_path_factory.mktemp("description") / "clean"
    return dataset_files.write(directory, dataset_files.examples(2))


@pytest.fixture
def stowaway(tmp_path, monkeypatch):
    """A module on the path, as it would be in the current directory."""
    where = tmp_path / "path"
    where.mkdir()
    (where / "stowaway_features.py").write_text("raise SystemExit('the code ran')")
    monkeypatch.syspath_prepend(str(where))


def _change(directory, name, change):
    content = json.loads((directory / name).read_text())
    change(content)
    (directory / name).write_text(json.dumps(content))


def _nested(content, feature):
    steps = content["featuresDict"]["features"]["steps"]["sequence"]["feature"]
    steps["featuresDict"]["features"]["reward"] = feature


def _replaced(content, feature):
    content.clear()
    content.update(feature)


@pytest.mark.usefixtures("stowaway")
@pytest.mark.parametrize(
    ("file", "change"),
    [
        (files.FEATURES, lambda c: _nested(c, PROTO)),
        (
            files.FEATURES,
            lambda c: _nested(c, {"python_class_name": CLASS, "tensor": {}}),
        ),
        (files.FEATURES, lambda c: _replaced(c, LEGACY)),
        (
            files.FEATURES,
            lambda c: _replaced(c, {"type": DICTIONARY, "content": {"type": LEGACY}}),
        ),
        (
            files.FEATURES,
            lambda c: _replaced(
                c,
                {
                    "pythonClassName": DICTIONARY,
                    "jsonFeature": {"json": json.dumps({"steps": LEGACY})},
                },
            ),
        ),
        (
            files.FEATURES,
            lambda c: _replaced(
                c,
                {
                    "type": DICTIONARY,
                    "proto_cls": "tensorflow_datasets.FeaturesDict",
                    "content": json.dumps({"features": {"steps": PROTO}}),
                },
            ),
        ),
        (files.DATASET_INFO, lambda c: c.update(features=PROTO)),
    ],
)
def test_a_class_outside_tfds_is_refused_before_its_module_is_imported(
    clean, tmp_path, file, change
):
    directory = shutil.copytree(clean, tmp_path / "data")
    _change(directory, file, change)
    for read in (loader.load, reader.Records):
        with pytest.raises(ValueError, match=f"{file} names the class '{CLASS}'"):
            read(directory)
    _change(directory, files.MANIFEST, lambda c: c.pop("dataset"))
    with pytest.raises(ValueError, match=f"{file} names the class '{CLASS}'"):
        loader.manifest(directory)


@pytest.mark.usefixtures("stowaway")
def test_other_names_of_modules_import_nothing(clean, tmp_path):
    directory = shutil.copytree(clean, tmp_path / "data")
    _change(
        directory,
        files.DATASET_INFO,
        lambda c: c.update(moduleName="stowaway_features", configName="a"),
    )
    description.read(directory)
    assert "stowaway_features" not in sys.modules


def test_all_features_of_tfds_are_accepted(tmp_path):
    f = tfds.features
    features = f.FeaturesDict(
        {
            "type": f.Text(),  # a name that is not a class
            "steps": f.Dataset({"image": f.Image(), "label": f.ClassLabel(names="ab")}),
            "sound": f.Audio(),
            "film": f.Video((None, 8, 8, 3)),
            "words": f.Translation(["en", "de"]),
            "boxes": f.Sequence(
                {"box": f.BBoxFeature(), "score": f.Scalar(np.float32)}
            ),
        }
    )
    features.save_config(str(tmp_path))
    content = json.loads((tmp_path / files.FEATURES).read_text())
    description._check_classes(content)
    description._check_classes(features.to_json())


def test_labels_in_a_file_elsewhere_are_refused(clean, tmp_path):
    directory = shutil.copytree(clean, tmp_path / "data")
    kind = "tensorflow_datasets.core.features.class_label_feature.ClassLabel"
    labels = {"type": kind, "content": {"names_file": "/etc/hostname"}}
    content = {"type": DICTIONARY, "content": {"steps": labels}}
    _change(directory, files.FEATURES, lambda c: _replaced(c, content))
    with pytest.raises(ValueError, match="features.json names the file '/etc/hostname"):
        reader.Records(directory)


def _split(**changes):
    return lambda content: content["splits"][0].update(changes)


@pytest.mark.parametrize(
    "change",
    [
        lambda c: c.update(name="../clean/helms_stacking"),
        lambda c: c.update(name="/tmp/helms_stacking"),
        lambda c: c.update(fileFormat="../tfrecord"),
        lambda c: c.update(splits=[*c["splits"], {"name": "../train"}]),
        _split(filepathTemplate="../clean/{DATASET}-{SPLIT}.{FILEFORMAT}"),
        _split(filepathTemplate="/tmp/{SHARD_X_OF_Y}"),
        _split(filepath_template="deeper/{SHARD_X_OF_Y}", filepathTemplate=""),
        _split(filepathTemplate="{DATASET:>99}"),
        _split(filepathTemplate="{DATASET.__class__}"),
        _split(filepathTemplate="{DIRECTORY}"),
    ],
)
def test_files_of_another_directory_are_refused(clean, tmp_path, change):
    directory = shutil.copytree(clean, tmp_path / "data")
    _change(directory, files.DATASET_INFO, change)
    with pytest.raises(
        ValueError, match="dataset_info.json (names files of another|has the unk)"
    ):
        reader.Records(directory)


def test_other_names_of_shards_are_read(clean, tmp_path):
    directory = shutil.copytree(clean, tmp_path / "data")
    _change(
        directory, files.DATASET_INFO, _split(filepathTemplate="{SPLIT}-{NUM_SHARDS}")
    )
    (shard,) = directory.glob("*.tfrecord*")
    shard.rename(directory / "train-00001")
    assert loader.load(directory).num_episodes == 2
