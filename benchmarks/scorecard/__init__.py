"""Every forecaster on every public ladder at hand, scored by proper scores: see `__main__`."""
