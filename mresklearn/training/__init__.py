"""Private: the one place that knows skorch. Turns data, a network and an objective into weights."""
