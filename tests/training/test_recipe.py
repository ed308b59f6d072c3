"""ss_poc.training.recipe: settings that follow from a data set and a machine."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from recipes import CPU, GPU, LARGE, THIN, chosen

from ss_poc.core.config import ARCHITECTURES, LOSSES, PRESETS, TrainConfig
from ss_poc.core.host import cores
from ss_poc.training import recipe
from ss_poc.training.recipe import CHOSEN, MOST_CACHE, Choice, machine, table

pytestmark = pytest.mark.usefixtures("limits")


# --- network, learning, sampling


@pytest.mark.parametrize(("preset", "encoder"), [("fast", "compact16"), ("balanced", "compact24"),
                                                 ("accurate", "compact32")])
def test_the_preset_is_the_width_of_the_network(preset, encoder):
    config, rows = chosen(preset=preset)
    assert (config.architecture, config.encoder) == ("compact", encoder)
    assert preset in rows["encoder"].why
    from ss_poc.networks.build import encoder_names  # TensorFlow takes seconds to load

    assert encoder in encoder_names("compact")


@pytest.mark.parametrize(("preset", "budget", "here", "encoder", "says"), [
    ("balanced", "5m", CPU, "compact24", "preset balanced"),
    ("balanced", "4m59s", CPU, "compact16", "4m59s is too short"),
    ("accurate", "1h", CPU, "compact32", "preset accurate"), ("accurate", "59m", CPU, "compact24", "for accurate"),
    ("accurate", "2m", CPU, "compact16", "preset fast"), ("fast", "1m", CPU, "compact16", "preset fast"),
    ("accurate", "2m", GPU, "compact32", "preset accurate"), ("accurate", None, CPU, "compact32", "preset accurate")])
def test_a_short_time_takes_the_network_that_gets_furthest_in_it(preset, budget, here, encoder, says):
    config, rows = chosen(preset=preset, budget=budget, here=here)
    assert config.encoder == encoder and says in rows["encoder"].why


@pytest.mark.parametrize("architecture", [name for name in ARCHITECTURES if name != "compact"])
def test_another_architecture_keeps_its_own_encoder(architecture):
    config, rows = chosen(architecture=architecture)
    assert (config.architecture, config.encoder) == (architecture, None)
    assert rows["architecture"].why == "as you asked" and rows["encoder"].value == "(default)"


def test_pretrained_weights_come_with_a_network_that_has_them_and_a_gentle_start():
    config, rows = chosen(weights="imagenet")
    assert (config.architecture, config.lr, config.freeze) == ("unet", 5e-4, 2)
    assert "pretrained" in rows["architecture"].why and rows["lr"].why == "fine-tuning"


@pytest.mark.parametrize("weights", ["none", "synthetic"])
def test_a_network_without_photographs_behind_it_learns_fast_and_freezes_nothing(weights):
    config, _ = chosen(weights=weights)
    assert (config.optimizer, config.lr, config.freeze) == ("muon", 4e-3, 0)


def test_networks_with_weights_in_the_package_begin_with_them(monkeypatch):
    monkeypatch.setattr(recipe, "pretrained_encoders", lambda: ["compact24"])
    config, rows = chosen()
    assert (config.encoder, config.weights) == ("compact24", "synthetic") and "drawn" in rows["weights"].why
    assert chosen(preset="fast")[0].weights == chosen(architecture="unet")[0].weights == "none"
    assert chosen(weights="none")[1]["weights"].why == "as you asked"


@pytest.mark.parametrize(("covered", "weights"), [(0.5, "synthetic"), (0.51, "none")])
def test_images_full_of_labels_do_not_begin_with_marks_on_a_surface(covered, weights, monkeypatch):
    monkeypatch.setattr(recipe, "pretrained_encoders", lambda: ["compact24"])
    config, rows = chosen(survey=dataclasses.replace(THIN, covered=covered))
    assert config.weights == weights and ("fill the images" in rows["weights"].why) == (weights == "none")


@pytest.mark.parametrize(("named", "optimizer", "lr"), [
    ({"optimizer": "adamw"}, "adamw", 2e-3), ({"architecture": "unet"}, "adamw", 2e-3),
    ({"architecture": "unet", "optimizer": "muon"}, "muon", 4e-3), ({"weights": "a/model.keras"}, "adamw", 5e-4)])
def test_the_learning_rate_follows_from_the_optimiser(named, optimizer, lr):
    config, rows = chosen(**named)
    assert (config.optimizer, config.lr) == (optimizer, lr)
    assert (rows["optimizer"].why == "as you asked") == ("optimizer" in named)


def test_weights_of_ours_are_tuned():
    config, _ = chosen(weights="a/model.keras")
    assert (config.architecture, config.lr, config.freeze) == ("compact", 5e-4, 2)


@pytest.mark.parametrize(("here", "precision"), [
    (CPU, "float32"), (dataclasses.replace(CPU, bfloat16=True), "mixed_bfloat16"), (GPU, "mixed_float16"),
    (dataclasses.replace(GPU, bfloat16=True), "mixed_float16")])
def test_arithmetic_is_the_fastest_the_machine_has(here, precision):
    config, rows = chosen(here=here)
    assert config.precision == precision and rows["precision"].why


def test_the_loss_is_one_there_is_and_parts_are_parts():
    config, _ = chosen()
    assert config.loss in LOSSES and 0 < config.sampling < 1 and 0 <= config.mosaic < 1


def test_sampling_says_how_rare_the_rarest_class_is():
    assert "1 : 25" in chosen(survey=dataclasses.replace(THIN, class_images=(500, 20, 100)))[1]["sampling"].why
    assert "1 : 500" in chosen(survey=dataclasses.replace(THIN, class_images=(500, 0)))[1]["sampling"].why


@pytest.mark.parametrize(("change", "words"), [
    ({}, "1000 images, colour"), ({"grey": True}, "1000 images, grey"),
    ({"turnable_v": False}, "1000 images, colour, never upside down"),
    ({"turnable_v": False, "turnable_h": False}, "1000 images, colour, never upside down, never mirrored")])
def test_augmentation_says_what_it_will_not_do(change, words):
    config, rows = chosen(survey=dataclasses.replace(THIN, **change))
    assert rows["strength"].why == words and config.strength == 1.0


def test_thousands_of_images_need_less_augmentation():
    assert chosen(survey=dataclasses.replace(THIN, images=2001))[0].strength == 0.7


# --- memory

CROP_BYTES = 224 * 224 * 1500  # of a crop of 224x224 in the compact network


@pytest.mark.parametrize(("crops", "batch_size"), [(100, 8), (8, 8), (7.9, 7), (3, 3), (1, 1), (0.5, 1), (0, 1)])
def test_a_batch_takes_at_most_a_quarter_of_the_free_memory(crops, batch_size):
    here = dataclasses.replace(CPU, free_bytes=int(4 * crops * CROP_BYTES))
    assert chosen(here=here)[0].batch_size == batch_size


def test_a_larger_network_has_smaller_batches():
    here = dataclasses.replace(CPU, free_bytes=4 * 8 * CROP_BYTES)  # 602112000 bytes: 1.7 crops of 224*224*7000
    assert [chosen(here=here, architecture=name)[0].batch_size for name in ("compact", "unet")] == [8, 1]


@pytest.mark.parametrize(("crop", "batch_size"), [("224x224", 8), ("96x96", 8), ("256x288", 5), ("512x512", 2),
                                                  ("1024x1024", 1)])
def test_a_step_on_a_cpu_has_about_so_many_pixels(crop, batch_size):
    # 401408 in all: 43 crops of 96x96, 5.4 of 256x288, 1.5 of 512x512, 0.4 of 1024x1024
    assert chosen(crop=crop)[0].batch_size == batch_size


@pytest.mark.parametrize(("gpus", "batch_size"), [(1, 16), (2, 32)])
def test_each_gpu_has_a_share_of_the_batch(gpus, batch_size):
    survey = dataclasses.replace(THIN, images=10_000)
    assert chosen(survey=survey, here=dataclasses.replace(GPU, gpus=gpus, free_bytes=2**40))[0].batch_size == batch_size


@pytest.mark.parametrize(("free_gib", "cache_mb"), [(4, 1024), (64, MOST_CACHE // 2**20), (0, 64), (0.1, 64)])
def test_decoded_images_take_a_quarter_of_the_free_memory_within_bounds(free_gib, cache_mb):
    assert chosen(here=dataclasses.replace(CPU, free_bytes=int(free_gib * 2**30)))[0].cache_mb == cache_mb


def test_this_machine_has_cores_and_memory():
    here = machine(gpus=3)
    assert here.gpus == 3 and here.cores == cores() and here.free_bytes > 0
    cpuinfo = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").is_file() else ""
    assert here.bfloat16 == ("avx512_bf16" in cpuinfo or "amx_bf16" in cpuinfo)


# --- what the user named


NAMED = {"architecture": "unet", "encoder": "resnet18", "scale": 0.5, "size": "128x160", "crop": "96x128",
         "sampling": 0.2, "mosaic": 0.1, "strength": 0.3, "batch_size": 5, "cache_mb": 77, "loss": "focal",
         "optimizer": "adamw", "lr": 0.01, "weights": "none", "freeze": 1, "precision": "float32",
         "views": "upside_down", "features": "none"}


@pytest.mark.parametrize("here", [CPU, GPU])
def test_what_the_user_named_stays(here):
    config, rows = chosen(here=here, **NAMED)
    assert vars(config) == vars(TrainConfig(**NAMED))
    assert set(rows) == set(CHOSEN)  # what a resumed run keeps
    for name, row in rows.items():
        assert (row.value, row.why) == (str(NAMED[name]), "as you asked")


@pytest.mark.parametrize("name", sorted({*CHOSEN} - {"architecture", "encoder", "size"}))
def test_one_setting_that_is_named_leaves_the_others_to_be_chosen(name):
    config, rows = chosen(**{name: NAMED[name]})
    assert getattr(config, name) == NAMED[name]
    assert rows[name].why == "as you asked"
    assert all(row.why and row.why != "as you asked" for setting, row in rows.items() if setting != name)


@pytest.mark.parametrize(("named", "survey", "says"), [
    ({"budget": "15m"}, THIN, None), ({}, THIN, None), ({"budget": "5m"}, THIN, None),
    ({"budget": "3m"}, THIN, "3m is too short"),
    ({"preset": "fast"}, THIN, "answers soonest"),
    ({"architecture": "unet"}, THIN, "its encoder has its own"),
    ({"good_only": True}, THIN, "memory of good photographs"),
    ({}, dataclasses.replace(THIN, covered=0.8), "labels fill the images")])
def test_features_of_imagenet_stand_beside_a_compact_network_that_has_time(named, survey, says):
    config, rows = chosen(survey=survey, **named)
    assert config.features == ("none" if says else "imagenet")
    assert (says or "workpieces never seen") in rows["features"].why


def test_features_that_the_user_refuses_stay_away():
    config, rows = chosen(features="none")
    assert config.features == "none" and rows["features"].why == "as you asked"


@pytest.mark.parametrize(("preset", "turn_v", "turn_h", "views", "says"), [
    ("fast", True, True, "single", "once"), ("balanced", True, True, "turned", "2 times"),
    ("balanced", False, True, "mirrored", "2 times"), ("balanced", True, False, "upside_down", "2 times"),
    ("balanced", False, False, "single", "once"), ("accurate", True, True, "all", "4 times"),
    ("accurate", False, True, "mirrored", "2 times")])
def test_mirror_images_that_could_be_photographs_are_averaged(preset, turn_v, turn_h, views, says):
    survey = dataclasses.replace(THIN, turnable_v=turn_v, turnable_h=turn_h)
    config, rows = chosen(survey=survey, preset=preset)
    assert config.views == views and says in rows["views"].why


@pytest.mark.parametrize(("name", "nothing"), [("sampling", 0.0), ("mosaic", 0.0), ("strength", 0.0),
                                                 ("freeze", 0)])
def test_nothing_can_be_asked_for(name, nothing):
    config, rows = chosen(**{name: nothing}, weights="a.keras")
    assert getattr(config, name) == nothing and rows[name].why == "as you asked"


@pytest.mark.parametrize("settings", [
    {}, {"weights": "imagenet"}, {"architecture": "fpn"}, {"budget": "15m"}, {"size": "64x96"}, {"epoch": 3, "seed": 7},
    *({"preset": preset} for preset in PRESETS)], ids=str)
@pytest.mark.parametrize("survey", [THIN, LARGE], ids=["thin", "large"])
@pytest.mark.parametrize("here", [CPU, GPU], ids=["cpu", "gpu"])
def test_nothing_is_left_open_and_every_row_has_a_reason(settings, survey, here):
    config, rows = chosen(survey=survey, here=here, **settings)
    left_open = {name for name in CHOSEN if getattr(config, name) == getattr(TrainConfig, name)}
    assert left_open <= {"encoder" if config.architecture != "compact" else "", "scale" if "size" in settings else ""}
    assert set(rows) == {*CHOSEN} - ({"size"} if "size" in settings else set())
    assert all(row.value.strip() and row.why.strip() for row in rows.values())
    assert {name: getattr(config, name) for name in settings} == settings


def test_choosing_again_changes_nothing():
    config, _ = chosen()
    assert chosen(config)[0] == config


# --- the table


def test_the_table_is_aligned():
    rows = [Choice("lr", "0.002", "from scratch"), Choice("architecture", "compact", "fast"),
            Choice("size", "128x160", "small")]
    assert table(rows).splitlines() == ["  lr            0.002    from scratch",
                                        "  architecture  compact  fast",
                                        "  size          128x160  small"]


def test_the_table_of_a_choice_has_a_line_a_row():
    _, rows = chosen()
    lines = table(list(rows.values())).splitlines()
    assert [line.split()[0] for line in lines] == list(rows)
    starts = {line.index(row.why) for line, row in zip(lines, rows.values(), strict=True)}
    assert len(starts) == 1
