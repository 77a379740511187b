import random

import pyarrow as pa

from conan_data import tables
from conan_data.xlr.judgements import expand


def test_equals_brute_force():
    draw = random.Random(0)
    corpus = [
        {"_id": f"d{n}", "title": "", "text": "x", "lang": "en", "group": f"g{draw.randrange(15)}"}
        for n in range(40)
    ]
    qrels = [
        {
            "query-id": f"q{draw.randrange(12)}",
            "corpus-id": f"d{draw.randrange(40)}",
            "score": draw.choice([-1, 0, 0, 1, 2]),
        }
        for _ in range(90)
    ]
    qrels = list({(row["query-id"], row["corpus-id"]): row for row in qrels}.values())
    versions = [{"_id": f"q{n}@{lang}", "origin": f"q{n}"} for n in (3, 0, 7, 11) for lang in ("de", "en")]

    expected = []
    for version in versions:
        own = {row["corpus-id"]: row["score"] for row in qrels if row["query-id"] == version["origin"]}
        for document in corpus:
            best = max(
                (
                    score
                    for other, score in own.items()
                    if corpus[int(other[1:])]["group"] == document["group"]
                ),
                default=0,
            )
            if best > 0:
                expected.append((version["_id"], document["_id"], best))
            elif document["_id"] in own:
                expected.append((version["_id"], document["_id"], own[document["_id"]]))

    got = expand(
        pa.Table.from_pylist(qrels, schema=tables.QRELS),
        pa.Table.from_pylist(corpus, schema=tables.CORPUS),
        pa.Table.from_pylist(versions),
    )
    assert got.schema == tables.QRELS
    assert [tuple(row.values()) for row in got.to_pylist()] == expected
    assert len({score for _, _, score in expected}) > 2
