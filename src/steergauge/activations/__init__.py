"""Reading the residual stream."""
