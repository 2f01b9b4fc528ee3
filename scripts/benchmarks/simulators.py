"""Environments against bare simulators: Hopper against MuJoCo, Video Pinball against `AtariVectorEnv` and PyTorch.

Hopper: policies of four quantiles and five seeds are trained first, untimed. The test stage's episodes, policies
included, alternate with one process per core of nothing but `mj_step` for the same simulated step.

Video Pinball: steps are counted after the games are made and reset, alone with random actions, with a policy that sees
each picture, and on `ale_py.AtariVectorEnv` with random actions. The environment detects the ball in the lane and gives
two rewards, the bare one does not. Games observed by the console's memory are compared with `ale_py.ALEInterface` and
`getRAM`, with random actions and as many threads, in the same process. A training step is one minibatch of the
convolutional policy, against the same network, loss and optimiser in PyTorch on the same number of cores.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.measuring import (
    PeerMissingError,
    Plan,
    cores_here,
    finish_work,
    run_process,
    seconds_of,
    start_work,
    work,
)
from benchmarks.results import Comparison

if TYPE_CHECKING:
    import numpy as np

    from quantilizers.envs.definition import EnvironmentDefinition
    from quantilizers.policies.policy import Policies

HOPPER, PINBALL = "Hopper-v2", "VideoPinballNoFrameskip-v4"
PINBALL_MEMORY = "VideoPinballNoFrameskip-ram-v4"
QUANTILES, SEEDS = (1.0, 0.5, 0.25, 0.125), 5


def hopper(plan: Plan) -> Iterator[Comparison | PeerMissingError]:
    """Train policies, then measure testing and bare MuJoCo in turn."""
    seeds = 1 if plan.quick else SEEDS
    command = ["quantilizer.py", "--do", "train", "--env_name", HOPPER, "--log_dir", str(plan.folder)]
    command += ["--quantiles", *map(str, QUANTILES), "--seed_nb", str(seeds)]
    run_process(*command, *(["--max_epochs", "1"] if plan.quick else []))
    ours, bare = [], []
    for _ in range(plan.repeats(5)):
        episodes = 2 if plan.quick else 100
        ours.append(work("simulators:tested_steps_a_second", log=str(plan.folder), seeds=seeds, episodes=episodes))
        seconds = 0.1 if plan.quick else 3.0
        started = [start_work("simulators:bare_steps_a_second", {"seconds": seconds}, [core]) for core in cores_here()]
        bare.append(sum([finish_work(running) for running in started]))
    said = f"Hopper, testing {len(QUANTILES) * seeds} policies"
    against = f"bare `mj_step` on {len(cores_here())} cores"
    yield Comparison("hopper", said, against, tuple(ours), tuple(bare), "steps/s", "here / peer", "0.9 times")


def tested_steps_a_second(log: str, seeds: int, episodes: int) -> float:
    """Return the steps per second of the test stage's episodes."""
    from quantilizers.envs.registry import load_environment
    from quantilizers.evaluation.measuring import measure_policies
    from quantilizers.layout import Layout
    from quantilizers.policies.keras_files import load_policy
    from quantilizers.policies.policy import acting_of, family_of

    environment = load_environment(HOPPER)
    layout = Layout(Path(log), environment.name, "demo")
    policies = [(quantile, seed) for quantile in QUANTILES for seed in range(seeds)]
    loaded = {policy: load_policy(layout.model(*policy), environment) for policy in policies}

    def stack(wanted: Sequence[tuple[float, int]]) -> Policies:
        of_batch = [loaded[policy] for policy in wanted]
        return family_of(environment).stack(environment, of_batch, acting_of(environment))

    started = time.perf_counter()
    results = measure_policies(environment, stack, QUANTILES, range(seeds), episodes, environment.max_steps, {})
    steps = sum(int(of_seed.lengths.sum()) for of_seed in results)
    return steps / (time.perf_counter() - started)


def bare_steps_a_second(seconds: float) -> float:
    """Return the environment steps per second of bare `mj_step` on one core, each of `FRAME_SKIP` steps."""
    import mujoco
    import numpy as np

    from quantilizers.envs.hopper import FRAME_SKIP, load_model

    model = load_model()
    data = mujoco.MjData(model)
    random = np.random.default_rng(0)
    steps, started = 0, time.perf_counter()
    while time.perf_counter() - started < seconds:
        mujoco.mj_resetData(model, data)
        for _ in range(100):
            data.ctrl[:] = random.uniform(-1, 1, 3)
            mujoco.mj_step(model, data, FRAME_SKIP)
        steps += 100
    return steps / (time.perf_counter() - started)


def pinball_steps(plan: Plan) -> Iterator[Comparison | PeerMissingError]:
    """Measure frames per second of many games and of few."""
    for games in (2,) if plan.quick else (64, 16):
        steps = 3 if plan.quick else 6400 // games
        found = work("simulators:frames_a_second", games=games, steps=steps, repeats=plan.repeats(5))
        against = f"bare `AtariVectorEnv`, {games} games"
        for kind, aim in {"alone": "0.9 times", "with a policy": "0.5 times"}.items():
            said = f"Video Pinball, {games} games, {kind}"
            ours, bare = tuple(found[kind]), tuple(found["bare"])
            yield Comparison("pinball_steps", said, against, ours, bare, "frames/s", "here / peer", aim)


def frames_a_second(games: int, steps: int, repeats: int) -> dict[str, list[float]]:
    """Return frames per second of the environment alone, with a policy, and of the bare one, measured in turn."""
    import numpy as np

    from quantilizers.envs.registry import load_environment
    from quantilizers.policies.convolutional import CloningRun, stack
    from quantilizers.policies.hyper_parameters import ConvolutionalTraining
    from quantilizers.policies.policy import TrainedPolicy, acting_of

    environment = load_environment(PINBALL)
    training = ConvolutionalTraining()
    random = np.random.default_rng(0)
    weights = CloningRun(environment, 0, training).model.get_weights()
    policies = stack(environment, [TrainedPolicy(1.0, 0, weights, training)], acting_of(environment))
    emulators = _bare(games)
    emulators.reset(seed=0)

    def bare() -> None:
        emulators.step(random.integers(9, size=games))

    found = _steps_a_second(environment, policies, bare, random, games, steps, repeats)
    emulators.close()
    return found


def _steps_a_second(
    environment: EnvironmentDefinition,
    policies: Policies,
    bare: Callable[[], object],
    random: np.random.Generator,
    games: int,
    steps: int,
    repeats: int,
) -> dict[str, list[float]]:
    """Return steps of all games per second of the environment alone, with a policy, and bare, measured in turn."""
    import numpy as np

    from quantilizers.envs.actions import environment_actions
    from quantilizers.envs.making import make_vector

    vector = make_vector(environment, games, max_steps=10**6, **environment.options)
    observations, _ = vector.reset(seed=list(range(games)))  # type: ignore[arg-type]
    policies.begin(games)
    running = np.ones((1, games), dtype=np.bool_)

    def alone() -> None:
        nonlocal observations
        observations = vector.step(random.integers(9, size=games))[0]

    def with_policy() -> None:
        nonlocal observations
        actions = policies.act(observations[None], [random], running)
        observations = vector.step(environment_actions(actions, vector.single_action_space))[0]

    jobs = {"alone": alone, "with a policy": with_policy, "bare": bare}
    found: dict[str, list[float]] = {name: [] for name in jobs}
    for job in jobs.values():
        job()
    for _ in range(repeats):
        for name, job in jobs.items():
            found[name].append(games * steps / seconds_of(lambda job=job: [job() for _ in range(steps)]))  # type: ignore[misc]
    vector.close()
    return found


def pinball_memory(plan: Plan) -> Iterator[Comparison | PeerMissingError]:
    """Measure steps per second of games observed by memory."""
    games = 2 if plan.quick else 64
    steps = 3 if plan.quick else 50
    found = work("simulators:memory_steps_a_second", games=games, steps=steps, repeats=plan.repeats(5))
    for kind, aim in {"alone": "0.9 times", "with a policy": "0.6 times"}.items():
        said = f"Video Pinball's memory, {games} games, {kind}"
        ours, bare = tuple(found[kind]), tuple(found["bare"])
        yield Comparison(
            "pinball_memory", said, "bare `ALEInterface` and `getRAM`", ours, bare, "steps/s", "here / peer", aim
        )


def memory_steps_a_second(games: int, steps: int, repeats: int) -> dict[str, list[float]]:
    """Return steps per second of the environment alone, with a policy with a history of 4, and bare, in turn."""
    from concurrent.futures import ThreadPoolExecutor

    import numpy as np
    from ale_py import ALEInterface, roms

    from quantilizers.envs.registry import load_environment
    from quantilizers.envs.video_pinball.emulator import FRAME_SKIP
    from quantilizers.policies.hyper_parameters import PerceptronTraining
    from quantilizers.policies.multilayer_perceptron import stack, weight_shapes
    from quantilizers.policies.policy import TrainedPolicy, acting_of, scaling_of
    from quantilizers.processors import available_cores

    environment = load_environment(PINBALL_MEMORY)
    training = PerceptronTraining(history=4)
    random = np.random.default_rng(0)
    scaling = scaling_of(environment)
    shapes = weight_shapes(environment, training, scaling)
    weights = [random.uniform(0.01, 0.1, shape).astype(np.float32) for shape in shapes]
    policy = TrainedPolicy(1.0, 0, weights, training, scaling=scaling)
    policies = stack(environment, [policy], acting_of(environment))
    bare_games, rom = [], roms.get_rom_path("video_pinball")
    assert rom is not None, "ale_py ships this game"
    for _ in range(games):
        emulator = ALEInterface()
        emulator.setFloat("repeat_action_probability", 0.0)
        emulator.loadROM(rom)
        emulator.reset_game()
        bare_games.append((emulator, emulator.getMinimalActionSet(), np.zeros(128, dtype=np.uint8)))
    threads = available_cores()
    pool = ThreadPoolExecutor(threads)

    def bare() -> None:
        chosen = random.integers(9, size=games).tolist()

        def play(first: int) -> None:
            for index in range(first, games, threads):
                emulator, actions, memory = bare_games[index]
                for _ in range(FRAME_SKIP):
                    emulator.act(actions[chosen[index]])
                emulator.getRAM(memory)
                if emulator.game_over():
                    emulator.reset_game()

        list(pool.map(play, range(threads)))

    found = _steps_a_second(environment, policies, bare, random, games, steps, repeats)
    pool.shutdown()
    return found


def pinball_start(plan: Plan) -> Iterator[Comparison | PeerMissingError]:
    """Make and reset games."""
    games = 2 if plan.quick else 64
    found = [work("simulators:seconds_to_start", games=games) for _ in range(plan.repeats(3))]
    ours, bare = (tuple(one[name] for one in found) for name in ("here", "bare"))
    said = f"Video Pinball, making and resetting {games} games"
    yield Comparison("pinball_start", said, "bare `AtariVectorEnv`", ours, bare, "s", "peer / here", "no slower")


def seconds_to_start(games: int) -> dict[str, float]:
    """Return the seconds to make and reset games, here and in the bare environment, each after one game."""
    from quantilizers.envs.making import make_vector
    from quantilizers.envs.registry import load_environment

    environment = load_environment(PINBALL)

    def here(number: int) -> None:
        vector = make_vector(environment, number, **environment.options)
        vector.reset(seed=list(range(number)))  # type: ignore[arg-type]
        vector.close()

    def bare(number: int) -> None:
        emulators = _bare(number)
        emulators.reset(seed=0)
        emulators.close()

    found = {}
    for name, start in {"here": here, "bare": bare}.items():
        start(1)
        found[name] = seconds_of(lambda start=start: start(games))  # type: ignore[misc]
    return found


def _bare(games: int) -> Any:
    from ale_py.vector_env import AtariVectorEnv

    from quantilizers.processors import available_cores

    return AtariVectorEnv("video_pinball", num_envs=games, num_threads=available_cores())


def pinball_training(plan: Plan) -> Iterator[Comparison | PeerMissingError]:
    """Measure a training step here and in PyTorch in turn."""
    found = work("simulators:training_seconds", repeats=plan.repeats(7), batch=16 if plan.quick else 512)
    ours, theirs = tuple(found["here"]), tuple(found["peer"])
    said = "Video Pinball, a training step of 512"
    yield Comparison("pinball_training", said, "PyTorch, the same network", ours, theirs, "s", "peer / here", "1.76")


def training_seconds(repeats: int, batch: int) -> dict[str, list[float]]:
    """Return the seconds of training steps, here and in PyTorch, in turn."""
    import numpy as np
    import torch  # noqa: F401 - if it is missing, nothing is measured

    from quantilizers.envs.registry import load_environment
    from quantilizers.policies.convolutional import CloningRun
    from quantilizers.policies.hyper_parameters import ConvolutionalTraining

    environment = load_environment(PINBALL)
    random = np.random.default_rng(0)
    observations = random.integers(0, 256, (batch, *environment.observation_shape), dtype=np.uint8)
    labels = random.integers(9, size=(batch, 1))
    training = ConvolutionalTraining()
    cloning = CloningRun(environment, 0, training)
    peer = _torch_step(observations, labels, training.learning_rate, training.weight_decay)
    found: dict[str, list[float]] = {"here": [], "peer": []}
    for counted in [False] + [True] * repeats:
        times = seconds_of(lambda: cloning.train_on(observations, labels)), seconds_of(peer)
        if counted:
            found["here"].append(times[0])
            found["peer"].append(times[1])
    return found


def _torch_step(observations: Any, labels: Any, learning_rate: float, weight_decay: float) -> Callable[[], None]:
    """Return a training step of the same network in PyTorch."""
    import torch
    from torch import nn

    from quantilizers.processors import available_cores

    torch.set_num_threads(available_cores())
    network = nn.Sequential(
        nn.Conv2d(4, 32, 8, 4), nn.ReLU(), nn.Conv2d(32, 64, 4, 2), nn.ReLU(), nn.Conv2d(64, 64, 3, 1), nn.ReLU(),
        nn.Flatten(), nn.Linear(3136, 512), nn.ReLU(), nn.Linear(512, 9),
    )  # fmt: skip
    optimiser = torch.optim.Adam(network.parameters(), learning_rate, weight_decay=weight_decay)
    targets = torch.from_numpy(labels[:, 0])

    def step() -> None:
        optimiser.zero_grad()
        loss = nn.functional.cross_entropy(network(torch.from_numpy(observations).float() / 255), targets)
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        loss.item()

    return step
