"""Run a plan: which unit is next, where it runs, and progress."""
