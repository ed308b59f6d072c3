"""ss_poc.runs: runs are shared out, skipped where they are done, and gone on with where they were killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import SOURCE, draw_set, stage

from ss_poc.bulk.store import Store
from ss_poc.core.errors import ArtifactError, ConfigError
from ss_poc.core.files import read_json, write_json
from ss_poc.runs.command import main
from ss_poc.runs.plan import read_plan

# Photographs without labels: a training ends with a sentence before it loads TensorFlow.
PLAN = "plan: p\ndata: [{img_path: bare}]\nseeds: [0, 1, 2, 3]\n"


@pytest.fixture
def here(tmp_path, monkeypatch) -> Path:
    draw_set(tmp_path / "bare", 4).unlink()
    (tmp_path / "plan.yaml").write_text(PLAN)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def finish(seed: int) -> None:
    run = read_plan(Path("plan.yaml"))[seed]
    write_json(run.paths.run_json, {"status": "finished", "scores": {"images": 1}, "config": {"seed": seed}})


def test_runs_that_are_done_are_skipped_and_one_that_fails_does_not_stop_the_others(here):
    finish(2)
    done = stage("runs", "plan.yaml", cwd=here, check=False)
    assert done.returncode == 1 and "4 runs, 1 done already\n" in done.stdout
    assert [line for line in done.stderr.splitlines() if line.startswith("run ")] == [
        f"run bare/p_seed-{seed}: ss_poc.train ended with status 1 ({number} of 3)"
        for number, seed in enumerate((0, 1, 3), 1)]
    assert "3 of 3 runs failed; the same command goes on with them" in done.stderr
    assert done.stderr.count("error:") == 3, "why, as train says it"
    assert not list((here / "result/bare").glob(".*.lock"))


@pytest.mark.parametrize(("variable", "index"), [("JOB_COMPLETION_INDEX", 1), ("SLURM_ARRAY_TASK_ID", 3)])
def test_a_scheduler_says_which_run_is_meant(here, monkeypatch, variable, index):
    for seed in {0, 1, 2, 3} - {index}:
        finish(seed)
    monkeypatch.setenv(variable, str(index))
    done = stage("runs", "plan.yaml", "--shards", "4", cwd=here, check=False)
    assert "1 run, 0 done already" in done.stdout and f"run bare/p_seed-{index}: ss_poc.train ended" in done.stderr


def test_shards_share_all_runs_and_those_of_more_jobs_than_runs_have_none(here, capsys):
    for seed in range(4):
        finish(seed)
    assert [main(["plan.yaml", "--shard", shard]) for shard in ("1/3", "2/3", "3/3", "5/5")] == [0, 0, 0, 0]
    said = capsys.readouterr().out.splitlines()
    assert [line.split(",")[0] for line in said] == ["2 runs", "1 run", "1 run", "0 runs"]


def test_a_run_that_another_process_works_on_is_left_to_it(here):
    for seed in (1, 2, 3):
        finish(seed)
    with Store("result/bare").claim(".p_seed-0.lock", "the run"):
        done = stage("runs", "plan.yaml", cwd=here, check=False)
    assert done.returncode == 1 and "the run bare/p_seed-0 is being made by another process already" in done.stderr


@pytest.mark.parametrize(("flags", "said"), [
    (("--shard", "5/4"), "shard is '5/4'"), (("--shards", "4"), "nothing says which of them this is"),
    (("--address", "auto", "--shard", "1/4"), "address is set together with shard"),
    (("--run_cpus", "2"), "run_cpus or run_gpus is set, and no address")])
def test_flags_that_do_not_go_together_are_refused(here, flags, said):
    with pytest.raises(ConfigError, match=said):
        main(["plan.yaml", *flags])
    assert not (here / "result").exists()


def test_what_is_not_done_is_said(here):
    with pytest.raises(ArtifactError, match="none of 4 runs is done"):
        main(["collect", "plan.yaml"])


@pytest.mark.ray
def test_a_ray_cluster_does_the_runs_and_keeps_what_they_say(here):
    pytest.importorskip("ray.data", reason="Ray is not installed: pip install -r requirements-ray.txt")
    for seed in (1, 2):
        finish(seed)
    done = stage("runs", "plan.yaml", "--address", "local", "--run_cpus", "1", cwd=here, check=False)
    assert done.returncode == 1 and "4 runs, 2 done already" in done.stdout, done.stderr
    for seed in (0, 3):
        assert f"run bare/p_seed-{seed}: ss_poc.train ended with status 1; see result/bare/segment/p_seed-{seed}.log" \
            in done.stderr
        assert "error:" in (here / f"result/bare/segment/p_seed-{seed}.log").read_text()
    done = stage("runs", "plan.yaml", "--address", "local", "--run_cpus", "9999", cwd=here, check=False)
    assert done.returncode == 2 and "a run takes 9999 CPUs and 0 GPUs" in done.stderr
    done = stage("runs", "plan.yaml", "--address", "127.0.0.1:9", cwd=here, check=False)
    assert done.returncode == 1 and "no Ray answers at 127.0.0.1:9" in done.stderr


@pytest.mark.slow
def test_a_plan_that_is_killed_goes_on_and_its_folds_are_put_together(tmp_path):
    draw_set(tmp_path / "tiny", 24)
    (tmp_path / "plan.yaml").write_text(
        "plan: p\ndata: [{img_path: tiny}]\nfolds: 2\nflags: {batch_size: 4, epoch: 3, loss: [lovasz]}\n")
    words = [sys.executable, "-m", "ss_poc.runs", "plan.yaml"]
    environment = {**os.environ, "PYTHONPATH": str(SOURCE)}
    log = tmp_path / "result/tiny/segment/p_loss-lovasz_seed-0_fold-1of2/log/log.out"
    with subprocess.Popen(words, cwd=tmp_path, env=environment, start_new_session=True,
                          stdout=subprocess.DEVNULL) as killed:
        until = time.monotonic() + 400
        while not log.is_file() and time.monotonic() < until:
            time.sleep(0.05)
        os.killpg(killed.pid, signal.SIGKILL)
    rows = log.read_text().splitlines()
    assert len(rows) < 4, "killed before the last epoch"
    done = subprocess.run(words, cwd=tmp_path, env=environment, text=True, capture_output=True, timeout=900)
    assert done.returncode == 0, done.stderr
    assert "resumed after epoch" in done.stdout and "2 runs, 0 done already" in done.stdout
    assert log.read_text().splitlines()[:len(rows)] == rows
    assert "2 runs, 2 done already" in stage("runs", "plan.yaml", cwd=tmp_path).stdout
    ranked = stage("runs", "collect", "plan.yaml", cwd=tmp_path).stdout
    assert ranked.startswith("tiny: 2 of 2 runs done; compared on 24 photographs\n"), "each validated in one fold"
    valid = [read_json(path)["split"]["valid"] for path in (tmp_path / "result/tiny/segment").glob("*/run.json")]
    assert len(valid) == 2 and not set(valid[0]) & set(valid[1])
