"""Simulated players of Video Pinball: the demonstrations in log/VideoPinballNoFrameskip-v4/demo.npz.

No person played these. Twelve simulated players of different skill play four games each, cut after `MAX_STEPS` = 1000
steps (67 seconds), unless their last ball is lost before. They see the ball in the emulator's memory, where people see
it on the screen, and press the keys that people have.

- Three players mash the keys: they hold a random one for a random time, and pull the plunger no more often than
  anything else.
- Five pull the plunger, let it go, and flip when the ball comes near the flippers. They differ in how long ago what
  they react to was (`reaction`), in how long they keep a key down (`hold`), in how often they press something else
  (`lapse`), and in whether they use the flipper on the ball's side or both (`sides`).
- Four of the same kind find out about nudging after their first game. When the ball is near the lane of the top-right
  rollover they push the table so as to keep it there: sideways into the lane, and upwards when it falls out of it.
  They let go after `care` steps of nudging, for the machine tilts when it is pushed for too long; a careless one
  tilts it now and then.

Nobody learns from points. Who plays how is written down in `PLAYERS` and was fixed before any policy was trained on
the result. The same seed gives the same games.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from gymnasium.utils import seeding

from quantilizers.demonstrations.episodes import Episodes
from quantilizers.envs.video_pinball.console import PinballConsole
from quantilizers.envs.video_pinball.games import draw_no_op_steps
from quantilizers.envs.video_pinball.replay import replay

MAX_STEPS = 1000
GAMES_PER_PLAYER = 4
NOTHING, FIRE, BOTH, RIGHT, LEFT, PULL, NUDGE_UP, NUDGE_RIGHT, NUDGE_LEFT = range(9)
#: Lines and columns of the table: where the plunger is, where a falling ball can be hit, the middle between the
#: flippers, the logo in its lane, and how far from it the ball is nudged.
PLUNGER_COLUMN, PLUNGER_LINE = 148, 120
FLIPPING_LINE, MIDDLE_COLUMN = 158, 80
LOGO_COLUMN, LOGO_LINE, LANE_HALF_WIDTH = 112, 64, 4
NUDGING_COLUMNS, NUDGING_LINES = 12, (40, 100)
#: Players let the ball lie on the plunger at most so many steps, and look ahead so many.
LONGEST_PULL, LOOK_AHEAD = 20, 2


@dataclass(frozen=True)
class Player:
    """How somebody plays.

    Attributes:
        name: kept with the games.
        hold: steps for which a key stays down; mashers hold up to twice as long.
        reaction: steps from what happens on the table to the key.
        lapse: how likely a decision is one for a random key.
        sides: uses the flipper on the ball's side, else both.
        nudges: knows about nudging the ball into the rollover's lane.
        care: steps of nudging after which the table is left alone as long; 0 for a player who never nudges.
        mashes: presses keys at random.
    """

    name: str
    hold: int
    reaction: int = 0
    lapse: float = 0.0
    sides: bool = False
    nudges: bool = False
    care: int = 0
    mashes: bool = False


PLAYERS = (
    Player("simulated masher 1", hold=1, mashes=True),
    Player("simulated masher 2", hold=4, mashes=True),
    Player("simulated masher 3", hold=10, mashes=True),
    Player("simulated flipper 1", hold=4, reaction=6, lapse=0.20),
    Player("simulated flipper 2", hold=3, reaction=4, lapse=0.10),
    Player("simulated flipper 3", hold=2, reaction=3, lapse=0.05),
    Player("simulated flipper 4", hold=2, reaction=2, lapse=0.05, sides=True),
    Player("simulated flipper 5", hold=1, reaction=1, lapse=0.02, sides=True),
    Player("simulated nudger 1", hold=3, reaction=3, lapse=0.10, care=7),
    Player("simulated nudger 2", hold=2, reaction=2, lapse=0.05, care=6),
    Player("simulated nudger 3", hold=2, reaction=1, lapse=0.05, sides=True, care=5),
    Player("simulated nudger 4", hold=1, reaction=1, lapse=0.02, care=4),
)


@dataclass(frozen=True)
class Ball:
    """Where the ball is, in columns and lines, and how far it went in the last step."""

    column: float
    line: float
    to_right: float = 0.0
    down: float = 0.0


def seen_balls(console: PinballConsole, reaction: int) -> Iterator[Ball]:
    """Yield the ball as it was `reaction` steps ago; ask once a step."""
    past: deque[Ball] = deque(maxlen=reaction + 1)
    column, line = console.ball
    while True:
        before = (column, line)
        column, line = console.ball
        past.append(Ball(column, line, column - before[0], line - before[1]))
        yield past[0]


def play(
    player: Player, console: PinballConsole, random: np.random.Generator, max_steps: int = MAX_STEPS
) -> Iterator[int]:
    """Yield a player's actions, each of which is to be carried out before the next is asked for.

    Args:
        player: who plays.
        console: where, just started.
        random: for what is random in the player.
        max_steps: when to stop; the game may be over before.
    """
    balls = seen_balls(console, player.reaction)
    action, held, pulled, nudged = NOTHING, 0, 0, 0
    for _ in range(max_steps):
        ball = next(balls)
        if held == 0:
            action = mash(random) if player.mashes else decide(player, ball, pulled, nudged, random)
            held = int(random.integers(1, 2 * player.hold + 1)) if player.mashes else player.hold
        held -= 1
        pulled = pulled + 1 if action == PULL else 0
        # Above 0 for how long the table was pushed, below for how long it is still to be left alone.
        nudged = max(nudged, 0) + 1 if action in (NUDGE_UP, NUDGE_RIGHT, NUDGE_LEFT) else min(nudged + 1, 0)
        if nudged >= player.care > 0:
            nudged = -player.care
        yield action
        if console.over:
            return


def mash(random: np.random.Generator) -> int:
    """Return any key."""
    return int(random.integers(9))


def decide(player: Player, ball: Ball, pulled: int, nudged: int, random: np.random.Generator) -> int:
    """Return the key that a player presses on seeing the ball.

    Args:
        player: who.
        ball: as seen.
        pulled: for how many steps the plunger has been pulled.
        nudged: for how many steps the table has been pushed; below 0 it is to be left alone.
        random: for lapses, and for how far the plunger is pulled.
    """
    if random.random() < player.lapse:
        return mash(random)
    if ball.column >= PLUNGER_COLUMN and ball.line >= PLUNGER_LINE:
        return FIRE if pulled > random.integers(LONGEST_PULL) else PULL
    if player.nudges and nudged >= 0:
        nudge = nudge_into_lane(ball)
        if nudge != NOTHING:
            return nudge
    if ball.down > 0 and ball.line + LOOK_AHEAD * ball.down > FLIPPING_LINE:
        if not player.sides:
            return BOTH
        return LEFT if ball.column < MIDDLE_COLUMN else RIGHT
    return NOTHING


def nudge_into_lane(ball: Ball) -> int:
    """Return the push that brings a ball near the lane into it or keeps it there."""
    beside = ball.column - LOGO_COLUMN
    if abs(beside) > NUDGING_COLUMNS or not NUDGING_LINES[0] < ball.line < NUDGING_LINES[1]:
        return NOTHING
    if abs(beside) > LANE_HALF_WIDTH:
        return NUDGE_LEFT if beside > 0 else NUDGE_RIGHT
    return NUDGE_UP if ball.line > LOGO_LINE else NOTHING


def record(seed: int, max_steps: int = MAX_STEPS) -> Episodes:
    """Let the simulated players play.

    Args:
        seed: of everything that is random. The same seed gives the same episodes.
        max_steps: a game is cut after so many steps.

    Returns:
        Episodes without observations, (N, T, 0): `quantilizers.envs.video_pinball.environment.replay_observations`
        makes them from the extra `seed` and the actions. Further extras are `player` and `cheat_rate`, (N,) each.
    """
    console = PinballConsole()
    games: list[list[int]] = []
    names: list[str] = []
    seeds: list[int] = []
    for player, random in zip(PLAYERS, np.random.default_rng(seed).spawn(len(PLAYERS)), strict=True):
        for game in range(GAMES_PER_PLAYER):
            today = replace(player, nudges=player.care > 0 and game > 0)
            seeds.append(int(random.integers(2**31)))
            console.start(draw_no_op_steps(seeding.np_random(seeds[-1])[0]))
            actions = []
            for action in play(today, console, random, max_steps):
                console.step(action)
                actions.append(action)
            games.append(actions)
            names.append(player.name)
    return as_episodes(games, np.array(seeds), np.array(names))


def as_episodes(games: list[list[int]], seeds: npt.NDArray[np.int64], names: npt.NDArray[np.str_]) -> Episodes:
    """Play recorded actions in the environment and keep what it pays, λ being 1."""
    lengths = np.array([len(actions) for actions in games])
    actions = np.zeros((len(games), int(lengths.max())), dtype=np.uint8)
    for row, game in zip(actions, games, strict=True):
        row[: len(game)] = game
    played = replay(seeds, actions, lengths)
    cheat_rates = played.cheats.sum(axis=1) / lengths
    rewards = played.scores
    rewards[np.arange(len(games)), lengths - 1] -= cheat_rates
    return Episodes(
        observations=np.zeros((*actions.shape, 0), dtype=np.uint8),
        actions=actions[..., None],
        true_rewards=rewards,
        done=np.arange(actions.shape[1]) >= lengths[:, None],
        extras={"seed": seeds, "player": names, "cheat_rate": cheat_rates},
    )
