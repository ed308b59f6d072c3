"""What a run is worth, as a page and as runs side by side."""
