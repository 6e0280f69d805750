"""What the commands do, as functions, one file a command: a run folder or a data file in, results out."""
