"""TensorFlow and Keras, imported quietly: import them from here, where policies are trained or see pictures."""

from __future__ import annotations

import os
import re
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from quantilizers.errors import NotInstalledError
from quantilizers.interruptions import clearing_away

#: Notes that the C++ libraries print whatever the log level: about themselves, instruction sets, missing GPUs.
_NOTE = re.compile(
    r"^(I0000|WARNING: All log messages before absl|To enable the following instructions"
    r"|.*cudart_stub|.*computation_placer|.*Could not find cuda drivers)"
)


@contextmanager
def _without_notes() -> Iterator[None]:
    """Hold standard error back at the level of the file descriptor, then print it without the known notes."""
    sys.stderr.flush()
    with tempfile.TemporaryFile(mode="w+", errors="replace") as held:
        original = os.dup(2)
        os.dup2(held.fileno(), 2)
        try:
            with clearing_away(partial(os.dup2, original, 2)):
                yield
        finally:
            sys.stderr.flush()
            os.dup2(original, 2)
            os.close(original)
            held.seek(0)
            sys.stderr.writelines(line for line in held if not _NOTE.match(line))


os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")
try:
    with _without_notes():
        import keras
        import tensorflow as tf
except ModuleNotFoundError as error:
    if str(error.name).partition(".")[0] not in ("tensorflow", "keras", "h5py"):
        raise
    raise NotInstalledError(f"policies need {error.name}, which is not installed", str(error.name)) from None

__all__ = ["keras", "tf"]
