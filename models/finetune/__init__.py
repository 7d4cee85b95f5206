"""Adapting a checkpoint to one's own documents: data, training with PyLate, and what came of it."""
