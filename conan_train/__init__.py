"""conan, the training side: from tokenizer to evaluated and exported text-embedding model."""
