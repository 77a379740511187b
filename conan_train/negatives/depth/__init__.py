"""How deep a refresh of negatives goes: all documents, or those that matter for the next window of steps."""
