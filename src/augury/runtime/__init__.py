"""Shared ground of all packages: atomic files, parallel jobs, compiling."""
