"""What a figure depends on besides its settings: the machine, the versions, the day."""

import platform
import shlex
import sys
import time

import numpy as np
import torch

import plusx
from plusx.device import bfloat16_units


def environment(device: torch.device, precision: torch.dtype) -> dict[str, str | int]:
    """What a run's figures depend on besides its recipe."""
    return {
        "command": shlex.join(["plusx", *sys.argv[1:]]),
        "date": time.strftime("%Y-%m-%d %H:%M:%S %z"),
        "plusx": plusx.__version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "platform": platform.platform(),
        "processor": processor(),
        "threads": torch.get_num_threads(),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else str(device),
        "instructions": instructions(),
        "precision": str(precision).removeprefix("torch."),
    }


def processor() -> str:
    """The processor's name as the system gives it."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            names = [line.split(":", 1)[1].strip() for line in file if line.startswith("model name")]
        return names[0] if names else platform.machine()
    except OSError:
        return platform.processor() or platform.machine()


def instructions() -> str:
    """The processor's vector instructions that torch uses, and what it has for bfloat16."""
    return ", ".join([torch.backends.cpu.get_cpu_capability(), *bfloat16_units()])
