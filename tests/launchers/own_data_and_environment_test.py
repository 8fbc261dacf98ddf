"""What the guide to own data and environments says works; what is refused."""

import json
import pathlib
import re
import shlex

import pytest

from tests.helpers import commands, outside_datasets

ROOT = pathlib.Path(__file__).resolve().parents[2]
GUIDE = ROOT / "docs" / "guides" / "own_data_and_environment.md"
PLUGIN = str(ROOT / "examples" / "plugin")
SMALL = {
    "collect": ("--episodes=3", "--processes=1"),
    "inspect_dataset": (),
    "analyse_skills": ("--processes=1", "--table1_episodes=1", "--skill_steps=5"),
    "train_skills": (
        "--steps=2",
        "--eval_every=2",
        "--eval_batches=1",
        "--batch_size=4",
        "--window=8",
        "--hidden_sizes=8,8",
    ),
    "train_agent": (
        "--max_actor_steps=60",
        "--eval_episodes=0",
        "--batch_size=4",
        "--min_replay_size=8",
        "--samples_per_insert=1",
        "--critic_rnn_size=8",
        "--policy_hidden_sizes=8",
        "--critic_hidden_sizes=8",
        "--input_size=8",
    ),
    "evaluate": ("--episodes=1",),
}
REACH = "--environment=reach_plugin.environment:make"


def _blocks():
    """Returns the commands of each block of the guide, as (module, flags)."""
    blocks = []
    for text in re.findall(r"```\n(.*?)```", GUIDE.read_text(), re.S):
        lines = text.replace("\\\n", " ").splitlines()
        words = [shlex.split(line) for line in lines if line.startswith("python")]
        assert all(w[:2] == ["python", "-m"] for w in words)
        blocks.append([(w[2].removeprefix("launchers."), w[3:]) for w in words])
    return blocks


def _run(module, *flags):
    return commands.run(f"launchers.{module}", *flags, path=PLUGIN)


def _follow(block, directory):
    """Runs a block's commands small, in `directory` in place of runs/."""
    outputs = {}
    for module, flags in block:
        own = [flag.replace("runs/", f"{directory}/") for flag in flags]
        done = _run(module, *own, *SMALL[module])
        assert done.returncode == 0, (module, done.stderr)
        outputs[module] = done.stdout
    return outputs


def _refused(done):
    lines = done.stderr.strip().splitlines()
    assert done.returncode == 2 and "Traceback" not in done.stderr, done.stderr
    assert lines[-1].startswith("error: ")
    return lines[-1]


def test_the_guide_has_these_blocks():
    assert [len(block) for block in _blocks()] == [3, 6, 6, 3, 4]


@pytest.mark.doors
@pytest.mark.slow
def test_own_data(tmp_path):
    outside_datasets.write(tmp_path / "theirs", outside_datasets.OPEN_X)
    outputs = _follow(_blocks()[0], tmp_path)
    assert "state/joints[6]" in outputs["inspect_dataset"]
    report = (tmp_path / "their_analysis" / "report.html").read_text()
    assert "Latent space" in report and "Table 1" not in report
    skills = tmp_path / "their_skills" / "skills" / "skills.json"
    description = json.loads(skills.read_text())
    assert description["dims"] == {"proprio": 8, "objects": 6, "action": 7}
    assert description["observation_names"]["objects"] == ["cube"]
    assert description["action"]["names"] == ["action"]
    assert len(description["action"]["high"]) == 7

    robomimic = outside_datasets.write(tmp_path / "b", outside_datasets.ROBOMIMIC)
    flags = (f"--dataset={robomimic}", *outside_datasets.ROBOMIMIC_KEYS)
    workdir = f"--workdir={tmp_path / 'b_skills'}"
    done = _run("train_skills", *flags, workdir, "--model=npmp", *SMALL["train_skills"])
    assert done.returncode == 0, done.stderr
    # Other columns of the same sizes are another training.
    proprio, objects = outside_datasets.ROBOMIMIC_KEYS
    turned = proprio.replace("pos,robot0_eef_quat", "quat,robot0_eef_pos")
    other = (flags[0], turned, objects, workdir, "--model=npmp")
    assert "data" in _refused(_run("train_skills", *other, *SMALL["train_skills"]))


@pytest.mark.doors
@pytest.mark.slow
def test_a_task_of_dm_control(tmp_path):
    outputs = _follow(_blocks()[1], tmp_path)
    assert "to_target[1]" in outputs["inspect_dataset"]
    (collect, flags), *_ = _blocks()[1]
    flags = [flag.replace("runs/", f"{tmp_path}/") for flag in flags]
    extended = _run(collect, *flags, *SMALL["collect"], "--episodes=4")
    assert "4 episodes" in extended.stdout, extended.stderr
    config = json.loads((tmp_path / "reacher_agent" / "config.json").read_text())
    assert config["environment"] == {
        "environment": "dm_control:reacher/easy",
        "proprio": ["position", "velocity"],
        "objects": ["to_target"],
        "action_bounds": [[-1.0, -1.0], [1.0, 1.0]],
    }
    assert "success unknown" in outputs["evaluate"]


@pytest.mark.doors
@pytest.mark.slow
def test_skills_for_a_task_of_gymnasium(tmp_path):
    block = _blocks()[2]
    outputs = _follow(block, tmp_path)
    for agent in ("fresh high level, skills held 5 steps", "skill 4 alone"):
        assert re.search(rf"HeLMS, {agent} +-\d+.* \[.* –", outputs["analyse_skills"])
    assert "return -" in outputs["evaluate"]
    config = json.loads((tmp_path / "arm_agent" / "config.json").read_text())
    assert config["environment"]["proprio"] == ["observation"]
    assert config["agent_config"]["skill_steps"] == 5


@pytest.mark.doors
@pytest.mark.slow
def test_a_task_of_gymnasium_and_a_resumed_run(tmp_path):
    block = _blocks()[3]
    outputs = _follow(block, tmp_path)
    assert "3 episodes" in outputs["collect"]
    features = json.loads((tmp_path / "pendulum_data" / "features.json").read_text())
    assert "[[-2.0], [2.0]]" in json.dumps(features)

    _, flags = block[0]
    flags = [flag.replace("runs/", f"{tmp_path}/") for flag in flags]
    small = (*SMALL["train_agent"], "--max_actor_steps=400")
    done = _run("train_agent", *flags, *small)
    assert done.returncode == 0 and "resumes the run" in done.stdout, done.stderr
    summary = json.loads((tmp_path / "pendulum" / "summary.json").read_text())
    assert summary["actor_steps"] == 400 and summary["resumed"]
    done = _run(
        "train_agent",
        *flags,
        *small,
        "--environment=dm_control:point_mass/easy",
        "--proprio=position",
        "--objects=velocity",
    )
    assert "holds another run, with environment 'gym:Pendulum-v1'" in _refused(done)


@pytest.mark.doors
def test_parts_from_outside_the_tree(tmp_path):
    outputs = _follow(_blocks()[4], tmp_path)
    assert "% (" in outputs["evaluate"]  # the environment tells success
    config = tmp_path / "reach_agent" / "config.json"
    assert json.loads(config.read_text())["agent_config"]["patience"] == 500
    done = _run("evaluate", f"--workdir={config.parent}")
    assert "unknown agent 'patient_mpo'; valid: helms_mix" in _refused(done)


@pytest.mark.parametrize(
    ("module", "flags", "message"),
    [
        ("collect", ("--import=no_such_part",), "--import=no_such_part: cannot import"),
        ("collect", ("--environment=reach",), "unknown environment 'reach'; valid: dm"),
        ("collect", ("--environment=gym:Pend-v1",), "such as Pendulum-v1"),
        ("collect", (REACH, "--expert=scripted"), "acts in the Sawyer cell, not in"),
        ("collect", (REACH, "--expert=reach_plugin:x"), "has no function 'x'"),
        (
            "collect",
            (REACH, "--task=pyramid"),
            "--task is a setting of the Sawyer ce",
        ),
        ("collect", (REACH, "--dataset=red_on_blue_stacking"), "is of the Sawyer cell"),
        ("train_agent", (REACH,), "--proprio is missing: .*valid: position, target"),
        ("train_agent", (REACH, "--proprio=x", "--objects=x"), "valid: position, tar"),
        ("train_agent", (REACH, "--observations=vision"), "setting of the Sawyer cell"),
        (
            "train_agent",
            ("--proprio=x",),
            "proprio is a setting of an environment f",
        ),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(module, flags, message, tmp_path):
    workdir = tmp_path / "run"
    common = {
        "collect": (f"--out={workdir}", "--expert=random"),
        "train_agent": (f"--workdir={workdir}", "--agent=mpo"),
        "view": (),
    }
    assert re.search(message, _refused(_run(module, *common[module], *flags)))
    assert not workdir.exists() or not list(workdir.iterdir())
