"""Data sets: experts, collection into RLDS episodes, and windows for learners."""
