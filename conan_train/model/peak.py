"""What a GPU can do at best: dense bf16 operations a second with float32 accumulation, from the makers' data
sheets (without the factor of two for structured sparsity).
"""

import torch

TERAFLOPS = (
    ("B200", 2250.0),
    ("H200", 989.4),
    ("GH200", 989.4),
    ("H100 PCIe", 756.4),
    ("H100 NVL", 835.5),
    ("H100", 989.4),
    ("A100", 312.0),
    ("L40S", 362.1),
    ("L4", 121.0),
    ("A40", 149.7),
    ("A10", 125.0),
    ("RTX A6000", 154.8),
    ("RTX 4090", 165.2),
    ("RTX 3090", 71.0),
    ("MI300X", 1307.4),
)
"""Part of a device's name, the more special before the more general."""


def peak_flops(device: torch.device) -> float | None:
    """Operations a second of a device; None for one that is not in the table, and for a CPU."""
    return peak_of(torch.cuda.get_device_name(device)) if device.type == "cuda" else None


def peak_of(name: str) -> float | None:
    """Operations a second of a device by its name."""
    words = name.replace("-", " ").split()
    for part, teraflops in TERAFLOPS:
        wanted = part.split()
        if any(words[start : start + len(wanted)] == wanted for start in range(len(words))):
            return teraflops * 1e12
    return None
