from pathlib import Path

import pytest

from conan_data.errors import UserError
from conan_data.xlr.translators import Request
from conan_data.xlr.translators.prompts import Prompts
from conan_data.xlr.translators_config import PromptConfig

TERMS = """term,lang,translation
commit,de,Commit
Git commit,de,Git-Commit
file,de,Datei
file,fr,fichier
文件,de,Datei (zh)
mit,de,NIE
"""


def prompts(folder: Path, *, terms: str = TERMS, examples: str = "", **fields: str) -> Prompts:
    (folder / "terms.csv").write_text(terms)
    (folder / "examples.jsonl").write_text(examples)
    config = PromptConfig(
        prompt="{language}|{text}", retry_prompt="{language}!{reason}!{text}", glossary=str(folder / "terms.csv"),
        examples=str(folder / "examples.jsonl") if examples else "", **fields,
    )  # fmt: skip
    return Prompts(config, ("de", "fr"))


@pytest.mark.parametrize(
    ("text", "language", "terms"),
    [
        (
            "show the FILE of a  git\ncommit",
            "de",
            ["file = Datei", "Git commit = Git-Commit", "commit = Commit"],
        ),
        ("file the file", "fr", ["file = fichier"]),
        ("commits and profiles permit nothing", "de", []),
        ("打开文件夹", "de", ["文件 = Datei (zh)"]),
        ("file", "es", []),
    ],
)
def test_only_terms_of_the_text_and_language_go_into_the_prompt(
    text: str, language: str, terms: list[str], tmp_path: Path
) -> None:
    [(role, prompt)] = prompts(tmp_path).messages(Request("q", text, language))
    head, _, asked = prompt.rpartition("\n\n")
    assert role == "user" and asked.endswith(f"|{text}")
    assert head.split("\n")[1:] == terms


def test_examples_are_earlier_turns_and_a_second_try_names_the_reason(tmp_path: Path) -> None:
    examples = (
        '{"text": "a", "lang": "de", "translation": "A"}\n{"text": "b", "lang": "es", "translation": "B"}\n'
    )
    made = prompts(tmp_path, examples=examples)
    assert made.messages(Request("q", "x", "de")) == (
        ("user", "German|a"),
        ("assistant", "A"),
        ("user", "German|x"),
    )
    assert made.messages(Request("q", "x", "fr", refused="other-language")) == (
        ("user", "French!other language!x"),
    )


def test_a_row_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"glossary: .*terms\.csv: row 2 has no text 'translation'"):
        prompts(tmp_path, terms="term,lang,translation\na,de,A\nb,de,\n")
