"""Tiny random checkpoints, awkward texts, and the golden vectors that the reference implementation made of them."""
