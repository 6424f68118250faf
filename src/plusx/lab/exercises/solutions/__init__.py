"""One way to fill the holes; shown when asked for with `--solution`."""
