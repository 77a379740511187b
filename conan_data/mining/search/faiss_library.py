"""FAISS, imported where it is used: the package is optional on a machine that trains, and it brings its own
OpenMP threads, which would add to those of torch.
"""

from typing import Any

import torch

from conan_data.errors import UserError


def load_faiss() -> Any:
    """The module, with as many threads as torch has; raises `UserError` when it is not installed."""
    try:
        import faiss
    except ImportError as error:
        raise UserError(
            "search.backend: needs FAISS, which is not installed; pip install faiss-cpu (or faiss-gpu), or use exact"
        ) from error
    faiss.omp_set_num_threads(torch.get_num_threads())
    return faiss


def has_gpu(faiss: Any) -> bool:
    """Whether this FAISS was built for GPUs and sees one."""
    return hasattr(faiss, "StandardGpuResources") and faiss.get_num_gpus() > 0
