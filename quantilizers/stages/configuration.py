"""Runs in files: YAML from the names of flags to their values.

A file is turned into the words of a command line, so that it means what they mean: a list is a flag's several values,
and `env_option` may also be a mapping. No value is interpreted: what is read are the words as they stand in the file.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import yaml

from quantilizers.envs.shipped import runs_code
from quantilizers.errors import UserError, did_you_mean, reason_of
from quantilizers.layout import log_directory
from quantilizers.stages.flags import flag_of
from quantilizers.stages.settings import Settings

MAX_BYTES = 2**16
#: The most that values may be nested; flags need two levels.
MAX_DEPTH = 8


def words_in(path: Path, flags: Iterable[str]) -> list[str]:
    """Return the words of a command line that a file stands for.

    Args:
        path: the YAML file.
        flags: the names that it may have, without dashes.

    Raises:
        UserError: the file cannot be read, is too long, or is not such a mapping.
    """
    known, words, seen = list(flags), list[str](), set[str]()
    for key, value in _entries(_root_of(path), path):
        if key not in known:
            raise UserError(f"{path}: {key!r} is not a flag{did_you_mean(key, known)}")
        if key in seen:
            raise UserError(f"{path}: {key} is there twice")
        seen.add(key)
        words += _words_of(key, value, path)
    return words


def text_of(settings: Settings, stages: Sequence[str]) -> str:
    """Return the file that makes a run again, with everything that is in force in it.

    Args:
        settings: of the run.
        stages: that it runs.
    """
    environment, layout = settings.environment, settings.layout
    values: dict[str, Any] = {
        "env_name": environment.address or environment.name,
        "dataset_name": layout.dataset,
        "do": list(stages),
        "seed_min": settings.seeds.start,
        "seed_nb": len(settings.seeds),
        "number_trajectories": settings.number_trajectories,
        "quantiles": list(settings.quantiles),
        "render": settings.render,
        "plotstyle": settings.plotstyle,
        "format": layout.figure_format,
        "analysis": list(settings.analyses),
        "subsets": settings.subsets,
        "resample": settings.resample,
        "resamples": settings.resamples,
        "methods": list(settings.methods),
        "path": layout.path,
        "max_steps": settings.max_steps,
    }
    if settings.workers is not None:
        values["workers"] = settings.workers
    if settings.implicit_loss is not None:
        values["implicit_loss"] = settings.implicit_loss
    if settings.players_from is not None:
        values["players_from"] = settings.players_from
    if layout.log.resolve() != log_directory().resolve():
        values["log_dir"] = str(layout.log)
    options = {name: value for name, value in settings.options.items() if isinstance(value, (bool, int, float, str))}
    if options:
        values["env_option"] = options
    values |= {"algorithm": settings.algorithm, "acting": settings.acting}
    if settings.optimiser_steps:
        values["optimiser_steps"] = settings.optimiser_steps
    if settings.wanted_optimisers is not None:
        values["optimisers"] = list(settings.wanted_optimisers)
    values |= asdict(settings.treatment)
    for name, value in asdict(settings.training).items():
        values[flag_of(name)] = list(value) if isinstance(value, tuple) else value
    text = yaml.safe_dump(values, sort_keys=False, default_flow_style=None, allow_unicode=True, width=2**16)
    if not runs_code(environment.address):
        return text
    again = shlex.join(["--config", "FILE", "--env_name", environment.address])
    return f"# The environment's code is run, which no file may decide: {again}\n{text}"


def _root_of(path: Path) -> yaml.Node | None:
    """Read a file as YAML's tree of words, without making anything of them."""
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            raise UserError(f"{path} is longer than {MAX_BYTES:,} bytes; a configuration names flags and their values")
        text = content.decode()
        depth = 0
        for event in yaml.parse(text, yaml.SafeLoader):
            if getattr(event, "anchor", None) is not None:
                raise UserError(f"{path} has an anchor or an alias (& or *); write the values out, or quote them")
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > MAX_DEPTH:
                # Reading on would take minutes.
                raise UserError(f"{path} is not YAML of flags and their values (it is nested too deeply)")
        return yaml.compose(text, yaml.SafeLoader)
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}") from None
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise UserError(f"{path} is not YAML ({reason_of(error)})") from None


def _entries(node: yaml.Node | None, path: Path) -> list[tuple[str, yaml.Node]]:
    """Return the keys and values of a mapping; a file without anything is an empty one."""
    if node is None:
        return []
    if not isinstance(node, yaml.MappingNode):
        raise UserError(f"{path} is not a mapping; give lines such as seed_nb: 3")
    return [(_scalar(key, path), value) for key, value in node.value]


def _words_of(key: str, value: yaml.Node, path: Path) -> list[str]:
    if isinstance(value, yaml.SequenceNode):
        values = [_scalar(item, path) for item in value.value]
    elif isinstance(value, yaml.MappingNode) and key == "env_option":
        values = [f"{name}={_scalar(item, path)}" for name, item in _entries(value, path)]
    else:
        return [f"--{key}={_scalar(value, path)}"]
    flags = [word for word in values if word.startswith("--")]
    if flags:
        raise UserError(f"{path}: {key} has {flags[0]!r} among its values; give it a line of its own, without dashes")
    return [f"--{key}", *values] if values or key != "env_option" else []


def _scalar(node: yaml.Node, path: Path) -> str:
    """Return a word or number as it is written."""
    if not isinstance(node, yaml.ScalarNode):
        raise UserError(f"{path}: line {node.start_mark.line + 1} has a value that is neither a word nor a number")
    return str(node.value)
