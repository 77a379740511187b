import time

import pytest

from conan_data import tables
from conan_data.chat.answers import Answers
from conan_data.errors import UserError
from conan_data.xlr.translators import Failure, Request, Task, Translation
from conan_data.xlr.translators.endpoint import EndpointTranslator
from conan_data.xlr.translators_config import EndpointConfig
from tests.conan_data.chat.test_answers import num_answers

KEY = "sk-planted-secret-4711"
REQUESTS = [Request(f"q{number}", f"text {number}", ("de", "fr")[number % 2]) for number in range(30)]
EXPECTED = [
    Translation(f"{request.text[::-1]} in {'German' if request.language == 'de' else 'French'}", "m")
    for request in REQUESTS
]


def translator(endpoint, tmp_path, **fields):
    values = {
        "base_url": endpoint.url,
        "model": "m",
        "api_key_env": "PLANTED_KEY",
        "prompt": "{language}|{text}",
        "backoff": 0.01,
        "timeout": 5.0,
    }
    return opened(EndpointConfig(**{**values, **fields}), tmp_path)


def opened(config, tmp_path):
    task = Task(
        "data", ("de", "fr"), ("en",), tables.TRANSLATIONS.empty_table(), Answers(tmp_path / "answers.sqlite")
    )
    return EndpointTranslator(config, task)


def failing(endpoint, tmp_path, **fields):
    """The message of the `UserError` that the endpoint leads to."""
    with pytest.raises(UserError) as raised:
        list(translator(endpoint, tmp_path, **fields).translate(REQUESTS))
    assert KEY not in str(raised.value)
    assert "\n" not in str(raised.value)
    return str(raised.value)


@pytest.mark.parametrize("concurrency", [1, 8])
def test_answers_come_in_the_order_of_the_requests(endpoint, tmp_path, concurrency):
    normal = endpoint.translate
    endpoint.translate = lambda language, text: (
        time.sleep(0.02 if text.endswith("0") else 0),
        normal(language, text),
    )[1]
    assert list(translator(endpoint, tmp_path, concurrency=concurrency).translate(REQUESTS)) == EXPECTED
    assert endpoint.most_in_flight <= concurrency
    assert (endpoint.most_in_flight > 1) == (concurrency > 1)
    body = endpoint.bodies[0]
    assert (body["model"], body["temperature"], body["max_tokens"]) == ("m", 0, 512)


def test_same_question_is_asked_once(endpoint, tmp_path):
    repeated = [Request(f"q{number}", "the same", "de") for number in range(50)]
    answers = list(translator(endpoint, tmp_path).translate(repeated))
    assert len(answers) == 50 and len(set(answers)) == 1
    assert len(endpoint.asked) == 1


@pytest.mark.parametrize(
    "fault",
    [
        {"status": 429, "headers": {"Retry-After": "0.05"}},
        {"status": 500},
        {"status": 503, "body": b"overloaded"},
        {"body": b"<html>not JSON"},
        {"body": b'{"choices": []}'},
        {"body": b'{"choices": [{"message": {"content": 3}}]}'},
        {"body": b'{"choices": [{"message": {"content": "\\ud800"}}]}'},
        {"seconds": 0.6},
    ],
    ids=str,
)
def test_passing_faults_are_retried(endpoint, tmp_path, new_fault, fault):
    endpoint.fault = lambda text, attempt: new_fault(**fault) if text.endswith("3") and attempt <= 2 else None
    assert list(translator(endpoint, tmp_path, timeout=0.3).translate(REQUESTS)) == EXPECTED
    asked = endpoint.counts()
    assert asked["French", "text 3"] == 3
    assert asked["German", "text 2"] == 1


def test_server_says_how_long_to_wait(endpoint, tmp_path, new_fault):
    endpoint.fault = lambda text, attempt: (
        new_fault(status=429, headers={"Retry-After": "0.4"}) if attempt == 1 else None
    )
    start = time.monotonic()
    list(translator(endpoint, tmp_path).translate(REQUESTS[:1]))
    assert time.monotonic() - start >= 0.4


def test_wrong_key_stops_at_once(endpoint, tmp_path, monkeypatch):
    monkeypatch.setenv("OTHER_KEY", "sk-wrong-secret")
    message = failing(endpoint, tmp_path, api_key_env="OTHER_KEY", concurrency=2)
    assert "401" in message and "$OTHER_KEY" in message and "sk-wrong-secret" not in message
    assert len(endpoint.asked) <= 4
    assert not (tmp_path / "answers.sqlite").exists()
    assert "no key was sent" in failing(endpoint, tmp_path, api_key_env="")


def test_wrong_model_or_address_stops_at_once(endpoint, tmp_path, new_fault):
    endpoint.fault = lambda text, attempt: new_fault(status=404, body=f"no model m; your key {KEY}".encode())
    message = failing(endpoint, tmp_path, concurrency=1)
    assert "'m'" in message and "404" in message and "***" in message
    assert len(endpoint.asked) == 1
    assert "not the right address" in failing(endpoint, tmp_path, base_url=endpoint.url + "/elsewhere")


def test_missing_key_and_bad_key(endpoint, tmp_path, monkeypatch):
    for value, rule in (
        (None, "is not set"),
        (" ", "is not set"),
        ("sk-\nsecret", "no key has"),
        ("sk-ü", "no key has"),
    ):
        if value is None:
            monkeypatch.delenv("PLANTED_KEY")
        else:
            monkeypatch.setenv("PLANTED_KEY", value)
        with pytest.raises(UserError, match=f"PLANTED_KEY .*{rule}") as raised:
            translator(endpoint, tmp_path)
        assert "secret" not in str(raised.value)


def test_lasting_fault_stops_and_can_be_continued(endpoint, tmp_path, new_fault):
    endpoint.fault = lambda text, attempt: (
        new_fault(status=500, body=f"boom {KEY}".encode()) if text == "text 20" else None
    )
    message = failing(endpoint, tmp_path, max_retries=2)
    assert (
        "'q20'" in message and "status 500: boom ***" in message and "run the same command again" in message
    )
    assert endpoint.counts()["German", "text 20"] == 3
    answered = {tuple(asked) for asked in endpoint.asked} - {("German", "text 20")}
    endpoint.asked.clear()
    endpoint.fault = lambda text, attempt: None
    assert list(translator(endpoint, tmp_path).translate(REQUESTS)) == EXPECTED
    assert not answered & set(endpoint.asked)
    assert len(answered) + len(endpoint.asked) == 30


def test_allowed_failures_are_given_and_asked_again_next_time(endpoint, tmp_path, new_fault):
    endpoint.fault = lambda text, attempt: (
        new_fault(status=400, body=b"too long") if text in ("text 4", "text 9") else None
    )
    assert "status 400: too long" in failing(endpoint, tmp_path, max_failures=1)
    answers = list(translator(endpoint, tmp_path, max_failures=2).translate(REQUESTS))
    assert [place for place, answer in enumerate(answers) if answer == Failure("no-answer")] == [4, 9]
    endpoint.fault = lambda text, attempt: None
    assert list(translator(endpoint, tmp_path).translate(REQUESTS)) == EXPECTED


@pytest.mark.parametrize(
    ("content", "finish", "reason"),
    [
        ("ab", "length", "answer-cut-off"),
        (" \n", "stop", "answer-empty"),
        (None, "stop", "answer-empty"),
        ("", "content_filter", "answer-refused"),
    ],
)
def test_answers_without_a_text_are_failures_and_final(endpoint, tmp_path, content, finish, reason):
    endpoint.translate, endpoint.finish_reason = lambda language, text: content, finish
    for _ in range(2):
        assert list(translator(endpoint, tmp_path).translate(REQUESTS[:2])) == [Failure(reason)] * 2
    assert len(endpoint.asked) == 2


def test_nobody_listens(tmp_path, monkeypatch):
    config = EndpointConfig(base_url="http://127.0.0.1:9/v1", model="m", max_retries=1, backoff=0.0)
    with pytest.raises(
        UserError, match=r"http://127\.0\.0\.1:9/v1 gives no usable answer .*Connect(ionRefused)?Error"
    ):
        list(opened(config, tmp_path).translate(REQUESTS[:1]))
    with pytest.raises(UserError, match="not an address"):
        opened(EndpointConfig(base_url="http://127.0.0.1:port/v1", model="m"), tmp_path)


def test_question_that_changed_is_asked_again(endpoint, tmp_path):
    list(translator(endpoint, tmp_path).translate(REQUESTS[:1]))
    list(translator(endpoint, tmp_path, model="other").translate(REQUESTS[:1]))
    list(translator(endpoint, tmp_path, prompt="{language}|please: {text}").translate(REQUESTS[:1]))
    assert len(endpoint.asked) == 3
    assert num_answers(tmp_path / "answers.sqlite") == 3


def test_consumer_that_stops_early_leaves_no_thread(endpoint, tmp_path):
    answers = translator(endpoint, tmp_path).translate(REQUESTS)
    assert next(answers) == EXPECTED[0]
    answers.close()
    time.sleep(0.5)  # What was under way may still arrive.
    count = len(endpoint.asked)
    time.sleep(0.2)
    assert len(endpoint.asked) == count < len(REQUESTS)
