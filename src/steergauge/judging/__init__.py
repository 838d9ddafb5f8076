"""Reading what a model said: refusal, garbled or normal."""
