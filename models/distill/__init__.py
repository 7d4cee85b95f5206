"""Distils the multilingual-e5-small that `recipe` fetches into a student of 16 million parameters."""
