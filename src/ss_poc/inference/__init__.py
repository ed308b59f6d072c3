"""An exported graph over photographs: image to probabilities to masks, without TensorFlow."""
