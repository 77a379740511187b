"""Training sets of pairs: weak pairs, retrieval sets and labelled texts in one form, and scored pairs."""
