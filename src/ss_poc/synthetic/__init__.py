"""Drawn photographs: the demo data set, and surfaces that the weights in the package learned from."""
