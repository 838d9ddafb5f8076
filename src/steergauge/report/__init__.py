"""Showing a result: terminal, HTML page, tables."""
