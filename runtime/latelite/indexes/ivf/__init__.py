"""Inverted lists of token centroids."""
