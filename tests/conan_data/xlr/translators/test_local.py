"""Models that run here: a tiny one with random weights of each family, against transformers alone."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from conan_data import tables
from conan_data.chat.answers import Answers
from conan_data.errors import UserError
from conan_data.xlr.translators import Failure, Request, Task, Translation
from conan_data.xlr.translators.chat import ChatModelTranslator
from conan_data.xlr.translators.codes import code_of
from conan_data.xlr.translators.seq2seq import Seq2SeqTranslator
from conan_data.xlr.translators_config import ChatModelConfig, Seq2SeqConfig

SMOLLM2 = Path("/work/models/smollm2")
LETTERS = [*"abcdefghijklmnopqrstuvwxyz", "▁"]
TEXTS = [
    "show all files",
    "kill a process",
    "a",
    "print the first lines of a very long text file",
    "sort lines",
]
TRAITS = {
    "nllb": ("m2m_100", {"en": "eng_Latn", "de": "deu_Latn", "fr": "fra_Latn"}),
    "m2m": ("m2m_100", {"en": "__en__", "de": "__de__", "fr": "__fr__"}),
    "madlad": ("t5", {"en": "<2en>", "de": "<2de>", "fr": "<2fr>"}),
    "marian": ("marian", {"de": ">>deu<<", "fr": ">>fra<<"}),
    "marian-pair": ("marian", {}),
}


def make(folder: Path, family: str) -> Path:
    """Save a model of a family whose tokens are letters; the same weights each time."""
    import torch
    import transformers
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors

    kind, codes = TRAITS[family]
    names = ["<pad>", "</s>", "<unk>", "<s>", *codes.values()]
    tokenizer = Tokenizer(
        models.Unigram([*((name, 0.0) for name in names), *((letter, -3.0) for letter in LETTERS)], unk_id=2)
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    fast: Any = transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", eos_token="</s>", unk_token="<unk>",
        additional_special_tokens=list(codes.values()), model_max_length=64,
    )  # fmt: skip
    torch.manual_seed(1)
    size = len(names) + len(LETTERS)
    common = {
        "vocab_size": size,
        "pad_token_id": 0,
        "eos_token_id": 1,
        "decoder_start_token_id": 0,
        "d_model": 16,
    }
    layers = {"encoder_layers": 1, "decoder_layers": 1, "encoder_attention_heads": 2, "decoder_attention_heads": 2, "encoder_ffn_dim": 32, "decoder_ffn_dim": 32, "max_position_embeddings": 64, "init_std": 1.0}  # fmt: skip
    model: Any
    if kind == "m2m_100":
        model = transformers.M2M100ForConditionalGeneration(transformers.M2M100Config(**common, **layers))
    elif kind == "marian":
        model = transformers.MarianMTModel(
            transformers.MarianConfig(**common, **layers, forced_eos_token_id=None)
        )
    else:
        model = transformers.T5ForConditionalGeneration(
            transformers.T5Config(
                **common, d_kv=8, d_ff=32, num_layers=1, num_heads=2, initializer_factor=5.0
            )
        )
    model.save_pretrained(folder)
    fast.save_pretrained(folder)
    if family == "marian-pair":
        path = folder / "tokenizer_config.json"
        path.write_text(
            json.dumps({**json.loads(path.read_text()), "source_lang": "eng", "target_lang": "deu"})
        )
    return folder


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {family: make(tmp_path_factory.mktemp(family), family) for family in TRAITS}


def task(answers: Path, *languages: str, sources: tuple[str, ...] = ("en",)) -> Task:
    return Task("data", languages, sources, tables.TRANSLATIONS.empty_table(), Answers(answers))


def config(model: Path, **fields: Any) -> Seq2SeqConfig:
    return Seq2SeqConfig(
        **{"model": str(model), "beams": 1, "max_new_tokens": 12, "device": "cpu", "batch_size": 2, **fields}
    )


def requests(*languages: str) -> list[Request]:
    return [Request(f"q{n}", text, language, "en") for n, text in enumerate(TEXTS) for language in languages]


def directly(folder: Path, family: str, request: Request) -> tuple[str, bool]:
    """What transformers gives for one text alone, and whether it ended."""
    import torch
    import transformers

    kind, codes = TRAITS[family]
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.AutoModelForSeq2SeqLM.from_pretrained(folder).eval()
    options: dict[str, Any] = {}
    text = request.text
    if kind == "m2m_100":
        options["forced_bos_token_id"] = tokenizer.get_vocab()[codes[request.language]]
    elif codes:
        text = f"{codes[request.language]} {text}"
    ids = tokenizer(text, return_tensors="pt")
    with torch.inference_mode():
        tokens = model.generate(input_ids=ids.input_ids, attention_mask=ids.attention_mask, num_beams=1, do_sample=False, max_new_tokens=12, **options)[0]  # fmt: skip
    return tokenizer.decode(tokens, skip_special_tokens=True).strip(), 1 in tokens.tolist()[1:]


@pytest.mark.parametrize("family", TRAITS)
def test_a_family_gives_what_transformers_gives(family: str, models: dict[str, Path], tmp_path: Path) -> None:
    languages = ("de",) if family == "marian-pair" else ("de", "fr")
    translator = Seq2SeqTranslator(config(models[family]), task(tmp_path / "a", *languages))
    asked = requests(*languages)
    answers = list(translator.translate(asked))
    assert len(answers) == len(asked)
    for request, answer in zip(asked, answers):
        text, has_ended = directly(models[family], family, request)
        expected = Failure("answer-cut-off") if not has_ended else Translation(text, answer.translator) if text else Failure("answer-empty")  # fmt: skip
        assert answer == expected
    assert translator.used() == {"requests": len(asked)}
    again = Seq2SeqTranslator(config(models[family]), task(tmp_path / "a", *languages))
    assert list(again.translate(asked)) == answers and again.spent()["generated"] == 0


def test_a_run_that_stopped_goes_on_with_the_same_answers(models: dict[str, Path], tmp_path: Path) -> None:
    asked = requests("de", "fr")
    whole = list(
        Seq2SeqTranslator(config(models["nllb"], beams=2), task(tmp_path / "a", "de", "fr")).translate(asked)
    )
    first = Seq2SeqTranslator(config(models["nllb"], beams=2), task(tmp_path / "b", "de", "fr"))
    generate = first._generate
    calls = []

    def fail(batch: Any) -> Any:
        calls.append(batch)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return generate(batch)

    first._generate = fail  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        list(first.translate(asked))
    second = Seq2SeqTranslator(config(models["nllb"], beams=2), task(tmp_path / "b", "de", "fr"))
    assert list(second.translate(asked)) == whole
    assert second.spent()["generated"] == len(asked) - 4


@pytest.mark.parametrize(
    ("family", "languages", "sources", "words"),
    [
        ("nllb", ("de", "xh"), ("en",), "mix: .* has no code for 'xh'"),
        ("nllb", ("pt_BR",), ("en",), "mix: .* has no code for 'pt_BR'"),
        ("nllb", ("de",), ("ja",), "data: .* has no code for 'ja'"),
        ("m2m", ("zh_TW",), ("en",), "mix: .* has no code for 'zh_TW'"),
        ("madlad", ("cy",), ("en",), "mix: .* has no code for 'cy'"),
        ("marian", ("es",), ("en",), "mix: .* has no code for 'es'"),
        ("marian-pair", ("fr",), ("en",), "mix: .* translates into 'deu', not into 'fr'"),
        ("marian-pair", ("de",), ("fr",), "data: has queries in 'fr', and .* translates from 'eng'"),
    ],
)
def test_an_unknown_language_is_named_before_the_start(
    family: str,
    languages: tuple[str, ...],
    sources: tuple[str, ...],
    words: str,
    models: dict[str, Path],
    tmp_path: Path,
) -> None:
    with pytest.raises(UserError, match=words) as raised:
        Seq2SeqTranslator(config(models[family]), task(tmp_path / "a", *languages, sources=sources))
    assert "\n" not in str(raised.value) and not (tmp_path / "a").exists()


def test_a_language_can_be_mapped(models: dict[str, Path], tmp_path: Path) -> None:
    mapped = config(models["nllb"], languages={"de_AT": "deu_Latn"})
    [answer] = Seq2SeqTranslator(mapped, task(tmp_path / "a", "de_AT")).translate(
        [Request("q", TEXTS[0], "de_AT", "en")]
    )
    [plain] = Seq2SeqTranslator(config(models["nllb"]), task(tmp_path / "a", "de")).translate(
        [Request("q", TEXTS[0], "de", "en")]
    )
    assert answer == plain


@pytest.mark.parametrize(
    ("language", "known", "code"),
    [
        ("zh_TW", {"zho_Hans", "zho_Hant"}, "zho_Hant"), ("zh", {"zho_Hans", "zho_Hant"}, "zho_Hans"), ("zh", {"zh"}, "zh"),
        ("he", {"iw", "en"}, "iw"), ("no", {"nob_Latn"}, "nob_Latn"), ("nb", {"no"}, "no"), ("tl", {"fil"}, "fil"),
        ("pt_BR", {"pt_br"}, "pt_br"), ("sw", {"swh_Latn"}, "swh_Latn"), ("ar", {"arb_Arab"}, "arb_Arab"),
    ],
)  # fmt: skip
def test_codes(language: str, known: set[str], code: str) -> None:
    assert code_of(language, known, field="mix", model="m") == code


def test_a_model_that_is_none_of_these_is_refused(models: dict[str, Path], tmp_path: Path) -> None:
    folder = tmp_path / "bert"
    folder.mkdir()
    (folder / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(UserError, match="seq2seq.model: .* type 'bert'"):
        Seq2SeqTranslator(config(folder), task(tmp_path / "a", "de"))
    with pytest.raises(UserError, match=r"seq2seq\.model"):
        Seq2SeqTranslator(config(tmp_path / "absent"), task(tmp_path / "a", "de"))
    with pytest.raises(UserError, match=r"chat\.model: .* has no chat template"):
        ChatModelTranslator(ChatModelConfig(model=str(models["nllb"])), task(tmp_path / "a", "de"))


@pytest.mark.skipif(not SMOLLM2.is_dir(), reason=f"{SMOLLM2} is not there")
@pytest.mark.slow
def test_a_real_chat_model_answers_alone_as_in_a_batch(tmp_path: Path) -> None:
    asked = [
        Request("1", "show all files", "fr", "en"),
        Request("2", "kill the process that uses the most memory", "es", "en"),
    ]
    chat = ChatModelConfig(model=str(SMOLLM2), max_new_tokens=24, device="cpu", batch_size=1)
    alone = list(ChatModelTranslator(chat, task(tmp_path / "a", "es", "fr")).translate(asked))
    together = list(
        ChatModelTranslator(replace(chat, batch_size=2), task(tmp_path / "b", "es", "fr")).translate(asked)
    )
    assert alone == together and any(isinstance(answer, Translation) for answer in alone)
