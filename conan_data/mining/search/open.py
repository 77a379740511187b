"""The searcher that a config names; only its own library is imported."""

from conan_data.mining.config import SearchConfig
from conan_data.mining.search.hits import Searcher


def open_searcher(config: SearchConfig, *, memory: int, device: str = "cpu") -> Searcher:
    """Raises `UserError` where the backend's library, or its support of `device`, is missing."""
    if config.backend == "exact":
        from conan_data.mining.search.exact import ExactSearcher

        return ExactSearcher(memory=memory, device=device)
    if config.backend == "faiss-flat":
        from conan_data.mining.search.faiss_flat import FaissFlatSearcher

        return FaissFlatSearcher(memory=memory, device=device)
    if config.backend == "ivf":
        from conan_data.mining.search.faiss_ivf import IvfSearcher

        return IvfSearcher(config, memory=memory, device=device)
    from conan_data.mining.search.faiss_hnsw import HnswSearcher

    return HnswSearcher(config, memory=memory, device=device)
