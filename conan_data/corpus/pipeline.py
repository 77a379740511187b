"""The datatrove pipeline of one task, from the rows of the input to a part of kept and dropped documents.

Every step passes on every document, the dropped ones too (see `documents`).
"""

from collections.abc import Mapping
from pathlib import Path

from datatrove.pipeline.base import PipelineStep

from conan_data.corpus.config import BuildCorpusConfig
from conan_data.corpus.steps.classify import Classify
from conan_data.corpus.steps.domains import BlockDomains
from conan_data.corpus.steps.fingerprint import Fingerprint
from conan_data.corpus.steps.language import FindLanguage
from conan_data.corpus.steps.pii import MaskPii
from conan_data.corpus.steps.read import ReadRows
from conan_data.corpus.steps.rules import ApplyRules
from conan_data.corpus.steps.tokens import CountTokens
from conan_data.corpus.steps.write import WritePart


def pipeline(
    config: BuildCorpusConfig, files: Mapping[Path, str], folder: Path, boilerplate: Path | None = None
) -> list[PipelineStep]:
    """The steps of `config` over `files`; parts go to `folder`, and the lines that hosts repeat come from
    `boilerplate`.
    """
    alone = config.workers == 1 and config.executor.kind == "local"
    return [
        ReadRows.from_config(config, files),
        *([BlockDomains(config.safety, folder)] if config.safety.blocks else []),
        FindLanguage(config.languages, config.min_lang_score, config.identifier),
        ApplyRules(config.rules, boilerplate, drops_code=config.code == "drop"),
        *([Classify(config.classify)] if config.classify.inputs else []),
        *([MaskPii(config.safety)] if config.safety.mask_pii else []),
        *([CountTokens(config.tokenizer, parallel=alone)] if config.tokenizer else []),
        Fingerprint(config.dedup),
        WritePart(folder),
    ]
