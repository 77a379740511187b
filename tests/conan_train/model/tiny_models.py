"""Tiny models with random weights, each as another tool would publish it, for tests of opening them."""

from pathlib import Path

import torch
from sentence_transformers import CrossEncoder, SentenceTransformer
from sentence_transformers.base.modules import Dense, Transformer
from sentence_transformers.sentence_transformer.modules import Normalize, Pooling
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    BertModel,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from conan_data import artifact
from conan_data.config import StageConfig

SHAPE = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 3, "num_attention_heads": 2}
LETTERS = [chr(code) for code in range(97, 123)]


def bert_tokenizer() -> PreTrainedTokenizerFast:
    """WordPiece over letters, with [CLS] and [SEP], as BERT has it."""
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *LETTERS, *(f"##{letter}" for letter in LETTERS)]
    vocabulary = {token: place for place, token in enumerate([*tokens, "the", ":"])}
    backend = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]", max_input_chars_per_word=100))
    backend.normalizer = normalizers.BertNormalizer()
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    backend.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    return PreTrainedTokenizerFast(
        tokenizer_object=backend, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]",
        mask_token="[MASK]", model_max_length=64,
    )  # fmt: skip


def byte_level_tokenizer() -> PreTrainedTokenizerFast:
    """Byte-level BPE with a few merges, and EOS after each text."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    merges = [
        ("t", "h"),
        ("th", "e"),
        ("Ġ", "the"),
        ("Ġ", "Ġ"),
        ("ĠĠ", "ĠĠ"),
        ("a", "a"),
        ("aa", "aa"),
        ("aaaa", "a"),
    ]
    tokens = ["<pad>", "</s>", "<unk>", *letters, *(first + second for first, second in merges)]
    backend = Tokenizer(models.BPE({token: place for place, token in enumerate(tokens)}, merges))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    backend.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    return PreTrainedTokenizerFast(
        tokenizer_object=backend, pad_token="<pad>", eos_token="</s>", unk_token="<unk>", model_max_length=64
    )


def write_bert(folder: Path, *, prompts: dict[str, str] | None = None) -> Path:
    """A sentence-transformers folder: BERT, mean pooling, a projection, unit length."""
    torch.manual_seed(0)
    tokenizer = bert_tokenizer()
    plain = folder.with_name(folder.name + "-plain")
    BertModel(BertConfig(vocab_size=len(tokenizer), **SHAPE)).save_pretrained(plain)
    tokenizer.save_pretrained(plain)
    SentenceTransformer(
        modules=[Transformer(str(plain)), Pooling(32, "mean"), Dense(32, 16), Normalize()],
        device="cpu",
        prompts=prompts,
    ).save_pretrained(str(folder), create_model_card=False)
    return folder


def write_cross_encoder(folder: Path) -> Path:
    torch.manual_seed(0)
    tokenizer = bert_tokenizer()
    settings = BertConfig(vocab_size=len(tokenizer), num_labels=1, **SHAPE)
    BertForSequenceClassification(settings).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    CrossEncoder(str(folder), device="cpu").save_pretrained(str(folder))
    return folder


def write_decoder(folder: Path, *, family: str = "llama") -> Path:
    """A plain language model of transformers."""
    torch.manual_seed(0)
    tokenizer = byte_level_tokenizer()
    options = {
        "vocab_size": len(tokenizer),
        "num_key_value_heads": 1,
        "pad_token_id": 0,
        "eos_token_id": 1,
        "max_position_embeddings": 128,
    }
    if family == "llama":
        model = LlamaForCausalLM(LlamaConfig(tie_word_embeddings=False, **SHAPE, **options))
    else:
        model = Qwen3ForCausalLM(Qwen3Config(tie_word_embeddings=True, head_dim=16, **SHAPE, **options))
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def write_embedder(out: Path, *, family: str = "llama", **contract: object) -> Path:
    """An artifact of kind `embedder`, as training publishes it."""
    from conan_train.model.contract import EncodingContract
    from conan_train.model.embedder import Embedder
    from conan_train.model.tokenization import load_tokenizer

    source = write_decoder(out.with_name(out.name + "-base"), family=family)
    values = {"max_length": 48, "query_prompt": "query: ", "document_prompt": "passage: ", **contract}
    embedder = Embedder.from_language_model(source, EncodingContract(**values), alpha=1.0)
    with artifact.building(StageConfig(out=out), kind="embedder", command="test", inputs=[]) as build:
        embedder.save(build.dir / "model", tokenizer=load_tokenizer(source))
        return build.publish(rows=artifact.Rows(0, 0))


def write_decoder_embedder(folder: Path, *, pooling: str = "lasttoken", family: str = "qwen3") -> Path:
    """A sentence-transformers folder of a decoder with an instruction before queries, as several are published."""
    plain = write_decoder(folder.with_name(folder.name + "-plain"), family=family)
    SentenceTransformer(
        modules=[Transformer(str(plain), max_seq_length=40), Pooling(32, pooling), Normalize()],
        prompts={"query": "instruct: find the ", "document": ""},
        device="cpu",
    ).save_pretrained(str(folder), create_model_card=False)
    return folder
