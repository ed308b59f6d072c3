"""ss_poc.core.model_spec: the spec beside a graph, and its checksum."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from ss_poc.core.errors import ArtifactError
from ss_poc.core.files import read_json, sha256_file, write_json
from ss_poc.core.model_spec import ModelSpec, read_spec

GRAPH = b"graph of a network"
SPEC = ModelSpec("tiles", "v_1", ("scratch", "흠집"), ("#ff0000", "#0000ff"), (2, 7), (64, 96), "compact/compact16",
                 hashlib.sha256(GRAPH).hexdigest())


@pytest.fixture
def exported(tmp_path) -> Path:
    (tmp_path / "model.onnx").write_bytes(GRAPH)
    write_json(tmp_path / "model.json", SPEC)
    return tmp_path


def test_a_spec_comes_back_as_it_was(exported):
    assert read_spec(exported) == SPEC


def test_checksum_is_sha256(exported):
    (exported / "abc").write_bytes(b"abc")  # FIPS 180-2, appendix B.1
    assert sha256_file(exported / "abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    large = b"x" * (2**20 + 1)
    (exported / "abc").write_bytes(large)
    assert sha256_file(exported / "abc") == hashlib.sha256(large).hexdigest()


@pytest.mark.parametrize("content", [b"", GRAPH[:-1], GRAPH + b"\0", b"another graph"])
def test_a_graph_of_another_checksum_is_refused(exported, content):
    (exported / "model.onnx").write_bytes(content)
    with pytest.raises(ArtifactError, match="model.onnx has the checksum") as refused:
        read_spec(exported)
    assert SPEC.sha256[:12] in refused.value.expected and "damaged or foreign" in refused.value.fix


@pytest.mark.parametrize("name", ["model.onnx", "model.json"])
def test_a_missing_part_is_named(exported, name):
    (exported / name).unlink()
    with pytest.raises(ArtifactError, match=f"{name} is missing"):
        read_spec(exported)


def test_a_damaged_spec_is_refused(exported):
    text = (exported / "model.json").read_text(encoding="utf-8")
    (exported / "model.json").write_text(text[:-9], encoding="utf-8")
    with pytest.raises(ArtifactError, match="model.json is no json"):
        read_spec(exported)


@pytest.mark.parametrize("change", [
    {"labels": None}, {"labels": 3}, {"labels": ["scratch"]}, {"colors": []}, {"category_ids": [2]}, {"size_hw": 64},
    {"size_hw": [64]}, {"extra": 1}])
def test_a_foreign_spec_is_refused(exported, change):
    write_json(exported / "model.json", {**read_json(exported / "model.json"), **change})
    with pytest.raises(ArtifactError, match="model.json is not a spec of ours"):
        read_spec(exported)


@pytest.mark.parametrize("values", [{}, [], "text", 7, None])
def test_a_json_that_is_no_spec_at_all_is_refused(exported, values):
    write_json(exported / "model.json", values)
    with pytest.raises(ArtifactError, match="model.json"):
        read_spec(exported)


@pytest.mark.parametrize("name", ["name", "version", "labels", "size_hw", "sha256"])
def test_a_spec_without_one_of_its_values_is_refused(exported, name):
    values = read_json(exported / "model.json")
    del values[name]
    write_json(exported / "model.json", values)
    with pytest.raises(ArtifactError, match="not a spec of ours"):
        read_spec(exported)


@pytest.mark.parametrize("digest", [7, None, "", "0" * 64])
def test_a_spec_with_a_checksum_of_nothing_is_refused(exported, digest):
    write_json(exported / "model.json", {**read_json(exported / "model.json"), "sha256": digest})
    with pytest.raises(ArtifactError, match="has the checksum"):
        read_spec(exported)
