"""The audit: what was published against what follows from it."""
