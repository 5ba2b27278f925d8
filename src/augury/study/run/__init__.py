"""Run a plan: which unit is next, where it runs, how far it is."""
