"""Ground that every room stands on: atomic files, parallel jobs, compiling."""
