#!/usr/bin/env bash
# tokenizers: the same texts on one thread give the same BPE in every process, but another WordPiece and another Unigram.
#
# Versions: tokenizers 0.23.3.
# Seen: five processes train on the same 3,000 lines in the same order with RAYON_NUM_THREADS=1. BPE: one tokenizer.json.
#   WordPiece: five files, with other *tokens* in them and other segmentations of the training text; it is trained as a
#   BPE whose symbols get their numbers, which decide between equally frequent pairs, from the iteration of a hash map.
#   Unigram: the same tokens, but five files: other scores, and tokens under other ids.
#   WordPiece also passes its limit: every character stands in the vocabulary twice (`x`, `##x`), and where that alone is
#   more than vocab_size, more is what comes out, without a warning. BPE and Unigram keep to it on the same texts.
# A guess ("there is no seed to set and no sampling, so one thread means one result") fails: a WordPiece or Unigram
#   tokenizer that is trained again does not fit the checkpoint that was trained with the first, and a vocab_size that
#   the embedding was sized by may be passed.
# What to do: train once and keep tokenizer.json with its hash; size the embedding by get_vocab_size(), never by what was
#   asked for; take BPE where the same bytes have to come out again.
# Exits with 1 when the behaviour changes.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q "tokenizers==0.23.3" 2>/dev/null
cat > "$work/train.py" <<'PYTHON'
import hashlib
import json
import random
import sys

from tokenizers import Tokenizer, models, pre_tokenizers, trainers

kind, alphabet = sys.argv[1], int(sys.argv[2])
rng = random.Random(0)
letters = "abcdefghijklmnopqrstuvwxyz" if alphabet == 26 else [chr(0x4E00 + i) for i in range(alphabet)]
words = ["".join(rng.choices(letters, k=rng.randint(2, 9))) for _ in range(2_000)]
weights = [1 / (rank + 1) for rank in range(len(words))]
lines = [" ".join(rng.choices(words, weights, k=12)) for _ in range(3_000)]
tokenizer = Tokenizer(getattr(models, kind)())
tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
trainer = getattr(trainers, f"{kind.replace('BPE', 'Bpe')}Trainer")(vocab_size=1_000, show_progress=False)
tokenizer.train_from_iterator(lines, trainer)


def digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()[:12]


print(json.dumps({
    "file": digest(tokenizer.to_str()),
    "tokens": digest(sorted(tokenizer.get_vocab())),
    "segments": digest([tokenizer.encode(line).tokens for line in lines]),
    "size": tokenizer.get_vocab_size(),
}))  # fmt: skip
PYTHON
cat > "$work/show.py" <<'PYTHON'
import json
import os
import subprocess
import sys

work = sys.argv[1]


def distinct(kind: str, alphabet: int, runs: int) -> dict[str, set]:
    env = {**os.environ, "RAYON_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
    command = [sys.executable, f"{work}/train.py", kind, str(alphabet)]
    found = [json.loads(subprocess.check_output(command, env=env)) for _ in range(runs)]
    return {name: {run[name] for run in found} for name in found[0]}


same = True
for kind in ("BPE", "WordPiece", "Unigram"):
    runs, large = distinct(kind, 26, 5), distinct(kind, 800, 1)
    print(f"{kind}: of 5 runs different: "
          + ", ".join(f"{name} {len(runs[name])}" for name in ("file", "tokens", "segments"))
          + f"; vocab_size 1,000 gives {min(runs['size']):,}, with 800 letters {min(large['size']):,}")  # fmt: skip
    same &= (len(runs["file"]) == 1) == (kind == "BPE")
    same &= (len(runs["tokens"]) > 1) == (kind == "WordPiece")
    same &= (min(large["size"]) > 1_000) == (kind == "WordPiece")
print("as described" if same else "CHANGED: read the header again")
sys.exit(not same)
PYTHON
"$work/venv/bin/python" "$work/show.py" "$work"
