"""Photographs by the folder: predicted on this machine, in shards on many, or on a Ray cluster, and joined."""
