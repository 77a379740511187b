"""conan, the data side: builds corpora and retrieval sets, and mines negatives.

Every command is a function here (see `functions`); the lines below say so to type checkers.
"""

from typing import TYPE_CHECKING

from conan_data.functions import expose

__version__ = "0.1.0"

if TYPE_CHECKING:
    from conan_data.audit.config import AuditConfig as AuditConfig
    from conan_data.build_pairs.config import BuildPairsConfig as BuildPairsConfig
    from conan_data.cards.config import CardConfig as CardConfig
    from conan_data.classifier.config import TrainClassifierConfig as TrainClassifierConfig
    from conan_data.corpus.config import BuildCorpusConfig as BuildCorpusConfig
    from conan_data.corpus.report.config import CorpusReportConfig as CorpusReportConfig
    from conan_data.decontamination.config import DecontaminateConfig as DecontaminateConfig
    from conan_data.formats import FormatsConfig as FormatsConfig
    from conan_data.functions import Stage
    from conan_data.mining.config import MineConfig as MineConfig
    from conan_data.publish.config import PushConfig as PushConfig
    from conan_data.results import Classifier, Corpus, Negatives, Result, RetrievalSet, Tokens
    from conan_data.score_pairs.config import ScorePairsConfig as ScorePairsConfig
    from conan_data.tokens.config import TokenizeConfig as TokenizeConfig
    from conan_data.training_files.config import ExportNegativesConfig as ExportNegativesConfig
    from conan_data.training_files.config import ImportNegativesConfig as ImportNegativesConfig
    from conan_data.xlr.config import BuildXlrConfig as BuildXlrConfig

    audit: Stage[AuditConfig, Result]
    build_corpus: Stage[BuildCorpusConfig, Corpus]
    build_pairs: Stage[BuildPairsConfig, Result]
    build_xlr: Stage[BuildXlrConfig, RetrievalSet]
    card: Stage[CardConfig, Result]
    decontaminate: Stage[DecontaminateConfig, Result]
    export_negatives: Stage[ExportNegativesConfig, Result]
    formats: Stage[FormatsConfig, str]
    import_negatives: Stage[ImportNegativesConfig, RetrievalSet]
    mine: Stage[MineConfig, Negatives]
    push: Stage[PushConfig, str]
    report: Stage[CorpusReportConfig, Result]
    score_pairs: Stage[ScorePairsConfig, Result]
    tokenize: Stage[TokenizeConfig, Tokens]
    train_classifier: Stage[TrainClassifierConfig, Classifier]

expose(__name__, hiding=("audit", "build_pairs", "formats", "score_pairs"))
