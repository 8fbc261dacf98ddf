"""Damage to any file of a data set is refused in one line that names the file."""

import json
import random
import shutil
from typing import Any

import pytest

from datasets import loader
from datasets.rlds import files, reader, schema, writer
from tests.helpers import dataset_files, inspections

SHARD = schema.shard_name(0, 1)
FILES = (files.MANIFEST, files.FEATURES, files.DATASET_INFO, files.METADATA, SHARD)


def _flipped(content):
    """Yields the content with one bit changed, at places spread over it."""
    rng = random.Random(len(content))
    for place in range(0, len(content), len(content) // 4):
        damaged = bytearray(content)
        damaged[place] ^= 1 << rng.randrange(7)  # still ASCII where it was
        yield bytes(damaged)


DAMAGES = {
    "empty": lambda content: [b""],
    "truncated": lambda content: [content[: len(content) // 2], content[:-1]],
    "an empty object": lambda content: [b"{}"],
    "a list": lambda content: [b"[]"],
    "deep": lambda content: [b'{"a":' * 3000 + b"1" + b"}" * 3000],
    "random bytes": lambda content: [random.Random(0).randbytes(100)],
    "a flipped bit": _flipped,
    "more at its end": lambda content: [content + b"junk", content + b"more" * 5],
    "missing": lambda content: [None],
    "a directory": lambda content: ["directory"],
}


# Data sets that were made elsewhere lack these files.
_HARMLESS = {
    files.MANIFEST: ("missing", "an empty object"),
    files.METADATA: ("missing",),
}


@pytest.fixture(scope="module")
def clean(tmp_path_factory):
    directory = tmp_path_factory.mktemp("damage") / "clean"
    return dataset_files.write(directory, dataset_files.examples(2))


@pytest.fixture(scope="module")
def whole(clean):
    return reader.Records(clean)


@pytest.fixture(autouse=True)
def _few_parsers(whole, monkeypatch):
    """Makes the parser of the undamaged features once, as it takes most of the time."""
    make = writer.Parser
    text = json.dumps(whole.features.to_json(), sort_keys=True)

    def parser(features):
        same = json.dumps(features.to_json(), sort_keys=True) == text
        return whole._parse if same else make(features)

    monkeypatch.setattr(writer, "Parser", parser)


def _inspect(directory):
    found, _ = inspections.inspect(directory)
    return list(map(str, found.problems))


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("file", FILES)
def test_damage_is_refused_with_the_files_name_or_does_no_harm(
    clean, tmp_path, file, damage
):
    refusals = 0
    for i, content in enumerate(DAMAGES[damage]((clean / file).read_bytes())):
        directory = shutil.copytree(clean, tmp_path / str(i))
        (directory / file).unlink()
        if content == "directory":
            (directory / file).mkdir()
        elif content is not None:
            (directory / file).write_bytes(content)
        # No learner reads a manifest of ours.
        first = loader.manifest if file == files.MANIFEST else loader.load
        for read in (first, _inspect):
            try:
                found: Any = read(directory)
                lines = found if read is _inspect else []
            except ValueError as e:
                lines = [str(e)]
            assert not lines or any(file in line for line in lines), lines
            assert not any("\n" in line for line in lines), lines
            refusals += bool(lines)
    assert refusals or damage in _HARMLESS.get(file, ())


@pytest.mark.parametrize("junk", [b"x", b"junk" * 8])
def test_bytes_after_the_last_record_are_found(clean, whole, tmp_path, junk):
    directory = shutil.copytree(clean, tmp_path / "junk")
    (directory / SHARD).write_bytes((clean / SHARD).read_bytes() + junk)
    with pytest.raises(ValueError, match=f"{SHARD}: has .*bytes after its last record"):
        loader.load(directory)
    (line,) = _inspect(directory)
    assert line.startswith(f"{SHARD}: has ")
    parse = writer.Parser(whole.features)
    with pytest.raises(ValueError, match=f"{SHARD} is damaged"):  # what collect reads
        list(writer.read_shard(directory / SHARD, parse))
