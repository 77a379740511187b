"""conan, the data side: builds corpora and retrieval sets, and mines negatives."""

__version__ = "0.1.0"
