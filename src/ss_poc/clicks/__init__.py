"""Clicks on a photograph → the mask of the region meant."""
