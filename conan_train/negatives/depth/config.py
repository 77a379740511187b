"""How much of a set a refresh of negatives encodes."""

from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import Ge, Gt, Le

from conan_data.config import Config
from conan_data.fields import NonNegativeInt, PositiveFloat


@dataclass(frozen=True, kw_only=True)
class RefreshConfig(Config):
    """Depth of the refreshes after the first one, which encodes everything."""

    depth: Literal["window", "full"] = "window"
    """window: the queries of the steps to the next refresh, and the documents on which their negatives hang, the
    other vectors carried over by a map; full: everything.
    """
    budget: PositiveFloat = 0.1
    """window: work of a refresh as a share of the training between two. A set that is encoded as a whole for less
    is.
    """
    full_up_to: NonNegativeInt = 2000
    """window: a set of so many documents and fewer is encoded as a whole, whatever the budget."""
    sample: Annotated[int, Ge(2)] = 4096
    """window: documents encoded at every refresh, to fit the map and to measure the drift; at most half the budget."""
    max_error: Annotated[float, Gt(0), Le(2)] = 0.2
    """window: everything is encoded again where carried vectors are further than this from today's (1 - cosine, on
    documents of the sample that the map was not fitted on).
    """
