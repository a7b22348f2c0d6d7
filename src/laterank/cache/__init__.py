"""Document token embeddings, kept."""
