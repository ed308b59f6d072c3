"""What follows training: graph, rules, engine and report, in one process."""
