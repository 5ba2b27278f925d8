"""`make real`: Augury's results for a real language model, compared with sums by hand."""
