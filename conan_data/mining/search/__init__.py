"""Nearest documents by cosine, by several backends that keep one order; see `hits` and `exact`."""
