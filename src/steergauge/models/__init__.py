"""Models: the catalogue, where weights come from, loading, blocks and the phantom."""
