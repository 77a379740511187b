"""A trained model in the form that other tools read: a sentence-transformers folder without code of ours.

sentence-transformers writes weights, tokenizer and modules itself. Three things it would get wrong are
settled here. The model must be told to be bidirectional by `is_causal: false` in its config.json *before* it
is loaded, as it cannot be told later. The small module files are respelled in the older names, which both
older and newer releases read. And `conan.json` carries the contract with golden embeddings, which other tools
ignore.
"""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Transformer
from transformers import PreTrainedTokenizerFast

from conan_train.model.contract import FILE as CONTRACT_FILE
from conan_train.model.contract import LAST, MEAN, write_contract
from conan_train.model.embedder import Embedder

_NUMBERS = re.compile(r"\[\n[\s\d.,e+-]*\]")
_POOLING = {MEAN: "mean", LAST: "lasttoken"}
"""Our names of poolings, and those of sentence-transformers."""
_MODULES = (("", "Transformer"), ("1_Pooling", "Pooling"), ("2_Normalize", "Normalize"))


def write_folder(
    embedder: Embedder, tokenizer: PreTrainedTokenizerFast, directory: Path, *, work: Path
) -> None:
    """Writes the model below `directory`; `work` is scratch. `embedder` must be at alpha 1."""
    contract = embedder.contract
    embedder.backbone.config.is_causal = False
    embedder.save(work, tokenizer=tokenizer)
    model = SentenceTransformer(
        modules=[
            Transformer(str(work), max_seq_length=contract.max_length),
            Pooling(embedder.dimension, _POOLING[contract.pooling]),
            Normalize(),
        ],
        prompts={"query": contract.query_prompt, "document": contract.document_prompt},
        similarity_fn_name="cosine",
        device="cpu",
    )
    model.save_pretrained(str(directory), create_model_card=False)
    modules = [
        {"idx": index, "name": str(index), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for index, (path, kind) in enumerate(_MODULES)
    ]
    _write(directory / "modules.json", modules)
    pooling = {
        "word_embedding_dimension": embedder.dimension,
        f"pooling_mode_{_POOLING[contract.pooling]}{'_tokens' if contract.pooling == MEAN else ''}": True,
        "include_prompt": True,
    }
    _write(directory / "1_Pooling" / "config.json", pooling)
    _write(
        directory / "sentence_bert_config.json",
        {"max_seq_length": contract.max_length, "do_lower_case": False},
    )


def write_contract_file(
    embedder: Embedder, directory: Path, *, golden: list[dict[str, Any]], dims: Sequence[int]
) -> None:
    """Writes `conan.json`: the checkpoint's contract, the sizes a vector may be cut to, and the golden
    embeddings.
    """
    write_contract(directory, embedder.contract, embedder.mask.alpha)
    path = directory / CONTRACT_FILE
    contract = json.loads(path.read_text(encoding="utf-8"))
    _write(
        path,
        {**contract, "dimension": embedder.dimension, "dims": sorted(dims, reverse=True), "golden": golden},
    )


def _write(path: Path, value: object) -> None:
    """JSON, indented, but with lists of numbers on one line."""
    text = json.dumps(value, indent=1, ensure_ascii=False)
    path.write_text(_NUMBERS.sub(lambda found: " ".join(found[0].split()), text) + "\n", encoding="utf-8")
