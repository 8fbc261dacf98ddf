"""What learned skills do and how they explore: the paper's analyses of a bundle."""
