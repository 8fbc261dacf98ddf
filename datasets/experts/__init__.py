"""What acts while data are collected."""
