"""Public files turned into retrieval sets in BEIR layout."""
