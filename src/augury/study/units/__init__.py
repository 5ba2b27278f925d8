"""The work of each kind of unit."""
