"""`conan-data`: builds and mines data."""

import sys

from conan_data.command import Command, main

COMMANDS = (
    Command(
        name="build-corpus",
        config="conan_data.corpus.config:BuildCorpusConfig",
        run="conan_data.corpus.build:build_corpus",
        help="Cleans raw multilingual text: language, rules, exact and near duplicates.",
        result="conan_data.results:Corpus",
    ),
    Command(
        name="report",
        config="conan_data.corpus.report.config:CorpusReportConfig",
        run="conan_data.corpus.report.report:report",
        help="Draws the report of a corpus again: funnel, languages, examples of every drop.",
    ),
    Command(
        name="tokenize",
        config="conan_data.tokens.config:TokenizeConfig",
        run="conan_data.tokens.tokenize:tokenize",
        help="Tokenizes a corpus once, in parallel, into shards that training maps into memory.",
        result="conan_data.results:Tokens",
    ),
    Command(
        name="build-pairs",
        config="conan_data.build_pairs.config:BuildPairsConfig",
        run="conan_data.build_pairs.build:build_pairs",
        help="Makes pairs for weak supervision of texts with structure, and of aligned translations.",
    ),
    Command(
        name="score-pairs",
        config="conan_data.score_pairs.config:ScorePairsConfig",
        run="conan_data.score_pairs.score:score_pairs",
        help="Scores pairs with a teacher, and keeps those that reach a threshold, by language where it was judged.",
    ),
    Command(
        name="build-xlr",
        config="conan_data.xlr.config:BuildXlrConfig",
        run="conan_data.xlr.build:build_xlr",
        help="Builds a cross-lingual retrieval set: translates the queries of a set, keeps its passages.",
        result="conan_data.results:RetrievalSet",
    ),
    Command(
        name="mine",
        config="conan_data.mining.config:MineConfig",
        run="conan_data.mining.mine:mine",
        help="Mines hard negatives for a retrieval set with a model.",
        runs_on_many=True,
        result="conan_data.results:Negatives",
    ),
    Command(
        name="audit",
        config="conan_data.audit.config:AuditConfig",
        run="conan_data.audit.audit:audit",
        help="Shows what is in mined negatives: scores, filters, false negatives, leaks, triples to read.",
    ),
    Command(
        name="decontaminate",
        config="conan_data.decontamination.config:DecontaminateConfig",
        run="conan_data.decontamination.decontaminate:decontaminate",
        help="Removes from a training set what evaluation sets hold, and reports what the two share.",
    ),
    Command(
        name="export-negatives",
        config="conan_data.training_files.config:ExportNegativesConfig",
        run="conan_data.training_files.export:export_negatives",
        help="Writes negatives for sentence-transformers, FlagEmbedding or BEIR.",
    ),
    Command(
        name="import-negatives",
        config="conan_data.training_files.config:ImportNegativesConfig",
        run="conan_data.training_files.imports:import_negatives",
        help="Reads training files of sentence-transformers or FlagEmbedding as a set with negatives.",
        result="conan_data.results:RetrievalSet",
    ),
    Command(
        name="train-classifier",
        config="conan_data.classifier.config:TrainClassifierConfig",
        run="conan_data.classifier.train:train_classifier",
        help="Trains a fastText classifier from labelled texts, with thresholds by language and a held-out report.",
        result="conan_data.results:Classifier",
    ),
    Command(
        name="formats",
        config="conan_data.formats:FormatsConfig",
        run="conan_data.formats:formats",
        help="Prints the layouts of files that a user writes: retrieval sets, translations, labels, pairs.",
        positional=("name",),
        result="builtins:str",
    ),
    Command(
        name="card",
        config="conan_data.cards.config:CardConfig",
        run="conan_data.cards.build:card",
        help="Writes the card of a corpus, retrieval set, negatives or classifier, for the Hub.",
        positional=("artifact",),
    ),
    Command(
        name="push",
        config="conan_data.publish.config:PushConfig",
        run="conan_data.publish.push:push",
        help="Pushes an artifact and its card to the Hub in one commit, and reads it back.",
        positional=("artifact", "repository"),
        result="builtins:str",
    ),
)


def run() -> None:
    """The program `conan-data`; ends the process with its exit code."""
    sys.exit(
        main("conan-data", "Builds and mines the data that text-embedding models are trained on.", COMMANDS)
    )
