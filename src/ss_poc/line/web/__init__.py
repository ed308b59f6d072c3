"""What a line answers over HTTP: triggers, and the page `/line`."""
