"""trainer.sh: stages run in order on one run. Long stages are replaced by small stand-ins."""

from __future__ import annotations

import socket
import sys

import pytest
from shell import call, write_program

from ss_poc.core.files import write_json


def test_a_taken_port_is_said_before_anything_is_trained(project):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = call("sh", "train_serve.sh", "--epoch", "1", cwd=project, PORT=port, MODE="native")
    assert done.returncode == 1 and f"port {port} is taken by another program" in done.stderr
    assert "PORT=8893 sh train_serve.sh" in done.stderr and "1/3" not in done.stdout


@pytest.fixture
def staged(project, tmp_path):
    """The project with a training environment in which every stage only notes that it was called."""
    python = write_program(project / ".venv/bin/python", f"""#!/bin/sh
echo "$*" >>"{tmp_path}/stages"
case "$*" in *"$FAIL"*) echo "this stage fails" >&2; exit 7 ;; esac
case "$*" in *ss_poc.config*) PYTHONPATH=src exec "{sys.executable}" "$@" ;; esac
""")
    assert python.is_file()
    (project / "result").mkdir()
    setup = project / "scripts/setup.sh"
    setup.write_text(setup.read_text() + "\ntraining_env() { :; }\nserving_env() { :; }\n")

    def run(*flags: str, fail: str = "nothing fails", **environment: str):
        (tmp_path / "stages").unlink(missing_ok=True)
        done = call("sh", "trainer.sh", *flags, cwd=project, FAIL=fail, **environment)
        lines = (tmp_path / "stages").read_text().splitlines() if (tmp_path / "stages").exists() else []
        return done, lines
    return run


def test_trainer_runs_the_stages_in_order_on_one_run(staged):
    done, lines = staged("--model_name", "v_7", "--lr", "0.1", img_path="photos of mine", epoch="3")
    assert done.returncode == 0, done.stderr
    assert [line.split()[1] for line in lines] == ["ss_poc.train", "ss_poc.finish", "ss_poc.bento_deploy"]
    assert "--img_path photos of mine" in lines[0] and "--epoch 3" in lines[0] and lines[0].endswith("--lr 0.1")
    assert all("--model_name v_7" in line for line in lines[1:])


def test_flag_beats_environment_and_environment_beats_default(staged):
    _, lines = staged(img_path="p")
    assert "--model_name v_1" in lines[0]
    assert not any(flag in lines[0] for flag in ("--epoch", "--budget", "--batch_size", "--exif_labels"))
    _, lines = staged("--epoch=9", img_path="p", epoch="3", batch_size="2", img_dir_name="mine", json_path="a.json",
                      exif_labels="stored")
    words = lines[0].split()
    assert words.index("--epoch=9") > words.index("--epoch")
    assert "--exif_labels stored" in lines[0] and "--exif_labels" not in lines[1]
    assert "--batch_size 2" in lines[0] and "--img_dir_name mine" in lines[1] and "--json_path a.json" in lines[0]


def test_demo_is_made_only_when_no_folder_is_named(staged):
    _, lines = staged()
    assert "ss_poc.demo" in lines[0] and "--img_dir_name demo" in lines[2]
    assert "--budget 3m" in lines[1]
    _, lines = staged(img_path="p")
    assert not any("demo" in line or "--budget" in line for line in lines)


@pytest.mark.parametrize(("flags", "variables"), [((), {"epoch": "3"}), (("--epoch", "3"), {}), (("--epoch=3",), {}),
                                                  ((), {"budget": "1m"}), (("--budget=1m",), {})])
def test_demo_takes_as_long_as_the_user_says(staged, flags, variables):
    _, lines = staged(*flags, **variables)
    assert "ss_poc.demo" in lines[0] and "--budget 3m" not in lines[1]
    assert " ".join(flags) in lines[1] and all(f"--{name} {value}" in lines[1] for name, value in variables.items())


@pytest.mark.parametrize("stage", ["demo", "train", "finish", "bento_deploy"])
def test_failing_stage_stops_the_rest_with_its_status(staged, stage):
    done, lines = staged(fail=f"ss_poc.{stage} ")
    assert done.returncode == 7 and "this stage fails" in done.stderr
    assert f"ss_poc.{stage}" in lines[-1] and "done." not in done.stdout


@pytest.mark.parametrize(("flags", "offered"), [
    ((), True), (("--reuse",), True), (("--model_name", "v_2", "--resume"), False), (("--json_path", "a.json"), False)])
def test_labels_are_offered_for_export_where_they_would_be_used(staged, project, flags, offered):
    (project / "coco-annotator/.annotator").mkdir(parents=True)
    (project / "coco-annotator/.annotator/tool").write_text("label-studio")
    (project / "coco-annotator/datasets/p").mkdir(parents=True)
    write_program(project / "annotator.sh", "#!/bin/sh\necho 3 photographs were labelled\n")
    write_json(project / "result/p/segment/v_2/run.json", {"data": {"json_path": "b.json"}})
    done, lines = staged(*flags, img_path="coco-annotator/datasets/p")
    assert done.returncode == 0 and ("3 photographs were labelled" in done.stdout) == offered, done.stderr
    assert "ss_poc.train" in lines[0]
