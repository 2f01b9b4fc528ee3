"""Each function of a definition that fails is named, with what it raised and where; so is `sys.exit`."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces

from quantilizers import (
    EnvironmentDefinition,
    Episodes,
    Experiment,
    Figures,
    Planning,
    Recordings,
    UserError,
    load_environment,
    make_environment,
    make_vector,
)
from quantilizers.datasets.demonstrations import Demonstrations, find_recording
from quantilizers.demonstrations.episodes import WITHOUT_OBSERVATIONS
from quantilizers.envs.making import prepare_pictures, start_from
from quantilizers.envs.planning import GameSimulator
from quantilizers.envs.trial import try_out
from quantilizers.envs.vector import TwoRewardVectorEnv
from quantilizers.errors import DataWarning
from quantilizers.layout import Layout
from quantilizers.play.view import GameView, Panel, make_game
from quantilizers.rewards import each_step, mean_at_end, own

HERE = r"test_guarded_functions.py, line \d+"
SEEN = np.zeros(2, dtype=np.float32)


class Game(gymnasium.Env[Any, Any]):
    """Fails in one of its functions, by a key that does not exist or by `sys.exit`, in its third step if in `step`."""

    observation_space, action_space = spaces.Box(-1, 1, (2,)), spaces.Discrete(2)
    metadata: dict[str, Any] = {"render_modes": ["rgb_array"]}  # noqa: RUF012

    def __init__(self, bad: str = "", exits: bool = False, render_mode: str | None = None) -> None:
        self.bad, self.exits, self.render_mode = bad, exits, render_mode
        self._fail("make")

    def _fail(self, function: str) -> None:
        if self.bad == function:
            sys.exit(3) if self.exits else {}["nothing"]

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self.steps = 0
        self._fail("reset")
        return SEEN, {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self.steps += 1
        if self.steps == 3:
            self._fail("step")
        return SEEN, 1.0, False, False, {}

    def close(self) -> None:
        self._fail("close")


def broken(*_: Any, **__: Any) -> Any:
    return {}["nothing"]


def leaves(*_: Any, **__: Any) -> Any:
    sys.exit(3)


def definition(bad: str = "", exits: bool = False, proxy: Any = own, **fields: Any) -> EnvironmentDefinition:
    made = lambda render_mode=None: Game(bad, exits, render_mode)  # noqa: E731
    spaced = {"spaces": (Game.observation_space, Game.action_space), **fields}
    return EnvironmentDefinition(made, proxy, max_steps=5, name="mine", **spaced)


def episodes(observations: bool = True) -> Episodes:
    shape = (2, 3, *((2,) if observations else WITHOUT_OBSERVATIONS))
    return Episodes(np.zeros(shape), np.zeros((2, 3, 1)), np.ones((2, 3)), np.zeros((2, 3), dtype=np.bool_))


class Vector(TwoRewardVectorEnv):
    """A vectorised form whose steps fail."""

    def __init__(self, **arguments: Any) -> None:
        super().__init__(observation_space=Game.observation_space, action_space=Game.action_space, **arguments)

    def _start(self, indices: Any) -> None:
        pass

    def _advance(self, actions: Any, active: Any) -> Any:
        return broken()

    def _observe(self) -> Any:
        return np.zeros((self.num_envs, 2), dtype=np.float32)


def second_axis() -> Any:
    second = definition(figures=Figures(second_axis=broken)).second_quantity
    assert second is not None
    return second(np.zeros(1), np.zeros(1), {})


def folder(tmp_path: Path, load: Callable[..., Any]) -> Any:
    layout = Layout(tmp_path, "mine", "demo")
    layout.data.with_suffix("").mkdir(parents=True)
    return find_recording(layout, definition(recordings=Recordings(load_folder=load)))


def recorded(proxy: Any = own, **known: Any) -> Any:
    kept = episodes("replay_observations" not in known)
    demonstrations = Demonstrations(kept, definition(proxy=proxy, recordings=Recordings(**known)))
    return demonstrations.with_observations().proxy_rewards


@pytest.mark.parametrize(
    ("use", "named"),
    [
        (lambda _: try_out(definition("make"), 5, {}), "mine cannot be made"),
        (lambda _: try_out(definition("reset"), 5, {}), "the environment Game failed in reset"),
        (lambda _: try_out(definition("step"), 5, {}), "the environment Game failed in step"),
        (lambda _: try_out(definition("close"), 5, {}), "close of mine failed"),
        (lambda _: try_out(definition(proxy=each_step(broken)), 5, {}), "the reward's function broken failed"),
        (lambda _: try_out(definition(vector=Vector), 5, {}), "_advance of Vector, at step 1, failed"),
        (lambda _: try_out(definition(vector=broken), 5, {}), "vector of mine failed"),
        (lambda _: definition(proxy=lambda: broken()).rewards(), "proxy of mine, the function <lambda>, failed"),
        (lambda _: second_axis(), "second_axis of mine failed"),
        (lambda path: folder(path, broken), "load_folder of mine, for .*, failed"),
        (
            lambda _: recorded(each_step(broken), final_observations=lambda _: np.zeros((2, 2))),
            "function broken failed",
        ),
        (lambda _: recorded(mean_at_end(lambda _: 0), final_observations=broken), "final_observations of mine failed"),
        (lambda _: recorded(own_rewards=broken), "own_rewards of mine failed"),
        (lambda _: recorded(replay_observations=broken), "replay_observations of mine failed"),
        (lambda _: start_from(definition(start_from=broken), Game(), SEEN), "start_from of mine failed"),
        (lambda _: prepare_pictures(definition(prepare_pictures=broken), Game()), "prepare_pictures of mine failed"),
        (lambda _: GameSimulator(Game(), own, broken, broken, int).save(), "save_state failed"),
        (lambda _: GameSimulator(Game(), own, broken, broken, int).restore(0), "restore_state failed"),
    ],
)
def test_each_function_that_raises_is_named_with_type_and_line(
    tmp_path: Path, use: Callable[[Path], Any], named: str
) -> None:
    with pytest.raises(UserError, match=rf"{named}: KeyError: 'nothing' \({HERE}\)") as raised:
        use(tmp_path)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("function", ["make", "reset", "step", "close"])
def test_an_environment_that_leaves_python_is_named(function: str) -> None:
    with pytest.raises(UserError, match=rf"SystemExit: 3 \({HERE}\)"):
        try_out(definition(function, exits=True), 5, {})
    with pytest.raises(UserError, match="the reward's function leaves failed: SystemExit: 3"):
        try_out(definition(proxy=each_step(leaves)), 5, {})


def test_the_step_is_named() -> None:
    with pytest.raises(UserError, match=r"at step 3$"):
        try_out(definition("step"), 5, {})
    late = each_step(lambda steps: broken() if counted.append(1) or len(counted) > 3 else [0.0])
    counted: list[int] = []
    with pytest.raises(UserError, match="at step 4 in Game"):
        try_out(definition(proxy=late), 5, {})


def plain(steps: Any) -> Any:
    return steps.observations[:, 0]


def test_the_refusal_of_a_function_of_steps_says_how_a_reward_is_written() -> None:
    """The likeliest mistake of all."""
    with pytest.raises(UserError, match=r"proxy of mine is the function plain.*proxy=each_step\(plain\)"):
        make_environment(definition(proxy=plain))
    with pytest.raises(UserError, match=r"true of mine is the function plain.*true=each_step\(plain\)"):
        make_vector(definition(true=plain), 2)
    with pytest.raises(UserError, match="parameter 'weight' is no option"):
        definition(proxy=lambda weight: weight * own).rewards()
    with pytest.raises(UserError, match="returned float, not a reward"):
        definition(proxy=lambda weight=2.0: weight).rewards()
    with pytest.raises(UserError, match="takes a function of n Steps"):
        each_step(own)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("found", "named"),
    [
        (lambda *_: [0.0, 1.0], r"second_axis of mine returned shape \(2,\) for returns of shape \(1,\)"),
        (lambda *_: "x", "second_axis of mine failed: ValueError"),
    ],
)
def test_a_second_axis_of_another_shape_is_named(tmp_path: Path, found: Any, named: str) -> None:
    second = definition(second_axis=found).second_quantity
    assert second is not None
    with pytest.raises(UserError, match=named):
        second(np.zeros(1), np.zeros(1), {})
    with pytest.raises(UserError, match="load_folder of mine returned int, not Episodes"):
        folder(tmp_path, lambda *_: 3)


def test_one_name_is_one_name_and_weights_may_cancel() -> None:
    assert each_step(plain, info="arrow").info == ("arrow",)
    assert mean_at_end(plain, info=["arrow", "wind"]).info == ("arrow", "wind")
    with pytest.raises(UserError, match="info of each_step is"):
        each_step(plain, info=[3])  # type: ignore[list-item]
    assert (sum([own, own]) / np.float32(4)).own_weight == 0.5
    assert Demonstrations(episodes(), definition(proxy=own - own)).proxy_returns.tolist() == [0.0, 0.0]


def test_a_gymnasium_id_without_a_version_is_made() -> None:
    latest = EnvironmentDefinition("CartPole", own, max_steps=5)
    assert latest.observation_shape == (4,)


def write(path: Path, helper: str) -> Path:
    path.mkdir()
    (path / "helper.py").write_text(helper)
    (path / "env.py").write_text(
        "from helper import LIMIT\nfrom quantilizers import EnvironmentDefinition, own\n"
        "def late(render_mode=None):\n    import later\n    return later.game()\n"
        "ENVIRONMENT = EnvironmentDefinition('CartPole-v1', own, max_steps=LIMIT)\n"
        "LATE = EnvironmentDefinition(late, own, max_steps=LIMIT, name='late')\n"
    )
    (path / "later.py").write_text("import gymnasium\ndef game():\n    return gymnasium.make('CartPole-v1')\n")
    return path / "env.py"


def test_a_file_imports_the_files_beside_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path])
    first, second = write(tmp_path / "a", "LIMIT = 7"), write(tmp_path / "b", "LIMIT = 8")
    assert load_environment(str(first)).max_steps == 7
    assert load_environment(str(second)).max_steps == 8  # another helper.py
    assert load_environment(f"{first}:LATE").observation_shape == (4,)
    broken_file = tmp_path / "broken.py"
    broken_file.write_text("import no_such_neighbour\n")
    with pytest.raises(
        UserError, match=r"ModuleNotFoundError: No module named 'no_such_neighbour' \(broken.py, line 1"
    ):
        load_environment(str(broken_file))
    (tmp_path / "leaves.py").write_text("import sys\nsys.exit(3)\n")
    with pytest.raises(UserError, match=r"SystemExit: 3 \(leaves.py, line 2\)"):
        load_environment(str(tmp_path / "leaves.py"))


def test_episodes_are_made_of_lists() -> None:
    made = Episodes(
        [[[0.0], [1.0]]],
        [[[0], [1]]],
        [[1, 2]],
        [[False, False]],
        {"player": ["Ada"]},  # type: ignore[arg-type, dict-item]
    )
    assert made.true_returns.tolist() == [3.0]
    with pytest.raises(UserError, match="observations cannot be an array"):
        Episodes([[[0.0], [1.0, 2.0]]], [[[0], [1]]], [[1, 2]], [[False, False]])  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("picture", "named"),
    [
        (None, "returned NoneType, not a picture"),
        (np.zeros((4, 4)), r"returned float64 of shape \(4, 4\), not a picture"),
    ],
)
def test_a_picture_that_is_none_is_named(picture: Any, named: str) -> None:
    class Blind(Game):
        def render(self) -> Any:
            return picture

    environment = EnvironmentDefinition(lambda render_mode=None: Blind(render_mode=render_mode), own, 5, name="blind")
    game = make_game(environment, 5)
    game.reset(seed=0)
    with pytest.raises(UserError, match=f"render of Blind {named}"):
        GameView(game, Panel("blind"))


def test_a_game_without_a_render_mode_has_no_pictures() -> None:
    environment = EnvironmentDefinition(lambda render_mode=None: Game(), own, max_steps=5, name="blind")
    with pytest.raises(UserError, match="blind has no pictures: its render_mode is None"):
        make_game(environment, 5)


def test_a_trial_refuses_rewards_that_are_no_numbers() -> None:
    with pytest.raises(UserError, match="mine returned the proxy reward nan at step 1 of a trial episode"):
        try_out(definition(proxy=each_step(lambda _: [float("nan")])), 5, {})


@pytest.mark.parametrize("max_steps", [0, -1, 2.5, True])
def test_a_horizon_that_is_none_is_refused(max_steps: Any) -> None:
    car = load_environment("MountainCar-v0")
    with pytest.raises(UserError, match="give a whole number from 1 on"):
        make_environment(car, max_steps=max_steps)
    with pytest.raises(UserError, match="give a whole number from 1 on"):
        make_vector(car, 2, max_steps=max_steps)


def cart(**fields: Any) -> EnvironmentDefinition:
    return EnvironmentDefinition("CartPole-v1", own, **{"max_steps": 5, **fields})


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Experiment(optimisers="ppo"), r"optimisers is 'ppo'; give a list, such as \['ppo'\]"),
        (lambda: Experiment(quantiles="0.5"), "quantiles is '0.5'; give a list"),
        (lambda: Experiment(quantiles=0.5), "quantiles is 0.5; give a list"),
        (lambda: Experiment(number_trajectories=True), "number_trajectories is True; give a whole number from 1 on"),
        (lambda: Planning(efforts="12"), "efforts is '12'; give a list"),
        (lambda: Planning(effort="3"), "effort is '3'; give a whole number from 1 on"),
        (lambda: cart(classes="3"), "classes is '3'; give 3, or the values of each dimension"),
        (lambda: cart(classes=[-1.0, 1.0]), "classes is .*; give 3, or the values of each dimension"),
        (lambda: cart(spaces=3), "spaces is 3; give a list"),
        (lambda: cart(spaces=["a", "b"]), "spaces is .*; give the spaces of observations and of actions"),
        (lambda: cart(options=["price"]), "options is .*; give each option's default"),
        (lambda: cart(name=Path("x")), "name is .*; give a string"),
        (lambda: cart(max_steps="5"), "max_steps is '5'; give a whole number from 1 on"),
        (lambda: EnvironmentDefinition(Path("x.py"), own, 5), "make is .*; give an id of Gymnasium, a class"),
        (lambda: load_environment(3), "3 is no environment; give its name, its address or its definition"),
    ],
)
def test_a_string_is_no_sequence_and_other_types_are_named(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        make()


def test_lists_paths_and_numbers_of_numpy_are_taken(tmp_path: Path) -> None:
    assert Experiment(quantiles=[1.0, 0.5], optimisers=["ppo"]) == Experiment((1.0, 0.5))  # type: ignore[arg-type]
    assert Planning(efforts=[1, 2], effort=np.int64(3)).efforts == (1, 2)  # type: ignore[arg-type]
    pendulum = EnvironmentDefinition("Pendulum-v1", own, np.int64(5), classes=[[-1, 1]])  # type: ignore[arg-type]
    assert (pendulum.max_steps, pendulum.action_classes) == (5, ((-1.0, 1.0),))
    file = tmp_path / "listed.py"
    file.write_text(
        "from quantilizers import *\nENVIRONMENT = EnvironmentDefinition('CartPole-v1', own, max_steps=5)\n"
    )
    assert load_environment(file).name == "listed"
    assert load_environment(pendulum) is pendulum


class Keeping(gymnasium.Env[Any, Any]):
    """An environment that differs from episode to episode by what it keeps, or by a generator of its own."""

    observation_space, action_space = spaces.Box(-np.inf, np.inf, (1,)), spaces.Discrete(2)

    def __init__(self, way: str = "", render_mode: None = None) -> None:
        self.way, self.episodes, self.own = way, 0, np.random.default_rng(5)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self.steps, self.episodes = 0, self.episodes + 1
        return np.zeros(1, np.float32), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self.steps += 1
        seen = self.np_random.random() + (self.episodes * (self.steps == 3) if self.way == "keeps" else 0)
        reward = self.own.random() if self.way == "draws" else 1.0
        return np.array([seen], np.float32), reward, False, False, {}


@pytest.mark.parametrize(("way", "steps"), [("keeps", 3), ("draws", 1), ("", 0)])
def test_an_environment_that_does_not_repeat_its_episodes_is_said(way: str, steps: int) -> None:
    environment = EnvironmentDefinition(lambda render_mode=None: Keeping(way), own, max_steps=30, name="mine")
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        try_out(environment, 30, {})
    lines = [str(one.message) for one in said if issubclass(one.category, DataWarning)]
    assert len(lines) == bool(way)
    if way:
        assert lines[0].startswith(
            "mine does not repeat an episode from its reset seed: played twice, it differs after"
        )
        assert f"after {steps} steps" in lines[0]


@pytest.mark.parametrize("made", [3, None, gymnasium.make_vec("CartPole-v1", 2)], ids=["number", "None", "vector"])
def test_what_is_no_environment_is_named(made: Any) -> None:
    environment = EnvironmentDefinition(lambda render_mode=None: made, own, max_steps=5, name="mine")
    with pytest.raises(UserError, match="mine is no environment of Gymnasium: make returned a "):
        make_environment(environment)
