"""Readers: a file of some kind -> its text in order, with the place and the headings of every stretch."""
