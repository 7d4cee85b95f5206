"""The recipe of the default checkpoint: a teacher, text in seven languages, a student distilled from both."""
