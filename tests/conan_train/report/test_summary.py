from conan_data.artifact import Rows
from conan_train.report.config import ReportConfig
from conan_train.report.report import report
from conan_train.summary import summarise


def test_whole_project(project, tmp_path):
    page = report(ReportConfig(inputs=tuple(str(path) for path in project.values()), out=tmp_path / "page"))
    text = summarise([page, *project.values()][::-1])
    lines = text.splitlines()

    def line(start):
        return next(line for line in lines if line.startswith(start)).split()

    assert line("corpus")[2:4] == ["7,000", "5,500"]
    assert "near-duplicate 700, too-short 311, other-language 240, exact-duplicate 150, others 99" in text
    assert line("same language, ndcg@10")[-3:] == ["18.0", "61.0", "40.0"]
    assert line("across languages, recall@20")[-3:] == ["12.6", "42.7", "28.0"]
    assert "scores-lm scores-tuned scores-bm25" in " ".join(text.split())
    assert (
        "same-language, ndcg@10, before training (scores-lm) and after (scores-tuned): 18.0 -> 61.0" in text
    )
    assert (
        "mined 3 times during training, 1,075 replaced by the rule; 40% changed by the last mining; mean score when mined 0.450 -> 0.350"
        in text
    )
    assert str(page / "report.html") in text and str(project["exported"]) in text


def test_stages_of_the_recipe_name_what_they_made(make):
    text = summarise([make("negatives", "pools"), make("corpus", "texts")], stages=["mine", "build-corpus"])
    lines = [line.split()[:3] for line in text.splitlines()]
    assert ["stage", "artifact", "kind"] in lines
    assert ["mine", "pools", "negatives"] in lines and ["build-corpus", "texts", "corpus"] in lines


def test_parts_without_an_artifact_are_left_out(make):
    text = summarise([make("corpus", "small", rows=Rows(read=3, kept=2, dropped={"empty": 1}))])
    assert "empty 1" in text and "retrieval" not in text and "negatives" not in text
