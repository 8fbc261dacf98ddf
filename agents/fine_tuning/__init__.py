"""BC and hierarchical BC fine-tuned by MPO (arXiv:2112.05062, section 4.3)."""
