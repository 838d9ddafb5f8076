"""Adding a direction to the residual stream while a model generates."""
