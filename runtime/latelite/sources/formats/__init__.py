"""Readers of file formats: file -> blocks of text in order, with positions and headings."""
