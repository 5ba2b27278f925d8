"""Code that runs inside the walls on the bare interpreter, with only the standard library.

A sandbox sees only this folder of Augury, read-only, so its modules import only each other.
"""
