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
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any

from quantilizers.errors import NotInstalledError, OtherBitsWarning, UserError
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
    try:
        original, capturing = os.dup(2), tempfile.TemporaryFile(mode="w+", errors="replace")  # noqa: SIM115
    except OSError:  # standard error is closed
        yield
        return
    sys.stderr.flush()
    with capturing as held:
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
# Whatever a user's environment or `keras.json` says: models of these policies compute with TensorFlow.
os.environ["KERAS_BACKEND"] = "tensorflow"
try:
    with _without_notes():
        import keras
        import tensorflow as tf
except ModuleNotFoundError as error:
    if str(error.name).partition(".")[0] not in ("tensorflow", "keras", "h5py"):
        raise
    raise NotInstalledError(f"policies need {error.name}, which is not installed", str(error.name)) from None


#: Whether this process was forked after TensorFlow had computed in its parent.
_forked = False


def _note_fork() -> None:
    global _forked
    threads = tf.config.threading.get_intra_op_parallelism_threads()
    try:
        tf.config.threading.set_intra_op_parallelism_threads(threads + 1)
        tf.config.threading.set_intra_op_parallelism_threads(threads)
    except RuntimeError:  # it cannot be changed after the first computation
        _forked = True


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_note_fork)


def check_process() -> None:
    """Refuse to compute in a process where TensorFlow would wait forever for threads that a fork did not copy.

    Raises:
        UserError: it was forked after TensorFlow had computed in its parent.
    """
    if _forked:
        raise UserError(
            "TensorFlow cannot compute in this process, because it was forked after TensorFlow had computed in its "
            "parent; start processes with multiprocessing.get_context('spawn')"
        )


if keras.backend.backend() != "tensorflow":
    raise UserError(
        f"Keras was imported with the backend {keras.backend.backend()} before, and policies need TensorFlow; set "
        "KERAS_BACKEND=tensorflow, or import quantilizers.policies.tensorflow first"
    )


@contextmanager
def default_settings() -> Iterator[None]:
    """Build models under Keras's default types and order of axes; a user's `keras.json` and settings are kept."""
    before = keras.config.floatx(), keras.config.image_data_format(), keras.config.dtype_policy()
    if (*before[:2], before[2].name) == ("float32", "channels_last", "float32"):
        yield
        return
    keras.config.set_floatx("float32")
    keras.config.set_image_data_format("channels_last")
    keras.config.set_dtype_policy("float32")
    try:
        yield
    finally:
        keras.config.set_floatx(before[0])
        keras.config.set_image_data_format(before[1])
        keras.config.set_dtype_policy(before[2])


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


def compiled(function: Callable[..., Any], jit_compile: bool = False) -> Callable[..., Any]:
    """Compile a function for each shape of its arguments: nested tensors, or None for one that is left out.

    `tf.function` would do so by itself, but warns of retracing when programs of many sizes run in one process.
    """
    traced = tf.function(function, autograph=False, jit_compile=jit_compile)
    programs: dict[tuple[Any, ...], Callable[..., Any]] = {}

    def call(*arguments: Any) -> Any:
        tensors = tf.nest.flatten(arguments)
        kinds = tuple(None if one is None else (tuple(one.shape), one.dtype) for one in tensors)
        if kinds not in programs:
            programs[kinds] = traced.get_concrete_function(*arguments)
        return programs[kinds](*arguments)

    return call


__all__ = [
    "THREADS",
    "check_process",
    "compiled",
    "compute_perceptrons",
    "compute_pictures",
    "default_settings",
    "keras",
    "tf",
]
