"""Directions of behaviour in the residual stream, one file a method."""
