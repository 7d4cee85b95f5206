"""The recipe of the default checkpoint: a student distilled from a teacher on text in seven languages."""
