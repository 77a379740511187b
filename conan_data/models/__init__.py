"""Pretrained models: where one lies, whether its files are whole, and how it is loaded."""
