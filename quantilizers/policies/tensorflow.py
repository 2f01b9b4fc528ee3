"""TensorFlow and Keras, imported without their notes on standard error.

Sums, such as gradients of convolutions, are split among the threads of an operation, so their last digits depend on the
number of threads, and after some steps of training all digits do. For policies of pictures it is always `THREADS`,
whatever the number of processors. Perceptrons do not depend on it.
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
from quantilizers.process import on_interruption

#: Notes of the C++ libraries that no log level silences: about themselves, instruction sets, missing GPUs.
_NOTE = re.compile(
    r"^(I0000|WARNING: All log messages before absl|To enable the following instructions"
    r"|.*cudart_stub|.*computation_placer|.*Could not find cuda drivers)"
)

#: Threads of each operation on pictures, whatever `TF_NUM_INTRAOP_THREADS` says.
THREADS = 2


@contextmanager
def _without_notes() -> Iterator[None]:
    """Capture standard error at the level of the file descriptor, then print it without the known notes."""
    sys.stderr.flush()
    with tempfile.TemporaryFile(mode="w+", errors="replace") as held:
        original = os.dup(2)
        os.dup2(held.fileno(), 2)
        try:
            with on_interruption(partial(os.dup2, original, 2)):
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
    """Set the number of threads of each operation to `THREADS`, or warn that it is too late."""
    try:
        tf.config.threading.set_intra_op_parallelism_threads(THREADS)
    except RuntimeError:  # it cannot be changed after the first computation
        warnings.warn(
            f"TensorFlow was at work before, perhaps with more or fewer than {THREADS} threads an operation, which "
            "gives other policies of pictures; restart, and import quantilizers.policies.convolutional first",
            OtherBitsWarning,
            stacklevel=2,
        )


def compute_perceptrons() -> None:
    """Set the number of threads of each operation to one, unless it was set before.

    Products of small matrices end before a second thread has started; batches of networks share the processors.
    """
    if not tf.config.threading.get_intra_op_parallelism_threads():
        with suppress(RuntimeError):  # it cannot be changed after the first computation
            tf.config.threading.set_intra_op_parallelism_threads(1)


__all__ = ["THREADS", "compute_perceptrons", "compute_pictures", "keras", "tf"]
