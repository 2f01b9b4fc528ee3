"""What a benchmark ran on."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import Any

from quantilizers.processors import available_cores


def describe_machine() -> dict[str, Any]:
    """Return cores, processor, memory, and how busy the machine was before, as far as the system tells."""
    return {
        "cores": available_cores(),
        "processor": processor_name(),
        "architecture": platform.machine(),
        "system": platform.system(),
        "memory_bytes": os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else None,
        "load_before": list(os.getloadavg()) if hasattr(os, "getloadavg") else None,
    }


def processor_name() -> str:
    """Return what the processor calls itself, or as much as Python knows."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.processor())
