"""`conan-train`: trains, evaluates and exports text-embedding models."""

import sys

from conan_data.command import Command, main

COMMANDS = (
    Command(
        name="tokenizer",
        config="conan_train.tokenizer.config:TokenizerConfig",
        run="conan_train.tokenizer.train:train_tokenizer",
        help="Trains a byte-level BPE tokenizer on a corpus.",
        result="conan_train.results:Tokenizer",
    ),
    Command(
        name="init",
        config="conan_train.initialise.config:InitConfig",
        run="conan_train.initialise.init:init",
        help="Makes a language model with random weights from a preset.",
        result="conan_train.results:Model",
    ),
    Command(
        name="pretrain",
        config="conan_train.pretrain.config:PretrainConfig",
        run="conan_train.pretrain.train:pretrain",
        help="Trains a language model on packed text, next token by next token.",
        runs_on_many=True,
        result="conan_train.results:Model",
    ),
    Command(
        name="sft",
        config="conan_train.sft.config:SftConfig",
        run="conan_train.sft.train:sft",
        help="Trains a language model to answer instructions, with the loss on the answers only.",
        runs_on_many=True,
        result="conan_train.results:Model",
    ),
    Command(
        name="weak",
        config="conan_train.weak.config:WeakConfig",
        run="conan_train.weak.train:weak",
        help="Trains an embedding model on pairs, with the other pairs of a step as negatives.",
        runs_on_many=True,
        result="conan_train.results:Model",
    ),
    Command(
        name="finetune",
        config="conan_train.finetune.config:FinetuneConfig",
        run="conan_train.finetune.train:finetune",
        help="Trains an embedding model on retrieval sets, mining its negatives as it goes, and on other tasks.",
        runs_on_many=True,
        result="conan_train.results:Model",
    ),
    Command(
        name="mine-service",
        config="conan_train.negatives.config:MineServiceConfig",
        run="conan_train.finetune.service:mine_service",
        help="Mines negatives for a fine-tuning that is running, with its newest weights.",
    ),
    Command(
        name="encode",
        config="conan_train.encoding.config:EncodeConfig",
        run="conan_train.encoding.encode:encode",
        help="Turns texts into vectors, in mapped shards; on many processes under torchrun.",
        runs_on_many=True,
    ),
    Command(
        name="evaluate",
        config="conan_train.evaluation.config:EvaluateConfig",
        run="conan_train.evaluation.evaluate:evaluate",
        help="Scores a model on a retrieval set, by language pair.",
        result="conan_train.results:Scores",
    ),
    Command(
        name="compare",
        config="conan_train.comparison.config:CompareConfig",
        run="conan_train.comparison.compare:compare",
        help="Test which differences between evaluations of one retrieval set hold, by language pair.",
        positional=("evaluations",),
        result="conan_train.results:Comparison",
    ),
    Command(
        name="export",
        config="conan_train.export.config:ExportConfig",
        run="conan_train.export.export:export",
        help="Writes a trained model as a plain sentence-transformers folder.",
    ),
    Command(
        name="report",
        config="conan_train.report.config:ReportConfig",
        run="conan_train.report.report:report",
        help="Draws artifacts into one self-contained HTML page.",
    ),
    Command(
        name="run",
        config="conan_train.path.config:PathConfig",
        run="conan_train.path.run:run_path",
        help="Runs all stages of a recipe in order; what is done already is not done again.",
        positional=("recipe",),
        runs_on_many=True,
        python="run_recipe",
        result="conan_train.results:RecipeRun",
    ),
)


def run() -> None:
    """The program `conan-train`; ends the process with its exit code."""
    sys.exit(main("conan-train", "Trains text-embedding models, from tokenizer to exported model.", COMMANDS))
