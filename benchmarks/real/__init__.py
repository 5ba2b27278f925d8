"""`make real`: what Augury says of a real language model, beside sums by hand."""
