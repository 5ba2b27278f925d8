"""A study: a file that says what to train, measure and forecast, and the run that does it."""
