"""Keras networks by name, and their weights."""
