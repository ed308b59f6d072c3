"""A Bento as a service."""
