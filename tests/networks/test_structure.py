"""ss_poc.networks.structure: sections of a network."""

from __future__ import annotations

from small_networks import SIZE

from ss_poc.networks.build import build_model
from ss_poc.networks.structure import encoder_layers

import keras  # isort: skip  (after ss_poc.networks, which quietens TensorFlow)


def test_the_encoder_ends_at_the_smallest_map_and_holds_still_when_frozen():
    model = build_model("compact", "", 2, SIZE)
    names = [layer.name for layer in encoder_layers(model)]
    assert "head" not in names and 0.4 < len(names) / len(model.layers) < 0.8
    nested = encoder_layers(build_model("linknet", "resnet18", 2, SIZE))
    assert any(isinstance(layer, keras.layers.Conv2D) for layer in nested)
    assert not any(layer.name.startswith(("decoder", "final")) for layer in nested)
