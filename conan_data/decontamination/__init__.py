"""Remove from training data what evaluation sets hold."""
