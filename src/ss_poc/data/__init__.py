"""A labelled folder, read and checked: samples, their split, the facts that a training is planned from."""
