"""What runs inside the walls, on the bare interpreter: standard library only, nothing of Augury.

This folder alone is shown, read-only, inside a sandbox, so its modules import only each other.
"""
