"""TensorFlow and Keras, imported quietly: import them from here, where policies are trained or see pictures.

Sums, such as gradients of convolutions, are split among the threads that compute an operation: their last digits depend
on that number, and after some steps of training all do. So it is `THREADS` for policies of pictures, whatever the
number of processors. What perceptrons learn does not depend on it.
"""

from __future__ import annotations

import os
import re
import sys
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial

from quantilizers.errors import NotInstalledError, OtherBitsWarning
from quantilizers.interruptions import clearing_away

#: Notes that the C++ libraries print whatever the log level: about themselves, instruction sets, missing GPUs.
_NOTE = re.compile(
    r"^(I0000|WARNING: All log messages before absl|To enable the following instructions"
    r"|.*cudart_stub|.*computation_placer|.*Could not find cuda drivers)"
)

#: Of each operation on pictures. It counts more than `TF_NUM_INTRAOP_THREADS`.
THREADS = 2


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


def compute_pictures() -> None:
    """Have `THREADS` threads compute each operation, or warn that it is too late."""
    try:
        tf.config.threading.set_intra_op_parallelism_threads(THREADS)
    except RuntimeError:  # it has computed something, and keeps its threads
        warnings.warn(
            f"TensorFlow was at work before, perhaps with another number of threads than {THREADS} for each operation, "
            "with which policies of pictures are others; start anew, importing the convolutional policies first",
            OtherBitsWarning,
            stacklevel=2,
        )


def compute_perceptrons() -> None:
    """Have one thread compute each operation, unless somebody said otherwise.

    The matrices of small networks are done before a second thread has begun; groups of networks share the processors.
    """
    if not tf.config.threading.get_intra_op_parallelism_threads():
        with suppress(RuntimeError):  # it has computed something, and keeps its threads
            tf.config.threading.set_intra_op_parallelism_threads(1)


__all__ = ["THREADS", "compute_perceptrons", "compute_pictures", "keras", "tf"]
