"""What a training stage reads: which rows a step sees, their tokens, and the batches made of them."""
