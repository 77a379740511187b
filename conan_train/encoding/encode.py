"""`conan-train encode`: texts in, an artifact of vectors out.

    OUT/ids.parquet                 column `id`: row i names vector i
    OUT/vectors/shards.json         the shards in their order, and the encoder's fingerprint
    OUT/vectors/shard-*.npy         float16 [rows, D], or records of int8 `codes` and a float32 `scale`

A shard is a plain array: `numpy.load(path)`, or `load(path)["codes"] * load(path)["scale"][:, None]`.
`load_embeddings(OUT)` opens all of it, mapped, for search or anything else. Vectors are of length 1.

The shards are the same bytes for any number of processes on the same kind of machine, and for a run that was
killed and started again.
"""

import itertools
import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from conan_data import artifact
from conan_data.errors import UserError
from conan_data.mining.embeddings import Embeddings, encode_part, encode_to_shards
from conan_data.mining.encoder import Encoder, Kind, load_encoder
from conan_data.mining.ranks import Ranks, ranks
from conan_data.mining.shards import HEADER
from conan_data.mining.truncated import TruncatedEncoder
from conan_data.models.locate import model_input
from conan_train.encoding.config import EncodeConfig
from conan_train.encoding.texts import Tally, input_paths, named_texts

log = logging.getLogger(__name__)

KIND = "embeddings"
IDS, VECTORS = "ids.parquet", "vectors"
_IDS_A_GROUP = 65_536
_GO, _DONE, _FAILED = range(3)


@dataclass(frozen=True)
class LoadedEmbeddings:
    """`vectors[i]` is the vector of `ids[i]`, made by the encoder of `fingerprint`."""

    vectors: Embeddings
    ids: pa.ChunkedArray
    fingerprint: str


def load_embeddings(path: str | Path) -> LoadedEmbeddings:
    """An artifact of `conan-train encode`: vectors mapped into memory, not read. Raises `UserError` for
    anything else, and for one that was changed.
    """
    opened = artifact.open_artifact(path, kind=KIND)
    return LoadedEmbeddings(
        vectors=Embeddings.open(opened.dir / VECTORS),
        ids=pq.read_table(opened.dir / IDS).column("id"),
        fingerprint=opened.manifest["extra"]["fingerprint"],
    )


def encode(config: EncodeConfig) -> Path:
    """Encodes and publishes; under torchrun each process makes its share. Returns the artifact's directory.

    Raises `UserError` for inputs or a model that cannot be used.
    """
    with ranks() as place:
        return _lead(config, place) if place.rank == 0 else _follow(config, place)


def _lead(config: EncodeConfig, place: Ranks) -> Path:
    state = _FAILED
    try:
        with artifact.building(
            config,
            kind=KIND,
            command="conan-train encode",
            inputs=[model_input(config.model), *input_paths(config)],
            resume=True,
        ) as build:
            if build.done:
                state = _DONE
                return build.out
            state = _GO
            place.announce(state)
            tally = Tally()
            encoder = open_encoder(config, place)
            if place.world_size > 1:
                _encode_share(config, encoder, build.dir, place)
                place.wait()
            vectors = _finish(config, encoder, build.dir, tally)
            extra = {
                "fingerprint": encoder.fingerprint,
                "dimension": encoder.dimension,
                "storage": config.storage,
                "kind": config.kind,
                "vectors": len(vectors),
            }
            return build.publish(rows=tally.rows, extra=extra)
    finally:
        # Whoever waits to begin must not wait for a leader that never will.
        if state != _GO:
            place.announce(state)


def _follow(config: EncodeConfig, place: Ranks) -> Path:
    state = place.announce(_FAILED)
    if state == _FAILED:
        raise UserError("rank 0 could not begin; see its message")
    if state == _GO:
        directory = artifact.partial_path(config.out)
        _encode_share(config, open_encoder(config, place), directory, place)
        place.wait()
    return config.out


def open_encoder(config: EncodeConfig, place: Ranks) -> Encoder:
    """The model, cut to `dims`."""
    prompts: dict[Kind, str] = {} if config.prompt is None else {config.kind: config.prompt}
    encoder = load_encoder(
        config.model,
        max_length=config.max_length,
        batch_tokens=config.batch_tokens,
        device=place.device(config.device),
        dtype=config.dtype,
        prompts=prompts,
    )
    return encoder if config.dims is None else TruncatedEncoder(encoder, config.dims)


def _encode_share(config: EncodeConfig, encoder: Encoder, directory: Path, place: Ranks) -> None:
    names, texts = _columns(config, Tally())
    encode_part(
        encoder,
        texts,
        names,
        directory / VECTORS,
        kind=config.kind,
        rank=place.rank,
        world_size=place.world_size,
        shard_size=config.shard_size,
        storage=config.storage,
        cache=Path(config.cache) if config.cache else None,
    )


def _finish(config: EncodeConfig, encoder: Encoder, directory: Path, tally: Tally) -> Embeddings:
    """All shards of `directory`, those that are missing made now, and the ids beside them."""
    names, texts = _columns(config, tally)
    schema = pa.schema([pa.field("id", pa.string(), nullable=False)])
    with pq.ParquetWriter(directory / IDS, schema, compression="zstd") as writer:
        vectors = encode_to_shards(
            encoder,
            texts,
            _written(names, writer),
            directory / VECTORS,
            kind=config.kind,
            shard_size=config.shard_size,
            storage=config.storage,
            cache=Path(config.cache) if config.cache else None,
        )
    if not len(vectors):
        raise UserError(f"{', '.join(config.inputs) or config.data}: holds no text to encode")
    log.info(
        "%d vectors of %d numbers in %s (%s)", len(vectors), vectors.dimension, config.out / VECTORS, HEADER
    )
    return vectors


def _columns(config: EncodeConfig, tally: Tally) -> tuple[Iterator[str], Iterator[str]]:
    """Ids and texts as two streams over one pass of the inputs."""
    left, right = itertools.tee(named_texts(config, tally))
    return (name for name, _ in left), (text for _, text in right)


def _written(names: Iterable[str], writer: pq.ParquetWriter) -> Iterator[str]:
    """`names`, written to a file as they pass."""
    names = iter(names)
    while group := list(itertools.islice(names, _IDS_A_GROUP)):
        writer.write_table(pa.table([pa.array(group, pa.string())], schema=writer.schema))
        yield from group
