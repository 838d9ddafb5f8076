"""Intervals and comparisons for rates over distinct prompts."""
