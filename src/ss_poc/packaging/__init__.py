"""A run as a Bento that holds all it needs."""
