"""packaging/bento.py: whose Bento is replaced."""

from __future__ import annotations

import pytest

from ss_poc.core.deployed import deploy_folder
from ss_poc.core.errors import ArtifactError
from ss_poc.core.files import write_json
from ss_poc.core.model_spec import SPEC_FILE
from ss_poc.core.run import RunPaths
from ss_poc.packaging.bento import deploy


@pytest.mark.parametrize(("data_set", "overwrite", "said"), [
    ("bolts", False, "is of the data set screws"), ("bolts", True, "model.json"), ("screws", False, "model.json")])
def test_a_bento_of_another_data_set_is_replaced_only_when_told_to(tmp_path, data_set, overwrite, said):
    held = deploy_folder(tmp_path / "deploy", "v_1") / "models" / SPEC_FILE
    held.parent.mkdir(parents=True)
    write_json(held, {"name": "screws"})
    # Where it may be replaced, the next thing that is missing is the run's own export.
    with pytest.raises(ArtifactError, match=said) as caught:
        deploy(RunPaths(tmp_path / "result", data_set, "v_1"), tmp_path / "deploy", overwrite)
    assert ("--overwrite" in caught.value.fix) == (said != "model.json")
    assert held.is_file()
