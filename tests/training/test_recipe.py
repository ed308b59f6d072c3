"""ss_poc.training.recipe: settings that follow from a data set and a machine."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from ss_poc.core.config import ARCHITECTURES, LOSSES, PRESETS, TrainConfig, parse_size
from ss_poc.core.host import cores
from ss_poc.data.facts import Survey
from ss_poc.training import recipe
from ss_poc.training.command import CHOSEN
from ss_poc.training.recipe import LEAST_PIXELS, MOST_CACHE, Choice, Machine, choose, machine, table, window

CPU = Machine(cores=4, gpus=0, free_bytes=64 * 2**30, bfloat16=False)
GPU = Machine(cores=16, gpus=1, free_bytes=64 * 2**30, bfloat16=False)
# A thousand photographs of 1000x1500 with cracks 3 pixels thin.
THIN = Survey(images=1000, clean=200, class_images=(500, 300), median_hw=(1000, 1500), largest_hw=(1000, 1500),
              object_area=400.0, object_width=3.0, covered=0.01, grey=False, turnable_v=True, turnable_h=True)
# Photographs of 12 megapixels with dents that a thumbnail shows.
LARGE = dataclasses.replace(THIN, median_hw=(3000, 4000), largest_hw=(3000, 4000), object_area=4e6, object_width=600.0)


@pytest.fixture(autouse=True)
def limits(monkeypatch):
    """The limits that the numbers below are worked out for; those of the recipe follow from measurements."""
    monkeypatch.setattr(recipe, "CROP_PIXELS", {"cpu": 224 * 224, "gpu": 512 * 512})
    monkeypatch.setattr(recipe, "WINDOW_PIXELS", {"cpu": 448 * 448, "gpu": 1024 * 1024})
    monkeypatch.setattr(recipe, "STEP_PIXELS", 8 * 224 * 224)
    monkeypatch.setattr(recipe, "PIXELS_A_CORE", 1_500_000)
    monkeypatch.setitem(recipe.BYTES_A_PIXEL, "compact", 1500)
    monkeypatch.setitem(recipe.BYTES_A_PIXEL, "unet", 7000)


def chosen(config: TrainConfig | None = None, survey: Survey = THIN, here: Machine = CPU,
           **named) -> tuple[TrainConfig, dict[str, Choice]]:
    """The whole config, and the rows by setting; every image has the median size."""
    config, rows = choose(config or TrainConfig(**named), survey, [survey.median_hw] * survey.images, here)
    assert len({row.setting for row in rows}) == len(rows)
    return config, {row.setting: row for row in rows}


# --- scale


def test_thin_objects_are_looked_at_pixel_by_pixel():
    config, rows = chosen()
    assert config.scale == 1.0
    assert rows["scale"].value == "1 (native)" and "3 pixels wide" in rows["scale"].why


def test_small_objects_are_looked_at_pixel_by_pixel_however_round():
    # 12 / sqrt(121) > 1
    config, rows = chosen(survey=dataclasses.replace(THIN, object_width=30.0, object_area=121.0))
    assert config.scale == 1.0 and "121 pixels" in rows["scale"].why


@pytest.mark.parametrize(("width", "area", "scale", "says"), [
    (24.0, 14400.0, 0.25, "24 pixels wide"),  # 6 / 24; 12 / 120 = 0.1; the image 0.181
    (600.0, 900.0, 0.4, "900 pixels"),  # 12 / 30
    (600.0, 1e6, 0.181, "no smaller")])  # sqrt(49152 / 1500000)
def test_the_most_demanding_of_width_area_and_image_sets_the_scale(width, area, scale, says):
    config, rows = chosen(survey=dataclasses.replace(THIN, object_width=width, object_area=area))
    assert config.scale == scale and rows["scale"].value == f"{scale:g}" and says in rows["scale"].why


def test_large_objects_in_large_photographs_are_shrunk_to_the_least_pixels_and_no_further():
    config, rows = chosen(survey=LARGE)
    assert config.scale == 0.064  # 192 * 256 pixels of 12 million
    assert round(3000 * config.scale) * round(4000 * config.scale) >= LEAST_PIXELS
    assert (config.size, config.crop) == ("192x256", "192x256")
    assert "1000 of 1000 images fit one" in rows["size"].why and "whole images" in rows["crop"].why


@pytest.mark.parametrize(("width", "scale"), [(7.9, 1.0), (8.0, 0.75), (8.1, 0.741), (6.0, 1.0), (0.5, 1.0)])
def test_a_little_shrinking_is_not_worth_it(width, scale):
    assert chosen(survey=dataclasses.replace(THIN, object_width=width))[0].scale == scale


@pytest.mark.parametrize(("budget", "cores", "scale"), [
    ("2m", 2, 1.0),  # 90 s, two cores: 67500 pixels for each of 4000 crops, more than a crop has
    ("1m", 2, 0.541),  # 22500 of the 76800 pixels of an image
    ("1m", 4, 0.765), ("40s", 2, 0.4)])  # 7500 pixels would be 0.3125, but an object of 400 needs 8 / 20
def test_images_are_shrunk_where_the_time_is_too_short_to_see_4000_crops(budget, cores, scale):
    survey = dataclasses.replace(THIN, images=128, median_hw=(240, 320), largest_hw=(240, 320), object_width=10.0)
    config, rows = chosen(budget=budget, survey=survey, here=dataclasses.replace(CPU, cores=cores))
    assert config.scale == scale and ("too short" in rows["scale"].why) == (scale < 1)


def test_small_photographs_are_not_shrunk():
    small = dataclasses.replace(LARGE, median_hw=(120, 200), largest_hw=(120, 200))
    assert chosen(survey=small)[0].scale == 1.0


def test_no_object_at_all_is_no_reason_to_fail():
    config, _ = chosen(survey=dataclasses.replace(THIN, object_area=0.0, object_width=0.0, clean=1000,
                                                  class_images=(0, 0)))
    assert config.scale == 1.0


# --- size, window and crop


def test_a_size_alone_squeezes_whole_images():
    config, rows = chosen(size="256x320")
    assert (config.scale, config.size, config.crop) == (0.0, "256x320", "256x320")
    assert rows["scale"].value == "whole image" and "as you asked" in rows["scale"].why
    assert "size" not in rows


def test_a_size_and_a_scale_are_a_window_at_that_scale():
    config, rows = chosen(size="256x320", scale=0.5)
    assert (config.scale, config.size) == (0.5, "256x320")
    assert rows["size"].why == rows["scale"].why == "as you asked"
    assert config.crop == "224x224"  # of 500x750


def test_a_scale_alone_leaves_the_window_to_be_chosen():
    config, _ = chosen(scale=0.1)
    assert (config.size, config.crop) == ("128x160", "128x160")  # 100x150


@pytest.mark.parametrize(("largest_hw", "here", "crop"), [
    ((1000, 1500), CPU, "224x224"), ((1000, 1500), GPU, "512x512"),
    ((100, 200), CPU, "128x224"), ((100, 200), GPU, "128x224"),  # whole images
    ((256, 288), CPU, "256x288"),  # 73728 pixels, a little more than the 50176 of a crop
    ((256, 320), CPU, "224x224"),  # 81920 pixels: too much more
    ((64, 4000), CPU, "64x768"), ((4000, 64), CPU, "768x64"),  # 50176 / 64 = 784
    ((64, 4000), GPU, "64x4000"), ((20, 20), CPU, "32x32")])
def test_crops_have_about_the_pixels_that_the_machine_takes_and_no_more_than_an_image(largest_hw, here, crop):
    survey = dataclasses.replace(THIN, median_hw=largest_hw, largest_hw=largest_hw)
    config, rows = chosen(survey=survey, here=here)
    assert config.crop == rows["crop"].value == crop
    height, width = parse_size(crop)
    assert ("whole images: they are small" in rows["crop"].why) == (height >= largest_hw[0] and width >= largest_hw[1])


def test_crops_cut_out_say_what_they_save():
    # 1024x1504 pixels against 224x224
    assert "31 times the pixels" in chosen()[1]["crop"].why


def test_a_gpu_takes_larger_windows():
    survey = dataclasses.replace(THIN, median_hw=(4000, 4000), largest_hw=(4000, 4000))
    assert chosen(survey=survey)[0].size == "448x448"
    assert chosen(survey=survey, here=GPU)[0].size == "1024x1024"


@pytest.mark.parametrize("here", [CPU, GPU])
@pytest.mark.parametrize("image_hw", [(1000, 1500), (90, 2040), (2040, 90), (300, 400), (20, 30)])
def test_pspnet_gets_sizes_that_it_can_take(image_hw, here):
    survey = dataclasses.replace(THIN, median_hw=image_hw, largest_hw=image_hw)
    config, _ = chosen(survey=survey, here=here, architecture="pspnet")
    for size in (config.size, config.crop):
        assert all(length % 96 == 0 for length in parse_size(size)), size


# --- the cheapest window


@pytest.mark.parametrize(("sizes_hw", "expected"), [
    ([(100, 300)], (128, 320)),  # rounded up: one window, nothing to spare
    ([(96, 96)], (96, 96)),
    ([(5000, 5000)], (448, 448)),  # no larger fits 448 * 448 pixels
    # Half of the images are no larger than 90: from 96 on. Windows of 96 share 24 pixels, 400 of them take 6. All in
    # windows of 96x96: 2 + 36, 350208 pixels; of 416x416: 2 + 1, 519168; of 96x416: 2 + 6, 319488.
    ([(90, 90)] * 2 + [(400, 400)], (96, 416)),
    # The middle one of these is 245 pixels wide: nothing smaller than 256, though it would cost less.
    ([(90, 90), (400, 400)], (416, 416)),
    # Seventy small ones: 70 + 36 of 96x96, 976896 pixels, against 70 + 6 of 96x416, 3035136.
    ([(90, 90)] * 70 + [(400, 400)], (96, 96)),
    # Ten large ones: 1 + 10 of 416x416, 1903616; 1 + 60 of 96x416, 2436096; 1 + 360 of 96x96, 3326976.
    ([(90, 90)] + [(400, 400)] * 10, (416, 416))])
def test_the_window_is_the_one_that_costs_the_fewest_pixels(sizes_hw, expected):
    assert window(sizes_hw, 448 * 448) == expected


def test_the_order_of_the_images_does_not_matter():
    sizes_hw = [(90, 90), (400, 400), (130, 700), (90, 90), (333, 100)]
    assert len({window(order, 448 * 448) for order in (sizes_hw, sizes_hw[::-1], sorted(sizes_hw))}) == 1


@pytest.mark.parametrize("multiple", [32, 96])
@pytest.mark.parametrize("sizes_hw", [[(90, 2040)], [(2040, 90)], [(1, 1)], [(9, 99999)], [(700, 500), (31, 4000)]])
@pytest.mark.parametrize("most", [100 * 100, 448 * 448, 1024 * 1024])
def test_the_window_is_of_whole_strides_and_within_the_bound(sizes_hw, multiple, most):
    height, width = window(sizes_hw, most, multiple)
    assert height % multiple == 0 and width % multiple == 0 and height and width
    assert height * width <= most


def test_a_bound_below_one_stride_gives_one_stride():
    assert window([(500, 500)], 100, multiple=32) == (32, 32)


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
    ("accurate", "2m", GPU, "compact32", "preset accurate"), ("accurate", "", CPU, "compact32", "preset accurate")])
def test_a_short_time_takes_the_network_that_gets_furthest_in_it(preset, budget, here, encoder, says):
    config, rows = chosen(preset=preset, budget=budget, here=here)
    assert config.encoder == encoder and says in rows["encoder"].why


@pytest.mark.parametrize("architecture", [name for name in ARCHITECTURES if name != "compact"])
def test_another_architecture_keeps_its_own_encoder(architecture):
    config, rows = chosen(architecture=architecture)
    assert (config.architecture, config.encoder) == (architecture, "")
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
         "views": "upside_down"}


@pytest.mark.parametrize("here", [CPU, GPU])
def test_what_the_user_named_stays(here):
    config, rows = chosen(here=here, **NAMED)
    assert config == TrainConfig(**NAMED)
    assert set(rows) == set(CHOSEN)  # what a resumed run keeps
    for name, row in rows.items():
        assert (row.value, row.why) == (str(NAMED[name]), "as you asked")


@pytest.mark.parametrize("name", sorted({*CHOSEN} - {"architecture", "encoder", "size"}))
def test_one_setting_that_is_named_leaves_the_others_to_be_chosen(name):
    config, rows = chosen(**{name: NAMED[name]})
    assert getattr(config, name) == NAMED[name]
    assert rows[name].why == "as you asked"
    assert all(row.why and row.why != "as you asked" for setting, row in rows.items() if setting != name)


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
