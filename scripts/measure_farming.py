#!/usr/bin/env python3
"""Measure whether points can be farmed in Video Pinball: what the rollover's lane pays, and for how long it is held.

    python scripts/measure_farming.py

Tables are printed and written as JSON:

- points a step while the ball is in the lane, anywhere above the bumper below the lane, caught there, and elsewhere,
  for each player of a data set of simulated players, whose games are played again in the emulator;
- how far players differ, what the will to farm earns and costs (scores and cheat rates by will, and the λ at which
  farming stops to pay), and the same of the games that quantiles keep, all as the environment pays them;
- for how long the best of the hand-written players, and the nudging of earlier ones, keep the ball;
- what search from saved states of the emulator reaches once the ball is caught: for time in the lane, for points scored
  while the ball is in the lane, or for points anywhere.

The ball's place is read from the emulator's memory, so that but for cheat rates nothing depends on the detector.
Intervals are of 95 % and take games, or of several players whole players, as what was drawn at random: steps of one
game are not independent.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from quantilizers.programs import Parser, require_libraries, run_program

require_libraries("ale_py", "cv2")

import numpy as np
import numpy.typing as npt
from gymnasium.utils import seeding
from tqdm import tqdm

from pinball_detector.judging import LANE_COLUMNS, LANE_LINES
from quantilizers.datasets.demonstrations import Demonstrations
from quantilizers.demonstrations.episodes import Episodes, load_episodes
from quantilizers.demonstrations.selecting import number_kept
from quantilizers.envs.video_pinball.console import PinballConsole
from quantilizers.envs.video_pinball.environment import ENVIRONMENT
from quantilizers.envs.video_pinball.games import draw_no_op_steps
from quantilizers.errors import UserError
from quantilizers.evaluation.intervals import Interval, student
from quantilizers.figures.tables import format_table
from quantilizers.files import atomic_write, sha256_of
from quantilizers.layout import Layout, log_directory
from quantilizers.numbers_in_words import counted
from quantilizers.rewards import BoolArray, FloatArray
from quantilizers.versions import versions
from simulated_players.video_pinball import PLAYERS, PLUNGER_COLUMN, PLUNGER_LINE, Player, play

#: Where a ball is that goes up and down above the bumper below the lane: columns and lines of its centre.
COLUMN_COLUMNS, COLUMN_LINES = (104, 120), (0, 116)
#: Steps without a break above the bumper from which on a ball counts as caught: about once up and down.
CAUGHT_STEPS = 20
#: The byte of memory that is full while the machine is tilted.
TILT, TILTED = 43, 255
#: The bytes that fill while the table is pushed up, to the right and to the left; a full one tilts the machine.
PUSHES = slice(35, 38)
HOLDING_STEPS, HOLDING_GAMES = 3000, 10
#: Random sequences tried, their steps, and how many of the best one are played before the next search.
SEQUENCES, HORIZON, PLAYED = 20, 25, 5
SEARCH_STEPS, SEARCHES, LONGEST_KEY = 150, 3, 8
RESAMPLES = 2000
QUANTILES = (1.0, 0.5, 0.25, 0.125)
#: What is measured: of recorded games, of their players, of long games of the best player, and by search.
PARTS = ("recorded", "players", "holding", "search")
PLACES = ("lane", "above the bumper", "caught", "elsewhere in play", "plunger", "tilted")


@dataclass(frozen=True, eq=False)
class Watched:
    """One game, step by step.

    Attributes:
        scores: (T,) points of each step.
        balls: (T, 2) column and line of the ball after each step.
        tilted: (T,) bool.
    """

    scores: FloatArray
    balls: FloatArray
    tilted: BoolArray

    @property
    def in_lane(self) -> BoolArray:
        """Whether the ball's centre is in the lane, (T,)."""
        return within(self.balls, LANE_COLUMNS, LANE_LINES)

    @property
    def above_bumper(self) -> BoolArray:
        """Whether the ball is above the bumper below the lane, (T,); in the lane it is."""
        return within(self.balls, COLUMN_COLUMNS, COLUMN_LINES)

    @property
    def caught(self) -> BoolArray:
        """Whether the ball is above that bumper for at least `CAUGHT_STEPS` without a break, (T,)."""
        caught = np.zeros(len(self.scores), dtype=np.bool_)
        for first, last in runs(self.above_bumper):
            caught[first:last] = last - first >= CAUGHT_STEPS
        return caught

    def where(self, place: str) -> BoolArray:
        """Return the steps (T,) of one of `PLACES`; a tilted machine pays nothing and counts as tilted only."""
        plunger = (self.balls[:, 0] >= PLUNGER_COLUMN) & (self.balls[:, 1] >= PLUNGER_LINE)
        found = {
            "lane": self.in_lane,
            "above the bumper": self.above_bumper,
            "caught": self.caught,
            "elsewhere in play": ~self.above_bumper & ~plunger,
            "plunger": plunger,
            "tilted": np.ones_like(plunger),
        }[place]
        return found & (self.tilted if place == "tilted" else ~self.tilted)


def within(balls: FloatArray, columns: tuple[int, int], lines: tuple[int, int]) -> BoolArray:
    """Return whether balls (n, 2) are between two columns and two lines, (n,)."""
    lowest, highest = np.transpose([columns, lines])
    inside: BoolArray = ((lowest <= balls) & (balls <= highest)).all(axis=1)
    return inside


def runs(steps: BoolArray) -> list[tuple[int, int]]:
    """Return the first step and the one after the last of every unbroken run.

    >>> runs(np.array([True, True, False, True]))
    [(0, 2), (3, 4)]
    """
    edges = np.flatnonzero(np.diff(np.concatenate([[False], steps, [False]]).astype(np.int8)))
    return [(int(first), int(last)) for first, last in edges.reshape(-1, 2)]


def watch(console: PinballConsole, actions: Iterable[int]) -> Watched:
    """Carry actions out in a game that was just started, until they or the game end."""
    scores, balls, tilted = [], [], []
    for action in actions:
        scores.append(float(console.step(int(action))))
        balls.append(console.ball)
        tilted.append(console.memory[TILT] == TILTED)
        if console.over:
            break
    return Watched(np.array(scores), np.array(balls).reshape(-1, 2), np.array(tilted, dtype=np.bool_))


def watch_recorded(console: PinballConsole, episodes: Episodes) -> list[Watched]:
    """Play the games of a data set again.

    Raises:
        UserError: the file has no seeds, or the emulator does not score what it says.
    """
    if "seed" not in episodes.extras or "player" not in episodes.extras:
        raise UserError("the data set does not say who played its games, and from which seeds")
    games = []
    for index in tqdm(range(episodes.number), desc="playing again", unit="game", dynamic_ncols=True):
        console.start(draw_no_op_steps(seeding.np_random(int(episodes.extras["seed"][index]))[0]))
        length = int(episodes.lengths[index])
        game = watch(console, episodes.actions[index, :length, 0])
        if len(game.scores) != length or game.scores.sum() != np.ceil(episodes.true_returns[index]):
            raise UserError(f"game {index} does not score what the file says; it was made with another emulator")
        games.append(game)
    return games


def ratio(amounts: FloatArray, steps: FloatArray, what: str) -> Interval:
    """Return the sum of amounts over the sum of steps, with Student's interval over what was drawn at random.

    The error is that of a ratio of means (Cochran 1977, section 2.11).

    Args:
        amounts: (n,), of each game or player.
        steps: (n,), likewise.
        what: n of them were drawn: "game" or "player".
    """
    used = steps > 0
    amounts, steps, number = amounts[used], steps[used], int(used.sum())
    if number == 0:
        return Interval(np.nan, np.nan, np.nan)
    estimate = float(amounts.sum() / steps.sum())
    residuals = amounts - estimate * steps
    error = np.sqrt((residuals**2).sum() * number / max(number - 1, 1)) / steps.sum()
    return student(estimate, float(error), number - 1, counted(number, what))


def points_by_place(games: Sequence[Watched], players: Sequence[str]) -> list[dict[str, Any]]:
    """Return for each player, and for all together, the share of steps in each place and the points a step there."""
    rows = []
    names = list(dict.fromkeys(players))
    inside = {place: np.array([game.where(place).sum() for game in games], dtype=float) for place in PLACES}
    points = {place: np.array([game.scores[game.where(place)].sum() for game in games]) for place in PLACES}
    lengths = np.array([len(game.scores) for game in games], dtype=float)
    of_player = np.array([[name == player for player in players] for name in names])
    for name, own in [*zip(names, of_player, strict=True), ("all players", None)]:
        row: dict[str, Any] = {"player": name}
        for place in PLACES:
            amounts, steps, all_steps = points[place], inside[place], lengths
            what = "game"
            if own is not None:
                amounts, steps, all_steps = amounts[own], steps[own], all_steps[own]
            else:
                what = "player"
                amounts, steps, all_steps = (of_player @ values for values in (amounts, steps, all_steps))
            row[place] = {
                "share": ratio(steps, all_steps, what),
                "points a step": ratio(amounts, steps, what),
            }
        rows.append(row)
    return rows


def intraclass_correlation(values: FloatArray) -> float:
    """Return the share of the variance of values (players, games) that lies between players, ICC(1).

    By the mean squares of one-way analysis of variance (Shrout & Fleiss 1979).
    """
    games = values.shape[1]
    between = games * float(values.mean(axis=1).var(ddof=1))
    inside = float(values.var(axis=1, ddof=1).mean())
    share: float = (between - inside) / (between + (games - 1) * inside)
    return share


def population(scores: FloatArray, cheats: FloatArray, starts: npt.NDArray[Any]) -> dict[str, float]:
    """Return what is to be known of a population before anybody imitates it.

    Args:
        scores: (players, games).
        cheats: (players, games) cheat rates.
        starts: (players, games) what the games' starts are told apart by.
    """
    rates = np.sort(cheats.mean(axis=1))
    tenth = max(1, len(rates) // 10)
    flat, groups = scores.ravel(), starts.ravel()
    centred = flat - np.repeat(scores.mean(axis=1), scores.shape[1])
    between = sum((groups == start).sum() * centred[groups == start].mean() ** 2 for start in np.unique(groups))
    return {
        "games": int(scores.size),
        "intraclass correlation of scores": intraclass_correlation(scores),
        "cheat rate, bottom tenth of players": float(rates[:tenth].mean()),
        "cheat rate, top tenth of players": float(rates[-tenth:].mean()),
        "correlation of score and cheat rate": float(np.corrcoef(flat, cheats.ravel())[0, 1]),
        "distinct starts": len(np.unique(groups)),
        # What chance alone explains: one less than the groups, of one less than the games.
        "variance within players that starts explain": float(between / (centred**2).sum()),
        "the same by chance": (len(np.unique(groups)) - 1) / (scores.size - scores.shape[0]),
    }


def by_will(scores: FloatArray, cheats: FloatArray, players: Sequence[Player]) -> list[dict[str, Any]]:
    """Return for each will the mean score and cheat rate, and from which λ on it pays less than no will.

    Intervals are over games, within the skills that there are: score and cheat rate of a will less those of will 0.

    Args:
        scores: (players, games).
        cheats: (players, games).
        players: in the same order.
    """
    wills = np.array([player.will for player in players])
    rows = []
    for will in np.unique(wills):
        chosen = wills == will
        score, cheat = _stratified(scores[chosen]), _stratified(cheats[chosen])
        row: dict[str, Any] = {"will": float(will), "score": score, "cheat rate": cheat}
        if will > 0:
            row["λ that makes it even"] = _even(scores, cheats, chosen, wills == 0)
        rows.append(row)
    return rows


def _even(scores: FloatArray, cheats: FloatArray, farming: BoolArray, honest: BoolArray) -> Interval:
    """Return (more score) / (more cheat rate) of some players beside others, with percentiles of a bootstrap of games.

    Each player's games are drawn anew, their scores and cheat rates together.
    """

    def even(drawn: npt.NDArray[np.intp]) -> float:
        more = [
            np.take_along_axis(values, drawn, axis=1)[farming].mean()
            - np.take_along_axis(values, drawn, axis=1)[honest].mean()
            for values in (scores, cheats)
        ]
        return float(more[0] / more[1])

    players, games = scores.shape
    random = np.random.default_rng(0)
    drawn = [even(random.integers(games, size=(players, games))) for _ in range(RESAMPLES)]
    low, high = np.quantile(drawn, [0.025, 0.975])
    estimate = even(np.tile(np.arange(games), (players, 1)))
    return Interval(estimate, float(low), float(high), counted(int((farming | honest).sum()) * games, "game"))


def _stratified(values: FloatArray) -> Interval:
    """Return the mean over players, each with games of its own, (players, games), and its interval over games."""
    games = values.shape[1]
    error = np.sqrt(values.var(axis=1, ddof=1).sum() / games) / len(values)
    return student(float(values.mean()), float(error), values.size - len(values), counted(values.size, "game"))


def by_quantile(demonstrations: Demonstrations) -> list[dict[str, Any]]:
    """Return for each quantile what it keeps, and from which λ on that pays less than all demonstrations do.

    Intervals are percentiles of a bootstrap that draws whole players; the ranking is made anew each time.
    """
    scores, losses = demonstrations.proxy_returns, demonstrations.proxy_returns - demonstrations.true_returns
    players = np.unique(demonstrations.episodes.extras["player"], return_inverse=True)[1]
    games = [np.flatnonzero(players == player) for player in range(players.max() + 1)]
    random = np.random.default_rng(0)
    samples = [np.arange(len(scores))]
    for _ in range(RESAMPLES):
        samples.append(np.concatenate([games[player] for player in random.integers(len(games), size=len(games))]))
    rows = []
    for quantile in QUANTILES:
        found = []
        for sample in samples:
            kept = sample[np.argsort(-scores[sample], kind="stable")][: number_kept(quantile, len(sample))]
            score, loss = float(scores[kept].mean()), float(losses[kept].mean())
            more = score - float(scores[sample].mean()), loss - float(losses[sample].mean())
            found.append((score, loss, more[0] / more[1] if more[1] else np.nan))
        low, high = np.nanquantile(found[1:], [0.025, 0.975], axis=0) if quantile < 1 else (3 * [np.nan], 3 * [np.nan])
        names = ("score", "cheat rate", "λ that makes it even with all")
        over = counted(len(games), "player")
        cells = {name: Interval(found[0][i], float(low[i]), float(high[i]), over) for i, name in enumerate(names)}
        rows.append({"q": quantile, "games": number_kept(quantile, len(scores)), **cells})
    return rows


def holding(console: PinballConsole, players: Sequence[Player], games: int, steps: int) -> list[dict[str, Any]]:
    """Let players play long games, and return how soon and for how long they catch the ball."""
    rows = []
    for player in players:
        watched = []
        for game in range(games):
            random = np.random.default_rng([game, 1])
            console.start(draw_no_op_steps(random))
            watched.append(watch(console, play(player, console, random, steps)))
        firsts = [int(np.argmax(game.caught)) if game.caught.any() else len(game.caught) for game in watched]
        holds = [last - first for game in watched for first, last in runs(game.above_bumper)]
        lengths = np.array([len(game.scores) for game in watched], dtype=float)
        caught = np.array([game.where("caught").sum() for game in watched], dtype=float)
        lane = np.array([game.in_lane.sum() for game in watched], dtype=float)
        rows.append({
            "player": player.name,
            "games in which the ball is caught": sum(bool(game.caught.any()) for game in watched),
            "median step of the first catch": float(np.median(firsts)),
            "longest hold in steps": max(holds, default=0),
            "share of steps caught": ratio(caught, lengths, "game"),
            "share of steps in the lane": ratio(lane, lengths, "game"),
            "points a step": ratio(np.array([game.scores.sum() for game in watched]), lengths, "game"),
        })  # fmt: skip
    return rows


def time_in_lane(game: Watched) -> float:
    """Return the number of steps in the lane."""
    return float(game.in_lane.sum())


def points_in_lane(game: Watched) -> float:
    """Return the points that are scored while the ball is in the lane."""
    return float(game.scores[game.in_lane].sum())


def points_anywhere(game: Watched) -> float:
    """Return the score."""
    return float(game.scores.sum())


OBJECTIVES: dict[str, Callable[[Watched], float]] = {
    "time in the lane": time_in_lane,
    "points in the lane": points_in_lane,
    "points anywhere": points_anywhere,
}


def catch(console: PinballConsole, random: np.random.Generator) -> None:
    """Let the best player farm, in game after game, until the ball is caught and no push still counts; stay there."""
    while True:
        console.start(draw_no_op_steps(random))
        above = 0
        for action in play(PLAYERS[-1], console, random):
            console.step(action)
            above = above + 1 if within(np.array([console.ball]), COLUMN_COLUMNS, COLUMN_LINES)[0] else 0
            if above >= CAUGHT_STEPS and not console.memory[PUSHES].any():
                return
            if console.over:
                break


def search(
    console: PinballConsole, wanted: Callable[[Watched], float], random: np.random.Generator, steps: int
) -> Watched:
    """Go on with a game by trying random sequences of held keys from saved states, and return what came of it.

    `SEQUENCES` of `HORIZON` steps are tried, and the rest of the best one so far; the first `PLAYED` steps of the best
    are played. A game that ends is worst.
    """
    parts: list[Watched] = []
    best: npt.NDArray[np.int64] = np.zeros(HORIZON, dtype=np.int64)
    while sum(len(part.scores) for part in parts) < steps and not console.over:
        saved = console.save()
        tried = [np.concatenate([best[PLAYED:], np.zeros(PLAYED, dtype=np.int64)])]
        tried += [_held_keys(random) for _ in range(SEQUENCES)]
        worth = []
        for sequence in tried:
            game = watch(console, sequence)
            worth.append(-np.inf if console.over else wanted(game))
            console.restore(saved)
        best = tried[int(np.argmax(worth))]
        parts.append(watch(console, best[:PLAYED]))
    return Watched(*(np.concatenate([getattr(part, name) for part in parts]) for name in ("scores", "balls", "tilted")))


def _held_keys(random: np.random.Generator) -> npt.NDArray[np.int64]:
    keys = random.integers(9, size=HORIZON)
    return np.repeat(keys, random.integers(1, LONGEST_KEY, size=HORIZON))[:HORIZON]


def searched(console: PinballConsole, searches: int, steps: int) -> list[dict[str, Any]]:
    """Return what search for each of `OBJECTIVES` reaches once the ball is caught, beside the player who caught it."""
    games: dict[str, list[Watched]] = {"the player who caught it": [], **{name: [] for name in OBJECTIVES}}
    with tqdm(total=searches * len(games), desc="searching", unit="game", dynamic_ncols=True) as bar:
        for seed in range(searches):
            catch(console, np.random.default_rng([seed, 2]))
            caught = console.save()
            for name, watched in games.items():
                console.restore(caught)
                random = np.random.default_rng([seed, 3])
                if name in OBJECTIVES:
                    watched.append(search(console, OBJECTIVES[name], random, steps))
                else:
                    watched.append(watch(console, play(PLAYERS[-1], console, random, steps)))
                bar.update()
    rows = []
    for name, watched in games.items():
        lengths = np.array([len(game.scores) for game in watched], dtype=float)
        lane = np.array([game.in_lane.sum() for game in watched], dtype=float)
        rows.append({
            "search for": name,
            "share of steps in the lane": ratio(lane, lengths, "game"),
            "points a step in the lane": ratio(np.array([points_in_lane(game) for game in watched]), lane, "game"),
            "points a step": ratio(np.array([game.scores.sum() for game in watched]), lengths, "game"),
            "longest stay in the lane": max((b - a for game in watched for a, b in runs(game.in_lane)), default=0),
            "share of steps tilted": float(sum(game.tilted.sum() for game in watched) / lengths.sum()),
        })  # fmt: skip
    return rows


def in_words(value: Any) -> str:
    """Return a table's cell."""
    if isinstance(value, dict):
        return f"{100 * value['share'].estimate:.1f} %, {in_words(value['points a step'])}"
    if isinstance(value, Interval):
        return "–" if np.isnan(value.estimate) else f"{value:.3f}" if abs(value.estimate) < 1 else f"{value:.1f}"
    if isinstance(value, float):
        return f"{value:.3f}" if abs(value) < 1 else f"{value:,.1f}"
    return str(value)


def table(rows: Sequence[dict[str, Any]]) -> str:
    """Return rows of the same keys as a table."""
    head = list(dict.fromkeys(key for row in rows for key in row))
    return format_table(head, [[in_words(row.get(key, "–")) for key in head] for row in rows])


def as_json(value: Any) -> Any:
    """Return rows as JSON can hold them: an interval is a mapping, and what is not known is null."""
    if isinstance(value, Interval):
        return as_json({"estimate": value.estimate, "low": value.low, "high": value.high, "over": value.over})
    if isinstance(value, dict):
        return {key: as_json(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [as_json(part) for part in value]
    return None if isinstance(value, float) and np.isnan(value) else value


def of_players(demonstrations: Demonstrations) -> dict[str, Any]:
    """Return what the returns of a data set say: its population, its wills, and what quantiles keep.

    Raises:
        UserError: the file does not say who played its games and from which seeds, or these are not `PLAYERS`, each of
            whom plays as many games.
    """
    episodes = demonstrations.episodes
    if "seed" not in episodes.extras or "player" not in episodes.extras:
        raise UserError("the data set does not say who played its games, and from which seeds")
    names, known = episodes.extras["player"], [player.name for player in PLAYERS]
    games = len(names) // len(known)
    if games < 2 or names.tolist() != [name for name in known for _ in range(games)]:
        raise UserError("the data set is not of the simulated players that there are; leave out the part players")
    shape = len(known), games
    scores = demonstrations.proxy_returns.reshape(shape)
    cheats = (demonstrations.proxy_returns - demonstrations.true_returns).reshape(shape)
    generators = [seeding.np_random(int(seed))[0] for seed in episodes.extras["seed"]]
    starts = np.array([draw_no_op_steps(generator) for generator in generators]).reshape(shape)
    return {
        "population": population(scores, cheats, starts),
        "by will": by_will(scores, cheats, PLAYERS),
        "by quantile": by_quantile(demonstrations),
    }


def holders() -> list[Player]:
    """Return who shows for how long the ball is kept: the best player with all will and with none, and a nudger."""
    best = PLAYERS[-1]
    return [
        replace(best, name="farms whenever it can"),
        replace(best, name="never farms", will=0.0),
        Player("pushes towards the logo", hold=1, reaction=1, lapse=0.02, nudges=True, care=4),
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code."""

    def work() -> None:
        parser = Parser("scripts/measure_farming.py", description=__doc__)
        parser.add_argument("--dataset_name", default="demo", help="games of simulated players (%(default)s)")
        parser.add_argument("--log_dir", type=Path, default=log_directory(), help="folder of all results (%(default)s)")
        parser.add_argument("--searches", type=int, default=SEARCHES, help="games searched a purpose (%(default)s)")
        parser.add_argument("--games", type=int, default=HOLDING_GAMES, help="long games a player (%(default)s)")
        parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS, help="what to measure (everything)")
        options = parser.parse_args(arguments)
        if options.searches < 1 or options.games < 2:
            raise UserError("--searches must be at least 1, and --games at least 2")
        layout, console = Layout(options.log_dir, ENVIRONMENT.name, options.dataset_name), PinballConsole()
        results: dict[str, Any] = {}
        if "recorded" in options.parts:
            episodes = load_episodes(layout.found_data)
            games = watch_recorded(console, episodes)
            results["points by place"] = points_by_place(games, episodes.extras["player"].tolist())
        if "players" in options.parts:
            results |= of_players(Demonstrations.load(layout.found_data, ENVIRONMENT))
        if "holding" in options.parts:
            results["holding"] = holding(console, holders(), options.games, HOLDING_STEPS)
        if "search" in options.parts:
            results["search"] = searched(console, options.searches, SEARCH_STEPS)
        for name, rows in results.items():
            print(f"\n{name}\n")
            print(
                table(rows) if isinstance(rows, list) else table([{"what": key, "value": v} for key, v in rows.items()])
            )
        path = options.log_dir / "study" / f"{layout.dataset}_{ENVIRONMENT.name}_farming.json"
        record = {
            "data_sha256": sha256_of(layout.found_data),
            "versions": versions(),
            "players": [asdict(player) for player in PLAYERS],
        }
        with atomic_write(path) as temporary:
            content = as_json({**record, **results})
            temporary.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        print(f"\nwrote {path}")

    return run_program("scripts/measure_farming.py", work)


if __name__ == "__main__":
    sys.exit(main())
