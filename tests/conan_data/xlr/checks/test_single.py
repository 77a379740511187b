"""Each check of single translations by itself: what it must refuse, and what is like it and must stay."""

import pytest

from conan_data.xlr.checks.kept import code_spans, quoted_names
from conan_data.xlr.checks.numbers import numbers_of
from conan_data.xlr.checks.remarks import leaks_of
from conan_data.xlr.checks.script import scripts_of


def refused(reason_of, reason, cases, **named):
    """`cases` of (source, text, language, whether it is refused)."""
    for source, text, language, is_refused in cases:
        found = reason_of(text, language, source=source, skip=("language", "duplicates"), **named)
        assert (found == reason) is is_refused, (source, text, found)


def test_numbers(reason_of):
    cases = [
        ("Send 1,000.5 MB.", "Sende 1.000,5 MB.", "de", False),
        ("Pay 1,234 or 56.", "ادفع ٥٦ أو ١٬٢٣٤.", "ar", False),
        ("Use IPv6 on port 80.", "Nutze IPv4 auf Port 80.", "de", True),
        ("Join two files.", "Verbinde 2 Dateien.", "de", False),
        ("Save 1 character.", "保存一个字符。", "zh", False),
        ("Wait for 5 minutes.", "Warte einige Minuten.", "de", True),
        ("Wait a while.", "Warte 5 Minuten.", "de", True),
        ("View a file in hexadecimal.", "ファイルを16進数で表示します。", "ja", False),
        ("Room 007.", "Zimmer 7.", "de", False),
    ]
    refused(reason_of, "number-changed", cases)
    refused(reason_of, "number-changed", [(*case[:3], False) for case in cases], max_changed_numbers=2)
    assert numbers_of("1 000 und 2.5 und 12, 13") == {"1000", "25", "12", "13"}


def test_code(reason_of):
    cases = [
        ("Start `cargo init`.", "Inicia `mercaderia init`.", "es", True),
        ("Start `cargo init`.", "Inicia cargo init.", "es", False),
        ("Start it. See also: `cargo init`.", "Inicia esto.", "es", False),
        ("Use `a` or `b`.", "Usa `b` o `a`.", "es", False),
    ]
    refused(reason_of, "code-changed", cases)
    refused(reason_of, "code-lost", [("Use it. See `cargo`.", "Usa esto.", "es", True)], min_code_kept=1)
    assert code_spans("a ``b ` c`` and `d`") == ["b ` c", "d"]


def test_addresses_placeholders_and_names(reason_of):
    refused(
        reason_of,
        "url-lost",
        [
            ("See https://x.org/a.", "Siehe https://x.org/a.", "de", False),
            ("See https://x.org/a.", "Siehe https://x.org/ein.", "de", True),
        ],
    )
    refused(
        reason_of,
        "placeholder-lost",
        [
            ("Hello {name}, {{x}}!", "Hallo {name}, {{x}}!", "de", False),
            ("Hello {name}!", "Hallo {Name}!", "de", True),
            ("Give me 5% discount.", "Gib mir 5 % Rabatt.", "de", False),
            ("Copy %s to $HOME.", "Kopiere %s nach $HEIM.", "de", True),
        ],
    )
    refused(
        reason_of,
        "name-lost",
        [
            ('Open "Storage Sense" now.', "Öffne jetzt „Speicheroptimierung“.", "de", True),
            ('Open "Storage Sense" now.', "Öffne jetzt „Storage Sense“.", "de", False),
            ('Say "hello there" to them.', "Sage ihnen „guten Tag“.", "de", False),
        ],
    )
    assert quoted_names("the user's \"v1.2\", 'Don't' and \"a word\"") == ["v1.2"]


def test_scripts(reason_of):
    refused(
        reason_of,
        "wrong-script",
        [
            ("Run the program now.", "Führe das Programm aus.", "ru", True),
            ("Run the program now.", "Pokreni program sada.", "sr", False),
            ("Run the program now.", "Покрени програм сада.", "sr", False),
            ("Run `git` now.", "今すぐ`git`を実行。", "ja", False),
            ("Visual Studio Code.", "Visual Studio Code 편집기.", "ko", False),
        ],
    )
    refused(
        reason_of,
        "foreign-letters",
        [
            ("Run the program now.", "Führe das программа Programm aus.", "de", True),
            ("Show the letter π.", "Zeige den Buchstaben π.", "de", False),
        ],
    )
    refused(
        reason_of,
        "other-chinese-script",
        [
            ("Convert the document.", "转换这个文档格式。", "zh_TW", True),
            ("Convert the document.", "轉換這個文件格式。", "zh_TW", False),
            ("Convert the document.", "轉換這個文件格式。", "zh_CN", True),
            ("Convert the document.", "轉換這個文件格式。", "zh", False),
        ],
    )
    assert scripts_of("sr") == scripts_of("sr_Latn") | scripts_of("sr_Cyrl")
    assert scripts_of("tlh") == 0


def test_ends(reason_of):
    refused(
        reason_of,
        "cut-off",
        [
            ("Show all files.", "Zeige alle Dat", "de", True),
            ("Show all files.", "แสดงไฟล์ทั้งหมด", "th", False),
            ("Show all files", "Zeige alle Dateien", "de", False),
            ("Show all files", "Zeige alle Dateien,", "de", True),
            ("Show all files (hidden ones too).", "Zeige alle Dateien (auch versteckte.", "de", True),
            ("Use `ls` to show files.", "Nutze `ls zum Anzeigen.", "de", True),
            ("Is it there?", "هل هو هناك؟", "ar", False),
            ("List the files.", "列出文件。", "zh", False),
        ],
    )


def test_remarks_refusals_and_leaks(reason_of):
    refused(
        reason_of,
        "remark",
        [
            ("show my balance", "Spanish: mostrar mi saldo", "es", True),
            ("show my balance", "Aquí está la traducción de mi saldo", "es", True),
            ("a translation: show it", "una traducción: muéstralo", "es", False),
            ("show my balance", "«mostrar mi saldo»", "es", True),
            ('"show" my "balance"', '"mostrar" mi "saldo"', "es", False),
        ],
    )
    refused(
        reason_of,
        "note-in-brackets",
        [("show my balance", "saldo (esta es una frase informal en español)", "es", True)],
    )
    refused(
        reason_of,
        "refusal",
        [
            ("show my balance now", "As an AI language model, I cannot do that", "es", True),
            ("what does 'i'm sorry, but no' mean", "qué significa «lo siento, pero no»", "es", False),
        ],
    )
    assert leaks_of("one two three four five {x} six") == ["one two three four", "two three four five"]


@pytest.mark.parametrize(
    ("text", "is_refused"),
    [
        ("nein nein nein nein nein nein nein nein nein", True),
        ("ラストラストラストラストラストラストラストラスト", True),
        ("Die Dateien werden der Reihe nach gelesen und gezählt", False),
    ],
)
def test_repeats(reason_of, text, is_refused):
    skip = ("language", "script", "length", "ending")
    source = "The files are read one after the other and then counted"
    assert (reason_of(text, source=source, skip=skip) == "repeated") is is_refused
