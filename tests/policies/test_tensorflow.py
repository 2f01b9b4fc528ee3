from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from support import ROOT

#: Learns one minibatch of pictures, and prints a hash of the weights. Without a fixed number of threads, TensorFlow
#: makes other weights with 1, with 2 and with 3.
LEARN = """
import hashlib
import numpy as np
from gymnasium.spaces import Box, Discrete
from quantilizers.envs.definition import EnvironmentDefinition
from quantilizers.policies.convolutional import CloningRun
from quantilizers.policies.hyper_parameters import ConvolutionalTraining
from quantilizers.rewards import own

environment = EnvironmentDefinition("Pictures-v0", own, 20, spaces=(Box(0, 255, (4, 36, 36), np.uint8), Discrete(3)))
cloning, generator = CloningRun(environment, 0, ConvolutionalTraining()), np.random.default_rng(0)
cloning.train_on(generator.integers(256, size=(64, 4, 36, 36), dtype=np.uint8), generator.integers(3, size=(64, 1)))
print(hashlib.sha256(b"".join(weights.tobytes() for weights in cloning.model.get_weights())).hexdigest())
"""


def run(code: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, **variables}
    return subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )


def test_importing_says_nothing_hides_no_unknown_note_and_sets_threads() -> None:
    """A perceptron has one thread, pictures have more."""
    ended = run(
        "import os\n"
        "from quantilizers.policies.tensorflow import tf, _without_notes\n"
        "import quantilizers.policies.perceptron_training\n"
        "print(tf.config.threading.get_intra_op_parallelism_threads())\n"
        "import quantilizers.policies.convolutional\n"
        "print(tf.config.threading.get_intra_op_parallelism_threads(), int(tf.constant(2) + 1))\n"
        "with _without_notes():\n"
        "    os.write(2, b'I0000 00:00 port.cc] oneDNN custom operations are on.\\n')\n"
        "    os.write(2, b'no space left on device\\n')\n"
    )
    assert ended.returncode == 0
    assert ended.stdout.split() == ["1", "2", "3"]
    assert ended.stderr == "no space left on device\n"


def test_weights_do_not_depend_on_how_many_threads_or_processors_there_are() -> None:
    on_one = "import os\nos.sched_setaffinity(0, [min(os.sched_getaffinity(0))])\n"
    affinity = hasattr(os, "sched_setaffinity")
    learned = [run(LEARN, TF_NUM_INTRAOP_THREADS="3"), run(on_one * affinity + LEARN, TF_NUM_INTRAOP_THREADS="1")]
    assert [ended.stderr for ended in learned] == ["", ""]
    assert len(learned[0].stdout) == 65
    assert learned[0].stdout == learned[1].stdout


@pytest.mark.parametrize(("threads", "warned"), [(None, True), (2, False)])
def test_where_tensorflow_was_at_work_before_with_other_threads_a_warning_says_so(
    threads: int | None, warned: bool
) -> None:
    own = "" if threads is None else f"tf.config.threading.set_intra_op_parallelism_threads({threads})\n"
    ended = run(
        f"import tensorflow as tf\n{own}tf.constant(1) + 1\nimport quantilizers.policies.convolutional",
        TF_CPP_MIN_LOG_LEVEL="3",
    )
    assert ended.returncode == 0
    assert ("OtherBitsWarning: TensorFlow was at work before" in ended.stderr) is warned


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there are no forks")
def test_a_process_forked_after_a_computation_is_refused_and_one_without_standard_error_computes() -> None:
    ended = run(
        "import os, sys\n"
        "os.close(2)\n"
        "sys.stderr = None\n"
        "from quantilizers.policies.tensorflow import check_process, tf\n"
        "from quantilizers.errors import UserError\n"
        "def child():\n"
        "    if (pid := os.fork()) == 0:\n"
        "        try:\n"
        "            check_process()\n"
        "            os._exit(0)\n"
        "        except UserError as error:\n"
        "            os._exit(7 if 'spawn' in str(error) else 8)\n"
        "    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])\n"
        "before = child()\n"
        "tf.constant(1) + 1\n"
        "check_process()\n"
        "print(before, child())\n"
    )
    assert (ended.returncode, ended.stdout) == (0, "0 7\n")


#: Builds models of both families and learns one minibatch, under a user's settings of Keras and under the defaults.
FOREIGN = """
import hashlib, importlib
import numpy as np
from gymnasium.spaces import Box, Discrete
from quantilizers.envs.definition import EnvironmentDefinition
from quantilizers.errors import UserError
from quantilizers.policies import multilayer_perceptron, tensorflow
from quantilizers.policies.convolutional import CloningRun
from quantilizers.policies.hyper_parameters import ConvolutionalTraining, PerceptronTraining
from quantilizers.policies.tensorflow import keras
from quantilizers.rewards import own

def made():
    spaces = Box(0, 255, (4, 36, 36), np.uint8), Discrete(3)
    cloning = CloningRun(EnvironmentDefinition("Pictures-v0", own, 20, spaces=spaces), 0, ConvolutionalTraining())
    generator = np.random.default_rng(0)
    cloning.train_on(generator.integers(256, size=(8, 4, 36, 36), dtype=np.uint8), generator.integers(3, size=(8, 1)))
    numbers = Box(-1, 1, (3,), np.float32), Discrete(3)
    plain = multilayer_perceptron.build_model(EnvironmentDefinition("X", own, 5, spaces=numbers), PerceptronTraining())
    weights = b"".join(weights.tobytes() for weights in cloning.model.get_weights())
    kinds = {one.dtype.name for model in (plain, cloning.model) for one in model.get_weights()}
    described = [cloning.model.to_json(), plain.to_json()]
    return hashlib.sha256(weights).hexdigest(), kinds, [text.partition("build_config")[0] for text in described]

theirs = made()
print(keras.config.floatx(), keras.config.image_data_format(), keras.backend.backend())
keras.config.set_floatx("float32")
keras.config.set_image_data_format("channels_last")
keras.backend.clear_session()
ours = made()
assert ours == theirs, (ours, theirs)
assert ours[1] == {"float32"}
keras.backend.backend = lambda: "torch"
try: importlib.reload(tensorflow)
except UserError as error: print(error)
"""


def test_a_user_s_settings_of_keras_change_no_policy(tmp_path: Path) -> None:
    """They stay as they are for the user's own models. Keras that computes with another library is refused."""
    (tmp_path / "keras.json").write_text(
        '{"floatx": "float16", "image_data_format": "channels_first", "epsilon": 0.1, "backend": "torch"}'
    )
    ended = run(FOREIGN, KERAS_HOME=str(tmp_path), KERAS_BACKEND="torch")
    assert ended.returncode == 0, ended.stderr
    kept, refused = ended.stdout.splitlines()
    assert kept == "float16 channels_first tensorflow"
    assert refused.startswith("Keras was imported with the backend torch before, and policies need TensorFlow")
