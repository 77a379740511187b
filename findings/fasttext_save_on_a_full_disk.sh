#!/bin/sh
# fastText (fasttext-numpy2 0.10.4): `save_model` on a full disk succeeds, and `load_model` takes the cut-off file.
#
# Guess: like every Python writer, `model.save_model(path)` raises when a write fails, or at least `load_model` of the
# file that is left raises. Seen: with a limit on file sizes (a full disk gives the same) `save_model` returns without
# an error, the file ends at the limit, `load_model` reads it without an error, and the loaded model scores texts
# differently from the one that was saved (an output matrix that was not read is left as it was allocated). A
# classifier or language identifier that filters a corpus is then silently wrong.
# What to do: after saving, compare the end of the file with the shape and bytes of `get_output_matrix()` (taken
# before `quantize`), with which the format ends; exit code and loading say nothing.
# Exits non-zero when saving or loading a cut-off model raises, or the sizes are equal.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet fasttext-numpy2==0.10.4 "numpy<2.4"
cd "$folder"
"$folder/venv/bin/python" - <<'PYTHON'
import os
import resource

import fasttext

words = ("cheap offer sale click buy", "river museum bridge music winter")
with open("lines.txt", "w") as file:
    for number in range(400):
        file.write(f"__label__{'ab'[number % 2]} {words[number % 2]} word{number % 50}\n")
model = fasttext.train_supervised(input="lines.txt", dim=16, bucket=5000, wordNgrams=2, thread=1, verbose=0)
model.save_model("whole.bin")
size = os.path.getsize("whole.bin")
soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (size // 2, hard))
model.save_model("cut.bin")
resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
print("saved without an error:", os.path.getsize("cut.bin"), "of", size, "bytes")
assert os.path.getsize("cut.bin") < size
loaded = fasttext.load_model("cut.bin")
text = "cheap offer sale"
print("whole:", model.predict(text, k=2))
print("cut, loaded without an error:", loaded.predict(text, k=2))
assert list(model.predict(text, k=2)[1]) != list(loaded.predict(text, k=2)[1])
PYTHON
