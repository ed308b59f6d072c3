"""Where photographs come from."""
