"""Locks and reads of files: what agents, data sets and commands all need."""
