"""Declared grids of conditions, and what is concluded from them."""
