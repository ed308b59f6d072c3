"""A trained network to the graph, the rules and the engine that serve it."""
