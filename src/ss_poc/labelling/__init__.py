"""The annotators: labels in and out, proposals of a model."""
