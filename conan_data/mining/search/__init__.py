"""Nearest documents by cosine, by several backends that keep one order; see `hits` and `exact`."""

GROUP = 32
"""Documents that are compared with one threshold; a block is a multiple of it."""
