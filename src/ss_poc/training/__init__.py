"""Samples to a trained network."""
