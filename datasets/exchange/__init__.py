"""Data sets joined with each other, and exchanged with other libraries."""
