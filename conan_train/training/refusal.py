"""A step whose loss or gradient is not a number is not taken.

An optimiser that steps on one NaN has lost the run, and hours later nobody knows which batch it was. So the step
is refused on all processes, the rows of its batch are saved, and the run stops with the cause; its last
checkpoint is untouched.
"""

import json
import math
from pathlib import Path

from accelerate import Accelerator

from conan_data.errors import SaidElsewhereError, UserError
from conan_data.files import written_aside

FILE = "refused.json"


def not_finite(loss: float, norm: float, *, may_overflow: bool) -> str | None:
    """Which of the two is not finite. fp16 scales its gradients and skips a step that overflows by itself, so a
    gradient may be infinite there.
    """
    if not math.isfinite(loss):
        return f"loss is {loss}"
    if not math.isfinite(norm) and not may_overflow:
        return f"gradient norm is {norm}"
    return None


def refuse(directory: Path, cause: str, *, step: int, ids: list[str], accelerator: Accelerator) -> UserError:
    """The main process saves the ids of the batch to `refused.json`; returns the error to raise, which one process
    says for all. All of them have to call it.
    """
    path = directory / FILE
    if accelerator.is_main_process:
        with written_aside(path) as aside:
            record = {"step": step, "cause": cause, "ids": ids}
            aside.write_text(json.dumps(record, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    # A launcher stops all processes when the first one ends: not before the file is there.
    accelerator.wait_for_everyone()
    if not accelerator.is_main_process:
        return SaidElsewhereError(f"{cause} at step {step + 1}")
    rows = f" ({', '.join(ids[:3])}, ...)" if ids else ""
    return UserError(
        f"{cause} at step {step + 1}{rows}; its batch is in {path}; try a lower optim.lr, a longer optim.warmup_steps, "
        "or precision no (another config starts over with --overwrite)"
    )
