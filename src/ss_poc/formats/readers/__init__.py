"""Readers of label files, each a function from a source to the entries of a COCO json. `labels` chooses among them."""
