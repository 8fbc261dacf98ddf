"""What all commands share: flags, files, figures, signals and logs."""
