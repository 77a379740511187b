from conan_data.corpus.report import counts

ROWS = {
    "read": 100,
    "kept": 60,
    "dropped": {"too-short": 15, "near-duplicate": 10, "other-language": 5, "new": 10},
}
FUNNEL = [
    {"stage": "zeal", "reason": "new", "lang": "en", "rows": 10},
    {"stage": "dedup", "reason": "near-duplicate", "lang": "es", "rows": 10},
    {"stage": "language", "reason": "other-language", "lang": "", "rows": 5},
    {"stage": "rules", "reason": "too-short", "lang": "en", "rows": 9},
    {"stage": "rules", "reason": "too-short", "lang": "es", "rows": 6},
]


def test_stages_are_in_order_and_add_up():
    stages = counts.stages(ROWS, FUNNEL)
    assert [(stage.name, stage.before, stage.after) for stage in stages] == [
        ("language", 100, 95),
        ("rules", 95, 80),
        ("dedup", 80, 70),
        ("zeal", 70, 60),
    ]
    assert stages[1].reasons == {"too-short": 15}


def test_drops_without_stages_are_one_stage():
    (stage,) = counts.stages(ROWS, [])
    assert (stage.before, stage.after) == (100, 60)
    assert list(stage.reasons) == ["too-short", "near-duplicate", "new", "other-language"]


def test_reasons_name_the_languages_that_are_not_wanted():
    plain = {row["reason"]: row for row in counts.drop_reasons(ROWS, FUNNEL)}
    assert plain["too-short"]["languages"] == "en 9, es 6" and plain["too-short"]["share"] == 0.15
    assert plain["other-language"]["languages"] == "unknown 5"
    named = {row["reason"]: row for row in counts.drop_reasons(ROWS, FUNNEL, {"da": 3, "fi": 2})}
    assert named["other-language"]["languages"] == "da 3, fi 2"


def test_languages_account_for_every_document():
    extra = {
        "kept": {"en": 20, "es": 40},
        "characters": {"en": 200, "es": 400},
        "tokens": {"en": 50, "es": 80},
    }
    rows = counts.languages(extra, FUNNEL)
    assert [row["language"] for row in rows] == ["es", "en", "unknown"]
    assert sum(row["read"] for row in rows) == 100 and sum(row["kept"] for row in rows) == 60
    assert rows[1]["by_stage"] == {"rules": 9, "zeal": 10} and rows[1]["tokens"] == 50
    assert rows[2]["tokens"] is None


def test_confusion_is_a_table_of_pairs():
    table = counts.confusion({"confusion": {"es>en": 2, "es>pt": 7, "zh>en": 1}})
    assert (table.declared, table.found, table.most) == (["es", "zh"], ["pt", "en"], 7)
    assert table.counts["zh", "en"] == 1 and ("zh", "pt") not in table.counts
    assert counts.confusion({"confusion": {}}) is None


def test_long_lists_are_summed_up():
    assert counts.listed({"a": 1, "b": 5, "c": 3, "d": 1000}, most=2) == "d 1,000, b 5, others 4"
