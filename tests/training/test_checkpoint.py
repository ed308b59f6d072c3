"""ss_poc.training.checkpoint: which models of a run stay."""

from __future__ import annotations

from ss_poc.core.run import RunPaths
from ss_poc.training.checkpoint import drop_other_models


def test_models_that_are_best_no_more_go_and_files_of_other_names_stay(tmp_path):
    paths = RunPaths(tmp_path, "tiny", "v_1")
    paths.model.mkdir(parents=True)
    for name in ("model_2_0.5000.keras", "model_12_0.4321.keras", "model_backup.keras", "model_2_0.5000 copy.keras"):
        (paths.model / name).write_bytes(b"weights")
    drop_other_models(paths, {"epoch": 12, "val_loss": 0.43214})
    assert {path.name for path in paths.model.iterdir()} == {
        "model_12_0.4321.keras", "model_backup.keras", "model_2_0.5000 copy.keras", "state.json"}
    assert paths.best_model().name == "model_12_0.4321.keras"
