"""conan, the training side: from tokenizer to evaluated and exported text-embedding model.

Every command is a function here (see `functions`); the lines below say so to type checkers.
"""

from typing import TYPE_CHECKING

from conan_data.functions import expose

if TYPE_CHECKING:
    from conan_data.functions import Stage
    from conan_data.results import Result
    from conan_train.comparison.config import CompareConfig as CompareConfig
    from conan_train.encoding.config import EncodeConfig as EncodeConfig
    from conan_train.evaluation.config import EvaluateConfig as EvaluateConfig
    from conan_train.export.config import ExportConfig as ExportConfig
    from conan_train.finetune.config import FinetuneConfig as FinetuneConfig
    from conan_train.initialise.config import InitConfig as InitConfig
    from conan_train.negatives.config import MineServiceConfig as MineServiceConfig
    from conan_train.path.config import PathConfig as PathConfig
    from conan_train.pretrain.config import PretrainConfig as PretrainConfig
    from conan_train.report.config import ReportConfig as ReportConfig
    from conan_train.results import Comparison, Model, RecipeRun, Scores, Tokenizer
    from conan_train.sft.config import SftConfig as SftConfig
    from conan_train.tokenizer.config import TokenizerConfig as TokenizerConfig
    from conan_train.weak.config import WeakConfig as WeakConfig

    compare: Stage[CompareConfig, Comparison]
    encode: Stage[EncodeConfig, Result]
    evaluate: Stage[EvaluateConfig, Scores]
    export: Stage[ExportConfig, Result]
    finetune: Stage[FinetuneConfig, Model]
    init: Stage[InitConfig, Model]
    mine_service: Stage[MineServiceConfig, None]
    pretrain: Stage[PretrainConfig, Model]
    report: Stage[ReportConfig, Result]
    run_recipe: Stage[PathConfig, RecipeRun]
    sft: Stage[SftConfig, Model]
    tokenizer: Stage[TokenizerConfig, Tokenizer]
    weak: Stage[WeakConfig, Model]

expose(__name__, hiding=("export", "finetune", "pretrain", "report", "sft", "tokenizer", "weak"))
