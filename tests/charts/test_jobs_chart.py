"""kubernetes/ss-poc-jobs: Jobs that predict in shards, join their parts, and train on a GPU."""

from __future__ import annotations

import pytest
from helm_charts import JOBS, check_restrictions, check_schemas, container, helm, only, refusal, rendered, variables

COLLECT, TRAIN = ("--set", "kind=collect"), ("--set", "kind=train,image.tag=gpu")
ON_CPU = ("--set", "kind=train,train.gpus=0")
PLAN = "plan: trial\ndata:\n  - {img_path: coco-annotator/datasets/photos, group: '^[^_]+'}\nseeds: [0, 1]\n"


@pytest.fixture
def runs(tmp_path) -> tuple[str, ...]:
    (tmp_path / "plan.yaml").write_text(PLAN)
    return "--set", "kind=runs,image.tag=gpu", "--set-file", f"runs.plan={tmp_path / 'plan.yaml'}"


@pytest.mark.parametrize("flags", [(), COLLECT, TRAIN, ON_CPU, ("--set", "runtimeClassName=nvidia,runAsUser=null")],
                         ids=["predict", "collect", "train", "cpu", "openshift"])
def test_the_chart_is_clean_and_what_it_makes_fits_the_schemas(flags):
    done = helm("lint", "--strict", str(JOBS), *flags)
    assert done.returncode == 0, done.stdout + done.stderr
    documents = rendered(JOBS, *flags)
    assert [document["kind"] for document in documents] == ["Job"]
    check_schemas(documents)
    check_restrictions(documents)


def test_each_shard_is_an_index_of_the_job():
    documents = rendered(JOBS, "--set", "predict.shards=16,predict.parallelism=4,predict.flags={--threshold,0.3}")
    job = only(documents, "Job")["spec"]
    assert (job["completionMode"], job["completions"], job["parallelism"]) == ("Indexed", 16, 4)
    assert job["backoffLimitPerIndex"] == 3 and "backoffLimit" not in job
    found = container(documents)
    assert [*found["command"], *found["args"]] == [
        ".venv/bin/python", "-m", "ss_poc.predict", "coco-annotator/datasets/photos", "--img_dir_name", "photos",
        "--model_name", "v_1", "--output", "result/bulk", "--shards", "16", "--threshold", "0.3"]
    assert variables(found)["PYTHONPATH"] == "src"


def test_the_runs_of_a_plan_are_indexes_of_a_job_that_reads_it(runs):
    documents = rendered(JOBS, *runs, "--set", "runs.shards=2,runs.parallelism=1")
    assert helm("lint", "--strict", str(JOBS), *runs).returncode == 0
    check_schemas(documents)
    check_restrictions(documents)
    assert only(documents, "ConfigMap")["data"] == {"plan.yaml": PLAN}
    job = only(documents, "Job")["spec"]
    assert (job["completionMode"], job["completions"], job["parallelism"], job["backoffLimitPerIndex"]) == (
        "Indexed", 2, 1, 3)
    found = container(documents)
    assert found["command"] == [".venv/bin/python", "-m", "ss_poc.runs", "/plan/plan.yaml", "--shards", "2"]
    assert found["resources"]["limits"]["nvidia.com/gpu"] == 1
    assert {"name": "plan", "mountPath": "/plan", "readOnly": True} in found["volumeMounts"]
    assert {"name": "plan", "configMap": {"name": "line"}} in job["template"]["spec"]["volumes"]


def test_recipes_are_ranked_by_a_job_of_one_pod_without_a_gpu(runs):
    documents = rendered(JOBS, *runs, "--set", "kind=runs-collect")
    job, found = only(documents, "Job")["spec"], container(documents)
    check_schemas(documents)
    assert "completionMode" not in job and job["backoffLimit"] == 0
    assert found["command"] == [".venv/bin/python", "-m", "ss_poc.runs", "collect", "/plan/plan.yaml"]
    assert "nvidia.com/gpu" not in found["resources"]["limits"] and only(documents, "ConfigMap")


def test_large_numbers_have_no_exponent(tmp_path):
    file = tmp_path / "values.yaml"
    file.write_text("keepSeconds: 31536000\npredict: {shards: 99999}\n")
    documents = rendered(JOBS, "--values", str(file))
    assert "99999" in container(documents)["args"]
    assert type(only(documents, "Job")["spec"]["ttlSecondsAfterFinished"]) is int


def test_parts_are_joined_by_a_job_of_one_pod():
    documents = rendered(JOBS, *COLLECT)
    job = only(documents, "Job")["spec"]
    assert "completionMode" not in job and job["backoffLimit"] == 0, "what is missing stays missing"
    assert container(documents)["command"] == [".venv/bin/python", "-m", "ss_poc.predict", "collect", "result/bulk"]


def test_training_has_a_gpu_and_goes_on_where_it_was_killed():
    documents = rendered(JOBS, *TRAIN)
    found = container(documents)
    assert found["resources"]["limits"] == {"cpu": "2", "memory": "4Gi", "nvidia.com/gpu": 1}
    assert found["args"][-1] == "--reuse" and "command" not in found, "the image's own: trainer.sh"
    assert only(documents, "Job")["spec"]["backoffLimit"] == 10
    assert "nvidia.com/gpu" not in container(rendered(JOBS, *ON_CPU))["resources"]["limits"]


def test_photographs_can_be_read_and_results_written():
    pod = only(rendered(JOBS, "--set", "work.subPath=a,photographs.subPath=b"), "Job")["spec"]["template"]["spec"]
    mounts = {mount["mountPath"]: mount for mount in pod["containers"][0]["volumeMounts"]}
    assert mounts["/app/coco-annotator/datasets"] == {"name": "photographs", "readOnly": True, "subPath": "b",
                                                      "mountPath": "/app/coco-annotator/datasets"}
    assert mounts["/app/result"]["subPath"] == "a/result" and mounts["/app/deploy"]["subPath"] == "a/deploy"
    assert {"name": "work", "persistentVolumeClaim": {"claimName": "ss-poc"}} in pod["volumes"]
    plain = container(rendered(JOBS))["volumeMounts"]
    assert {"name": "work", "mountPath": "/app/result", "subPath": "result"} in plain


def test_object_storage_needs_no_claim_but_its_secret():
    documents = rendered(JOBS, "--set", "photographs.claim=,predict.images=s3://plant/photos,envSecrets={s3}",
                         "--set", "predict.output=s3://plant/found")
    check_schemas(documents)
    found = container(documents)
    assert found["envFrom"] == [{"secretRef": {"name": "s3"}}] and found["args"][0] == "s3://plant/photos"
    volumes = only(documents, "Job")["spec"]["template"]["spec"]["volumes"]
    assert [volume["name"] for volume in volumes] == ["tmp", "work"]


@pytest.mark.parametrize(("flag", "said"), [
    ("kind=serve", "value must be one of 'predict', 'collect', 'train'"),
    ("predict.shards=0", "minimum"),
    ("predict.shards=100000", "maximum"),
    ("predict.shards=2", "predict.parallelism is 4"),
    ("predict.output=/tmp/out", "does not match pattern"),
    ("kind=train", "image.tag is cpu, which has no CUDA"),
    ("kind=runs", "runs.gpus is 1, but image.tag is cpu, which has no CUDA"),
    ("kind=runs,runs.gpus=0", "runs.plan is empty"),
    ("runs.shards=2", "runs.parallelism is 4"),
    ("work.claim=", "does not match pattern"),
    ("predict.shard=3", "additional properties 'shard' not allowed"),
])
def test_a_value_that_cannot_be_is_refused_with_a_sentence(flag, said):
    assert said in refusal(JOBS, "--set", flag)
