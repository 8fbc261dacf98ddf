"""What a data set shows: figures, text and episodes seen again."""
