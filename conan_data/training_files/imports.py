"""`conan-data import-negatives`: training files of other trainers as a set that our commands read, with its
negatives in the same artifact.
"""

from collections import Counter
from pathlib import Path

from conan_data import artifact, tables
from conan_data.cards.card import default_card
from conan_data.mining.mine import KIND, NEGATIVES_FILE
from conan_data.pairs.columns import PairFields
from conan_data.readers import quarantine
from conan_data.retrieval import write_split
from conan_data.sources import expand
from conan_data.training_files.config import ImportNegativesConfig
from conan_data.training_files.read import read_training_files


def import_negatives(config: ImportNegativesConfig) -> Path:
    """Writes an artifact of kind "negatives" that holds its set, too. Raises `UserError` for files that hold no
    training set.
    """
    files = expand(config.input)
    with artifact.building(config, kind=KIND, command="conan-data import-negatives", inputs=files) as build:
        if build.done:
            return build.out
        fields = PairFields(query=config.query_field, document=config.document_field)
        found = read_training_files(files, language=config.language, fields=fields)
        data, pools = found.split(), found.pools()
        write_split(build.dir, config.split, data)
        tables.write(pools, tables.NEGATIVES, build.dir / NEGATIVES_FILE)
        if found.broken:
            quarantine(found.broken, build.dir / "quarantine.jsonl", below=config.input)
        dropped = Counter(row.reason for row in found.broken)
        return build.publish(
            rows=artifact.Rows(
                read=found.num_rows, kept=found.num_rows - dropped.total(), dropped=dict(dropped)
            ),
            extra={
                "queries": data.queries.num_rows,
                "documents": data.corpus.num_rows,
                "queries_with_negatives": pools.num_rows,
                **found.account.to_json(),
            },
            card=default_card,
        )
