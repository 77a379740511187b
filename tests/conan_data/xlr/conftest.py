"""A small retrieval set with planted faults, and a loopback endpoint that fails on demand."""

import json
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

KEY = "sk-planted-secret-4711"
PROMPT = "{language}|{text}"
"""The fake reads the language's English name and the text back out of it."""


@dataclass
class Fault:
    """What the fake does instead of answering: a status with a body, raw bytes with status 200, or silence
    for some seconds.
    """

    status: int = 200
    body: bytes = b"{}"
    headers: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0


@dataclass
class FakeEndpoint:
    """`fault(text, attempt)` says what goes wrong with a text's attempt (from 1); `translate(language, text)`
    is what the model knows.
    """

    url: str = ""
    key: str = KEY
    fault: Callable[[str, int], Fault | None] = lambda text, attempt: None
    translate: Callable[[str, str], str] = lambda language, text: f"{text[::-1]} in {language}"
    finish_reason: str = "stop"
    usage: Callable[[str, str], dict] | None = None
    """What the model says that a text and its translation cost."""
    hold_after: int | None = None
    """Answers after which every request waits for `released`."""
    released: threading.Event = field(default_factory=threading.Event)
    asked: list[tuple[str, str]] = field(default_factory=list)
    bodies: list[dict] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)
    in_flight: int = 0
    most_in_flight: int = 0

    def counts(self) -> Counter:
        return Counter(self.asked)


def _handler(fake: FakeEndpoint) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = 1 << 16

        def log_message(self, *arguments) -> None:
            pass

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            language, _, text = body["messages"][0]["content"].partition("|")
            with fake.lock:
                fake.bodies.append(body)
                fake.asked.append((language, text))
                number, attempt = len(fake.asked), fake.asked.count((language, text))
                fake.in_flight += 1
                fake.most_in_flight = max(fake.most_in_flight, fake.in_flight)
            try:
                self.respond(language, text, number, attempt)
            finally:
                with fake.lock:
                    fake.in_flight -= 1

        def respond(self, language: str, text: str, number: int, attempt: int) -> None:
            if self.path != "/v1/chat/completions":
                return self.send(404, b"no such path")
            if self.headers.get("Authorization") != f"Bearer {fake.key}":
                return self.send(401, f"wrong key {self.headers.get('Authorization')}".encode())
            if fake.hold_after is not None and number > fake.hold_after:
                fake.released.wait(30)
            fault = fake.fault(text, attempt)
            if fault is not None:
                fake.released.wait(fault.seconds)
                return self.send(fault.status, fault.body, fault.headers)
            said = fake.translate(language, text)
            choice = {"finish_reason": fake.finish_reason, "message": {"content": said}}
            usage = {"usage": fake.usage(text, said)} if fake.usage else {}
            self.send(200, json.dumps({"choices": [choice], **usage}).encode())

        def send(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
            try:
                self.send_response(status)
                for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)
            except (BrokenPipeError, ConnectionResetError):
                self.close_connection = True

    return Handler


@pytest.fixture
def new_fault():
    return Fault


@pytest.fixture
def endpoint(monkeypatch):
    """A running fake; $PLANTED_KEY holds the right key."""
    monkeypatch.setenv("PLANTED_KEY", KEY)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    fake = FakeEndpoint()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(fake))
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    fake.url = f"http://127.0.0.1:{server.server_port}/v1"
    yield fake
    fake.released.set()
    server.shutdown()
    server.server_close()
    thread.join()


def write_jsonl(path: Path, rows: list) -> None:
    """Dictionaries as JSON; anything else is written as it is."""
    path.write_text(
        "".join(
            (json.dumps(row, ensure_ascii=False) if isinstance(row, dict) else row) + "\n" for row in rows
        ),
        encoding="utf-8",
    )


QUERIES = {
    "move": "Move or rename files and directories.",
    "sort": "Sort the lines of text files.",
    "disk": "Show the free space of all mounted file systems.",
    "fetch": "Download a file from the web and save it.",
    "kill": "End a running process by its number.",
    "lonely": "Print the name of the user who is logged in.",
}
TRANSLATIONS = {
    ("move", "de"): "Dateien und Verzeichnisse verschieben oder umbenennen.",
    ("move", "fr"): "Déplacer ou renommer des fichiers et des répertoires.",
    ("sort", "de"): "Die Zeilen von Textdateien sortieren.",
    ("sort", "fr"): "Trier les lignes de fichiers texte.",
    ("disk", "de"): "Zeigt den freien Speicherplatz aller eingehängten Dateisysteme an.",
    ("disk", "fr"): "Afficher l'espace libre de tous les systèmes de fichiers montés.",
    ("fetch", "de"): "Eine Datei aus dem Netz herunterladen und speichern.",
    ("fetch", "fr"): "Télécharger un fichier depuis le web et l'enregistrer.",
    ("kill", "de"): "Einen laufenden Prozess anhand seiner Nummer beenden.",
    ("kill", "fr"): "Terminer un processus en cours d'exécution par son numéro.",
}


@pytest.fixture
def retrieval_set(tmp_path):
    """Six queries, 13 passages in two languages; of `lonely` there is no translation; two query rows and one
    judgement are broken.
    """
    root = tmp_path / "set"
    root.mkdir()
    passages = [
        {"_id": f"{name}@{lang}", "title": "", "text": f"{name} ({lang}): {text}", "metadata": {"lang": lang}}
        for name, text in QUERIES.items()
        for lang in ("en", "de")
    ]
    passages.append({"_id": "other@en", "title": "", "text": "Something else.", "metadata": {"lang": "en"}})
    write_jsonl(root / "corpus.train.jsonl", passages)
    queries = [{"_id": name, "text": text, "metadata": {"lang": "en"}} for name, text in QUERIES.items()]
    write_jsonl(
        root / "queries.train.jsonl",
        [
            *queries,
            "{broken",
            {"_id": "unjudged", "text": "Nobody answers this.", "metadata": {"lang": "en"}},
        ],
    )
    judgements = [f"{name}\t{name}@en\t1" for name in QUERIES] + ["move\tother@en\t0", "nobody\tother@en\t1"]
    (root / "qrels.train.tsv").write_text("query-id\tcorpus-id\tscore\n" + "\n".join(judgements) + "\n")
    write_jsonl(
        root / "translations.train.jsonl",
        [
            {"query_id": query, "lang": lang, "text": text, "origin": "human"}
            for (query, lang), text in TRANSLATIONS.items()
        ],
    )
    return root
