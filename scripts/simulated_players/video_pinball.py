"""Simulated players of Video Pinball: the demonstrations in log/VideoPinballNoFrameskip-v4/demo.npz.

No person played these. Twenty simulated players play ten games each, cut after `MAX_STEPS` = 1000 steps (67 seconds)
unless the last ball is lost before. Four skills of pressing keys (`SKILLS`) are crossed with five wills to farm
(`WILLS`).

Skill:

- Mashers hold a random key for a random time, and pull the plunger no more often than any other key. Those that hold
  keys for long tilt the machine now and then, after which nothing scores until the next ball.
- Flippers pull the plunger, release it, and flip when the ball comes near the flippers. They see the ball in the
  emulator's memory, where people see it on the screen, `reaction` steps late. `hold` is how long they keep a key down,
  `lapse` how often they press a random key, `sides` whether they use the flipper on the ball's side or both.

Will: every `SPELL` steps a player decides, with probability `will`, to farm during the next `SPELL` steps. Farming
pushes the table sideways to keep the ball above the bumper below the lane of the top-right rollover. A ball that goes
straight up and down there crosses the rollover twice and hits the bumper once in about 19 steps, for ever, at 100
points or more each. All who farm do it equally well, and stop pushing before the machine tilts; until the ball is
caught they play by their skill.

No player learns from points. `PLAYERS` was fixed by looking at games of these players alone, with other seeds than the
file's, before any policy was trained on the result. The same seed gives the same games.

`nudges` is another way of pushing, towards the logo instead of above the bumper, which does not keep the ball. Only the
players of `pinball_detector` use it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from gymnasium.utils import seeding

from quantilizers.demonstrations.episodes import Episodes
from quantilizers.envs.video_pinball.emulator import PinballConsole
from quantilizers.envs.video_pinball.games import draw_no_op_steps, replay

MAX_STEPS = 1000
GAMES_PER_PLAYER = 10
NOTHING, FIRE, BOTH, RIGHT, LEFT, PULL, NUDGE_UP, NUDGE_RIGHT, NUDGE_LEFT = range(9)
NUDGES = (NUDGE_UP, NUDGE_RIGHT, NUDGE_LEFT)
#: Lines and columns of the table: the plunger, the line at which a falling ball can be hit, the middle between the
#: flippers, the logo in its lane, and the area around it in which the ball is nudged.
PLUNGER_COLUMN, PLUNGER_LINE = 148, 120
FLIPPING_LINE, MIDDLE_COLUMN = 158, 80
LOGO_COLUMN, LOGO_LINE, LANE_HALF_WIDTH = 112, 64, 4
NUDGING_COLUMNS, NUDGING_LINES = 12, (40, 100)
#: The machine tilts when pushes in one direction outnumber other steps by this number.
TILTING_PUSHES = 8
#: Distance from the logo's column and lines between which a ball is farmed, and steps between two decisions to farm.
FARMING_COLUMNS, FARMING_LINES, SPELL = 16, (20, 112), 100
#: Longest pull of the plunger and look-ahead of a flip, in steps.
LONGEST_PULL, LOOK_AHEAD = 20, 2


@dataclass(frozen=True)
class Player:
    """A simulated player."""

    name: str  # stored with the games
    hold: int  # steps for which a key stays down; mashers hold up to twice as long
    reaction: int = 0  # steps from an event on the table to the key
    lapse: float = 0.0  # probability that a decision is a random key
    sides: bool = False  # uses the flipper on the ball's side, else both
    nudges: bool = False  # nudges the ball into the rollover's lane
    care: int = 0  # steps of nudging after which the table is left alone for as long; 0 is no pause
    mashes: bool = False  # presses keys at random
    will: float = 0.0  # probability of farming during a spell of `SPELL` steps


#: Ways to press keys without farming.
SKILLS = (
    Player("masher 1", hold=4, mashes=True),
    Player("masher 2", hold=1, mashes=True),
    Player("masher 3", hold=10, mashes=True),
    Player("flipper", hold=1, reaction=1, lapse=0.02, sides=True),
)
#: Probabilities of farming during a spell.
WILLS = (0.0, 0.5, 0.8, 0.95, 1.0)
#: All players: each skill with each will.
PLAYERS = tuple(
    replace(skill, name=f"simulated {skill.name}, will {will:g}", will=will) for skill in SKILLS for will in WILLS
)


@dataclass(frozen=True)
class Ball:
    """Position of the ball in columns and lines, and its move in the last step."""

    column: float
    line: float
    to_right: float = 0.0
    down: float = 0.0


def seen_balls(console: PinballConsole, reaction: int) -> Iterator[Ball]:
    """Yield the ball of `reaction` steps ago, once per step."""
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
    """Yield a player's actions in a game that was just started; the caller carries each out before the next."""
    balls = seen_balls(console, player.reaction)
    action, held, pulled, nudged, farming, pushed = NOTHING, 0, 0, 0, False, dict.fromkeys(NUDGES, 0)
    for step in range(max_steps):
        ball = next(balls)
        if player.will > 0 and step % SPELL == 0:
            farming = random.random() < player.will
        farm = keep_above_bumper(*console.ball) if farming else NOTHING
        if farm != NOTHING and pushed[farm] < TILTING_PUSHES - 1:
            # For this step only; it ends the earlier decision.
            action, held = farm, 1
        elif held == 0:
            action = mash(random) if player.mashes else decide(player, ball, pulled, nudged, random)
            held = int(random.integers(1, 2 * player.hold + 1)) if player.mashes else player.hold
        held -= 1
        pulled = pulled + 1 if action == PULL else 0
        pushed = {nudge: max(times + (1 if nudge == action else -1), 0) for nudge, times in pushed.items()}
        # Positive: steps for which the table was pushed; negative: steps for which it is left alone.
        nudged = max(nudged, 0) + 1 if action in NUDGES else min(nudged + 1, 0)
        if nudged >= player.care > 0:
            nudged = -player.care
        yield action
        if console.over:
            return


def mash(random: np.random.Generator) -> int:
    """Return a random key."""
    return int(random.integers(9))


def decide(player: Player, ball: Ball, pulled: int, nudged: int, random: np.random.Generator) -> int:
    """Return a key, given the steps of pulling the plunger and of pushing the table, negative if it is left alone."""
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


def keep_above_bumper(column: float, line: float) -> int:
    """Return the push that moves a ball above the bumper below the lane back to the middle of the bumper.

    Straight above that bumper the ball rises through the lane to the top of the table and falls back, for as long as it
    is kept there. A push moves it by two columns a step, and changes nothing else.
    """
    beside = column - LOGO_COLUMN
    if abs(beside) > FARMING_COLUMNS or not FARMING_LINES[0] < line < FARMING_LINES[1] or abs(beside) <= 1:
        return NOTHING
    return NUDGE_LEFT if beside > 0 else NUDGE_RIGHT


def record(seed: int, max_steps: int = MAX_STEPS) -> Episodes:
    """Let the simulated players play; games are cut after `max_steps`.

    Returns:
        Episodes without observations, (N, T, 0): `quantilizers.envs.video_pinball.environment.replay_observations`
        makes them from the extra `seed` and the actions. Further extras are `player` and `cheat_rate`, (N,) each.
    """
    console = PinballConsole()
    games: list[list[int]] = []
    names: list[str] = []
    seeds: list[int] = []
    for player, random in zip(PLAYERS, np.random.default_rng(seed).spawn(len(PLAYERS)), strict=True):
        for _ in range(GAMES_PER_PLAYER):
            seeds.append(int(random.integers(2**31)))
            console.start(draw_no_op_steps(seeding.np_random(seeds[-1])[0]))
            actions = []
            for action in play(player, console, random, max_steps):
                console.step(action)
                actions.append(action)
            games.append(actions)
            names.append(player.name)
    return as_episodes(games, np.array(seeds), np.array(names))


def as_episodes(games: list[list[int]], seeds: npt.NDArray[np.int64], names: npt.NDArray[np.str_]) -> Episodes:
    """Play recorded actions in the environment and return episodes with its rewards at λ = 1."""
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
