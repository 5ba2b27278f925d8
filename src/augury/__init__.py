"""Augury."""
