"""The datatrove pipeline of one task, from the rows of the input to a part of kept and dropped documents.

Every step passes on every document, the dropped ones too (see `documents`).
"""

from pathlib import Path

from datatrove.pipeline.base import PipelineStep

from conan_data.corpus.config import BuildCorpusConfig
from conan_data.corpus.steps.fingerprint import Fingerprint
from conan_data.corpus.steps.language import FindLanguage
from conan_data.corpus.steps.read import ReadRows
from conan_data.corpus.steps.rules import ApplyRules
from conan_data.corpus.steps.tokens import CountTokens
from conan_data.corpus.steps.write import WritePart


def pipeline(config: BuildCorpusConfig, files: list[Path], folder: Path) -> list[PipelineStep]:
    """The steps of `config` over `files`; parts go to `folder`."""
    return [
        ReadRows(files, config.group_field, show_progress=config.workers == 1),
        FindLanguage(config.languages, config.min_lang_score),
        ApplyRules(config.rules),
        *([CountTokens(config.tokenizer, parallel=config.workers == 1)] if config.tokenizer else []),
        Fingerprint(config.dedup),
        WritePart(folder),
    ]
