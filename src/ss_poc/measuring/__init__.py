"""What was found on a photograph, measured and judged: one door for predict, service and line."""
