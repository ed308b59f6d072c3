"""On the line: photographs come by themselves, the service is asked, answers go where the line listens and are kept."""
