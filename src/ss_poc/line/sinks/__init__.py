"""Who is told of parts and alarms."""
