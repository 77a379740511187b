import numpy as np
import pytest
from datatrove.data import Document

from conan_data.corpus.dedup.config import DedupConfig
from conan_data.corpus.dedup.minhash import MinHash
from conan_data.corpus.dedup.shingles import exact_hash, shingles
from conan_data.corpus.documents import Dropped
from conan_data.corpus.steps import fingerprint
from conan_data.corpus.steps.fingerprint import Fingerprint


@pytest.mark.parametrize("batch", [1, 2, 7, 1000])
def test_every_document_passes_in_its_order(monkeypatch: pytest.MonkeyPatch, batch: int) -> None:
    monkeypatch.setattr(fingerprint, "BATCH_DOCUMENTS", batch)
    config = DedupConfig()
    family = MinHash.from_config(config)
    texts = [f"document number {n} says this: " + "and more " * (n % 4) for n in range(20)]
    documents = [Document(text=text, id=str(n), metadata={}) for n, text in enumerate(texts)]
    documents[3].metadata["dropped"] = documents[4].metadata["dropped"] = Dropped("rules", "too-short")
    found = list(Fingerprint(config).run(iter(documents)))
    assert [document.id for document in found] == [str(n) for n in range(20)]
    for document in found:
        if "dropped" in document.metadata:
            assert set(document.metadata) == {"dropped"}
            continue
        grams = shingles(document.text, config.ngram)
        assert document.metadata["exact_hash"] == exact_hash(document.text)
        keys = document.metadata["band_keys"]
        assert (keys is None) == (len(grams) == 0)
        assert keys is None or (np.frombuffer(keys, np.uint64) == family.band_keys(grams)).all()


def test_a_long_text_ends_a_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fingerprint, "BATCH_CHARS", 100)
    taken = []

    def documents():
        for n in range(10):
            taken.append(n)
            yield Document(text="x " * 30, id=str(n), metadata={})

    next(iter(Fingerprint(DedupConfig()).run(documents())))
    assert taken == [0, 1]


def test_no_documents_are_no_problem() -> None:
    assert list(Fingerprint(DedupConfig()).run(iter([]))) == []
