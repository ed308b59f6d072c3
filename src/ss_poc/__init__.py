"""Self-hosted semantic segmentation for factories; CONTRIBUTING.md has the map of the packages."""
