"""Folders and object storage, read and written alike: against a real server of S3's protocol on this machine."""

from __future__ import annotations

import json

import bright_model
import object_storage
import pytest

fs = pytest.importorskip("pyarrow.fs", reason="pyarrow is not installed: pip install -r requirements.lock")

from ss_poc.bulk.command import main  # noqa: E402
from ss_poc.bulk.store import Store  # noqa: E402
from ss_poc.core.errors import ArtifactError, ConfigError, ImageError  # noqa: E402


def test_what_is_written_to_object_storage_is_what_is_written_to_a_disk(bucket, tmp_path):
    bright_model.make_run(tmp_path / "result")
    bright_model.make_photographs(tmp_path / "photos", 12)
    object_storage.put(tmp_path / "photos", f"{bucket}/photos")
    words = ["--img_dir_name", "tiny", "--result", str(tmp_path / "result"), "--output"]
    assert main([str(tmp_path / "photos"), *words, str(tmp_path / "out")]) == 1
    for number in (1, 2, 3):
        assert main([f"{bucket}/photos", *words, f"{bucket}/out", "--shard", f"{number}/3"]) == 0
    assert main(["collect", f"{bucket}/out"]) == 1
    there = Store(f"{bucket}/out")
    for name in ("coco.json", "rle.csv", "predictions.parquet", "overlay/line-0__사진 000.png.jpg"):
        assert there.read(name) == (tmp_path / "out" / name).read_bytes() or name.endswith("parquet")
    assert sorted(there.below("parts")) == [f"part-0000{number}-of-00003.parquet" for number in (1, 2, 3)]
    assert json.loads(there.read("coco.json"))["images"][0]["file_name"] == "line-0/사진 000.png"


def test_a_bucket_that_is_not_there_is_one_sentence(server, tmp_path):
    bright_model.make_run(tmp_path / "result")
    words = ["--img_dir_name", "tiny", "--result", str(tmp_path / "result"), "--output", str(tmp_path / "out")]
    with pytest.raises((ArtifactError, ImageError)) as caught:
        main(["s3://no-such-bucket/photos", *words])
    assert "s3://no-such-bucket/photos" in caught.value.what


def test_object_storage_that_does_not_answer_is_one_sentence(tmp_path, monkeypatch):
    for name, value in {**object_storage.KEYS, "AWS_ENDPOINT_URL": f"http://127.0.0.1:{object_storage.free_port()}"}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ArtifactError, match="s3://bucket/photos does not answer"):
        list(Store("s3://bucket/photos").below())


def test_an_address_of_an_unknown_kind_is_one_sentence():
    with pytest.raises(ArtifactError, match="ftp://host/photos does not answer"):
        Store("ftp://host/photos")


def test_photographs_of_an_address_are_not_ranked(tmp_path):
    bright_model.make_run(tmp_path / "result")
    with pytest.raises(ConfigError, match="s3://bucket/photos"):
        main(["s3://bucket/photos", "--rank", "--img_dir_name", "tiny", "--result", str(tmp_path / "result")])


def test_hidden_and_other_files_are_no_photographs(tmp_path):
    from ss_poc.bulk.photographs import Photographs

    for name in ("a.png", ".hidden/b.png", "c.txt", "d/.e.png", "d/f.HEIC"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"")
    there, here = Photographs.find(f"file://{tmp_path}"), Photographs.find(str(tmp_path))
    assert there.names == here.names == ["a.png", "d/f.HEIC"]
