"""A model of good photographs alone: what departs from them is an anomaly."""
