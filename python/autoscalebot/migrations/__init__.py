"""The table of the measurement view's one row."""
