"""Making environments with two rewards: one or several, in a recorded start, or ready to be drawn without a window."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import MutableMapping
from functools import partial
from typing import Any

import gymnasium
import numpy as np
import numpy.typing as npt
from gymnasium.envs.registration import EnvSpec
from gymnasium.vector import SyncVectorEnv, VectorEnv

from quantilizers.choices import whole_number
from quantilizers.envs.definition import EnvironmentDefinition
from quantilizers.envs.shipped import MAKER, VECTOR_MAKER, absolute
from quantilizers.envs.two_rewards import RewardName, TwoRewards, load_path
from quantilizers.errors import UserError, guarded

#: MuJoCo's OpenGL backends in the order of preference: the first needs no display on most machines, the second needs
#: one, and the last draws on the processor.
_BACKENDS = ("egl", "glfw", "osmesa")
_TRIAL = """
import importlib, mujoco
context = importlib.import_module("mujoco.{backend}").GLContext(64, 64)
context.make_current()
mujoco.MjrContext(mujoco.MjModel.from_xml_string("<mujoco/>"), mujoco.mjtFontScale.mjFONTSCALE_100)
print("works", flush=True)
"""


def make_environment(
    environment: EnvironmentDefinition,
    *,
    max_steps: int | None = None,
    reward: RewardName = "proxy",
    render_mode: str | None = None,
    all_info: bool = False,
    **options: Any,
) -> TwoRewards:
    """Make one environment.

    Args:
        environment: its definition; `quantilizers.make_environment` also takes a name or an address.
        max_steps: steps after which an episode is truncated; None uses the definition's.
        reward: the reward that `step` returns.
        render_mode: as Gymnasium's; one that ends in `_list` collects pictures even if the environment does not.
        all_info: also pass on the fields of the environment's `info` that `TwoRewards` leaves out.
        **options: those of the definition, and further arguments of `make`.

    Raises:
        UserError: it cannot be made.
    """
    horizon = _horizon(environment, max_steps)
    proxy, true = environment.rewards(options)
    game = environment.make_own(options, render_mode)
    given: dict[str, Any] = {"max_steps": max_steps, "render_mode": render_mode, "all_info": all_info or None}
    arguments = {**{name: value for name, value in given.items() if value is not None}, **options}
    spec = spec_of(environment, reward, **arguments)
    return TwoRewards(game, proxy, true, horizon, reward, all_info=all_info, spec=spec)


def _horizon(environment: EnvironmentDefinition, max_steps: int | None) -> int:
    """Return the steps after which an episode is truncated; refuse a number below 1."""
    return environment.max_steps if max_steps is None else whole_number("max_steps", max_steps)


def spec_of(environment: EnvironmentDefinition, reward: RewardName, **arguments: Any) -> EnvSpec:
    """Return the specification by which Gymnasium makes an environment that pays a reward.

    It can be written as JSON if `load_environment` loaded the definition from its address. That of a definition in
    memory contains the definition.

    Args:
        environment: its definition.
        reward: the reward that it pays.
        **arguments: further ones of `make_environment`.
    """
    source = absolute(environment.address) if environment.is_at_address else environment
    return EnvSpec(
        _id_of(environment),
        MAKER,
        order_enforce=False,
        disable_env_checker=True,
        kwargs={"environment": source, "reward": reward, **{name: _plain(one) for name, one in arguments.items()}},
        vector_entry_point=VECTOR_MAKER,
    )


def _id_of(environment: EnvironmentDefinition) -> str:
    """Return an id that Gymnasium accepts: that of the definition, or one made of its name."""
    if environment.gymnasium_id is not None:
        return environment.gymnasium_id
    name = re.sub(r"[^\w.-]+", "-", environment.name, flags=re.ASCII).strip("-") or "environment"
    return f"quantilizers/{name if re.search(r'-v[0-9]+$', name) else f'{name}-v0'}"


def _plain(value: Any) -> Any:
    """Return a number of NumPy as one of Python, which JSON can write."""
    return value.item() if isinstance(value, np.generic) else value


def make_vector(
    environment: EnvironmentDefinition,
    num_envs: int,
    *,
    max_steps: int | None = None,
    reward: RewardName = "proxy",
    **options: Any,
) -> VectorEnv[Any, Any, Any]:
    """Make environments that step together: the definition's vectorised form, or Gymnasium's `SyncVectorEnv`.

    The arguments are those of `make_environment`; options go to `vector` or `make`.

    Raises:
        UserError: they cannot be made.
    """
    if environment.vector is None:
        make_one = partial(make_environment, environment, max_steps=max_steps, reward=reward, **options)
        return SyncVectorEnv([make_one] * num_envs)
    horizon = _horizon(environment, max_steps)
    proxy, true = environment.rewards(options)
    with guarded(f"vector of {environment.name}"):
        vector: VectorEnv[Any, Any, Any] = load_path(environment.vector)(
            num_envs=num_envs,
            max_steps=horizon,
            proxy=proxy,
            true=true,
            reward=reward,
            **environment.making_options(options),
        )
    return vector


def start_from(
    environment: EnvironmentDefinition, game: gymnasium.Env[Any, Any], observation: npt.NDArray[Any]
) -> bool:
    """Put a game that was just reset into the state that an observation shows, for recordings without a seed.

    Uses the definition's `start_from`. Without one, it works for Gymnasium's classic control, which observes its
    attribute `state`. Returns whether the observation showed the whole state.
    """
    numbers = np.asarray(observation)
    if numbers.ndim != 1:
        return False
    if environment.recordings.start_from is not None:
        with guarded(f"start_from of {environment.name}"):
            return bool(environment.recordings.start_from(game, numbers))
    base: Any = game.unwrapped
    state: Any = getattr(base, "state", None)
    if np.shape(state) != numbers.shape:
        return False
    base.state = numbers.astype(np.float64)
    return True


def prepare_pictures(environment: EnvironmentDefinition, game: gymnasium.Env[Any, Any]) -> None:
    """Prepare a game for its first picture by the definition's `prepare_pictures`, or as MuJoCo needs it."""
    if environment.prepare_pictures is not None:
        with guarded(f"prepare_pictures of {environment.name}"):
            environment.prepare_pictures(game)
    elif game.has_wrapper_attr("mujoco_renderer"):
        choose_off_screen_gl(os.environ)
        # Without a graphics card shadows and reflections take 85 of the 119 ms that drawing a hopper takes.
        model: Any = game.get_wrapper_attr("model")
        model.light_castshadow[:] = False
        model.mat_reflectance[:] = 0.0


def choose_off_screen_gl(environment: MutableMapping[str, str]) -> None:
    """Set `MUJOCO_GL` in `os.environ` to an OpenGL backend that works here; call it before the first picture.

    On Linux some backends fail only when they are used, and one that has failed keeps others from working in the same
    process. Each is therefore tried in a separate process, which takes half a second. A `UserError` says that none
    works, or that the user's `MUJOCO_GL` does not.
    """
    if not sys.platform.startswith("linux"):
        return
    chosen = environment.get("MUJOCO_GL")
    for backend in (chosen,) if chosen else _BACKENDS:
        if _works(backend, environment):
            environment["MUJOCO_GL"] = backend
            return
    if chosen:
        raise UserError(f"MUJOCO_GL={chosen} cannot draw here; unset it, or set it to {', '.join(_BACKENDS)}")
    raise UserError(
        "no OpenGL to draw this environment with; on Debian or Ubuntu: "
        "sudo apt-get install libegl1 libgl1-mesa-dri libosmesa6"
    )


def _works(backend: str, environment: MutableMapping[str, str]) -> bool:
    try:
        trial = subprocess.run(
            [sys.executable, "-P", "-c", _TRIAL.format(backend=backend)],
            env={**environment, "MUJOCO_GL": backend},
            capture_output=True,
            text=True,
            timeout=60,
        )
    except subprocess.TimeoutExpired:
        return False
    # The exit code is no evidence: OSMesa's context crashes when it is destroyed.
    return "works" in trial.stdout
