"""What `conan-data report` is told."""

import dataclasses

from conan_data.config import StageConfig, source
from conan_data.fields import Name

TITLE = "Corpus"


@dataclasses.dataclass(frozen=True, kw_only=True)
class CorpusReportConfig(StageConfig):
    """Draw the report of a corpus again, from what its artifact holds."""

    corpus: Name = source()
    """Corpus artifact."""
    title: str = TITLE
    """Headline of the page."""
