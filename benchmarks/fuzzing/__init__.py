"""Parts of `benchmarks.fuzz`: commands, damage to files, how a command ends."""
