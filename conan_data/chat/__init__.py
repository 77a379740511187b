"""Language models behind OpenAI-compatible endpoints, asked by translators and judges."""
