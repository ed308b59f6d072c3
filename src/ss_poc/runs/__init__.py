"""Many trainings from one plan: multiplied out, started here or on a cluster, and ranked."""
