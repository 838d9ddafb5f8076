"""steergauge measures how steerable a language model is, and how sure you can be."""
