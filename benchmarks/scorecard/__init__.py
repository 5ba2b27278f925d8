"""Every forecaster on every available public ladder, by proper scores: see `__main__`."""
