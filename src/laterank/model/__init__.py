"""A ColBERT model on disk or on the hub."""
