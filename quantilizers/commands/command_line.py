"""The command line: flags made from the declared settings, their help, and the same flags in YAML files.

A YAML file is turned into words of the command line, exactly as they stand in the file. A list is a flag with several
values, and `env_option` may also be a mapping.
"""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import Field, asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from quantilizers.choices import check_choice, check_setting, settings_in, type_of
from quantilizers.commands.arguments import add_environment_options, number, whole_number
from quantilizers.envs.shipped import runs_code
from quantilizers.errors import UserError, did_you_mean
from quantilizers.layout import Layout, log_directory
from quantilizers.policies.hyper_parameters import TRAININGS, flag_of, hyper_parameters
from quantilizers.policies.selection_settings import SelectionSettings
from quantilizers.programs import Parser, call_of
from quantilizers.stages.running import DEFAULT_STAGES, PROGRAM, SPELLINGS, STAGES, stages_named
from quantilizers.stages.settings import (
    COMPARING,
    CONDITIONS,
    DEFAULT_ENVIRONMENT,
    SHOWING,
    TRAINING,
    WITH_OPTIONS,
    Seeds,
    Settings,
    settings_from,
)

if TYPE_CHECKING:
    import yaml

#: The flags of the reference implementation, which `--help` explains.
FIRST_FLAGS = (
    "dataset_name", "env_name", "do", "seed_min", "seed_nb", "number_trajectories", "quantiles", "render", "plotstyle",
    "path",
)  # fmt: skip
#: Flags that configuration files cannot have.
_NOT_IN_FILES = ("help", "version", "config", "print_config", "force", "wide")
_MAX_BYTES = 2**16
_SUCH_AS = "give lines such as seed_nb: 3"
_COMMAND = call_of("python quantilizer.py", "quantilizer")
_FAMILIES = {"multilayer_perceptron": "perceptrons", "convolutional": "convolutional networks"}


def parse(words: Sequence[str]) -> dict[str, Any]:
    """Return the values of the flags that are given: on the command line, or else in the file of `--config`.

    Raises:
        UserError: a flag or a value is impossible, or the file has a setting that only the command line may give.
    """
    parser = build_parser()
    misplaced = [word.removeprefix("--") for word in words if word in words[:1] or word.startswith("--")]
    for word in misplaced:
        if word in (*STAGES, *SPELLINGS):
            raise UserError(f"stages follow --do, such as --do {word}; see {_COMMAND} --help")
    if words and not words[0].startswith("-") and (hint := did_you_mean(words[0], ["scores", *STAGES])):
        raise UserError(f"unrecognized arguments: {words[0]}{hint} see {_COMMAND} --help")
    given = _checked(parser, words)
    if "config" not in given:
        return given
    file = given["config"]
    entries = entries_in(file, _flags_in_files(parser))
    for key, entry in entries.items():
        try:
            _checked(parser, entry.words)
        except UserError as error:
            raise UserError(f"{file}:{entry.line}: {key}: {error}") from None
    both = vars(parser.parse_args([*(word for entry in entries.values() for word in entry.words), *words]))
    if both.get("scheduler") != given.get("scheduler"):
        raise UserError(
            f"{file} names a scheduler, which can have any code run here, and a file may not decide that; say "
            f"--scheduler {both['scheduler']} on the command line if you trust it"
        )
    named = both.get("env_name", DEFAULT_ENVIRONMENT)
    if runs_code(named) and named != given.get("env_name"):
        raise UserError(
            f"{file} names {named}, whose code would be run, which a file may not decide; if you trust it, say so: "
            f"--config {file} --env_name {named}"
        )
    return both


def _checked(parser: Parser, words: Sequence[str]) -> dict[str, Any]:
    """Parse words, and check each value that can be checked without the environment."""
    given = vars(parser.parse_args(words))
    for declaring in (Settings, Layout, Seeds, SelectionSettings):
        for flag, one in settings_in(declaring).items():
            if flag in given:
                check_setting(f"--{flag}", one, given[flag])
    stages_named(given.get("do", ()))
    return given


def unread(words: Sequence[str], stages: Collection[str]) -> str:
    """Return a sentence that names the flags among the words which none of the stages reads, and what they are for.

    Stages that only compare a flag with finished work, and refuse another value, read it.

    It is empty if there are none. Flags in a file of `--config` describe an experiment, of which a run may be a part.
    """
    typed, found = {word.partition("=")[0] for word in words}, []
    compared: dict[str, tuple[str, ...]] = {}
    compared |= dict.fromkeys(map(flag_of, hyper_parameters()), COMPARING)
    compared |= dict.fromkeys(settings_in(SelectionSettings), (*COMPARING, "study"))
    compared |= dict.fromkeys(CONDITIONS, SHOWING)
    for action in build_parser()._actions:
        flags = [flag for flag in action.option_strings if flag in typed]
        theirs = getattr(action, "stages", ())
        if flags and theirs and not {*theirs, *compared.get(action.dest, ())} & {*stages}:
            found.append(f"{flags[0]}, which is for {', '.join(theirs)}")
    return f"--do {' '.join(stages)} does not read {'; nor '.join(found)}" if found else ""


def _flags_in_files(parser: Parser) -> list[str]:
    """Return the flags that configuration files can have, without dashes."""
    flags = [word.removeprefix("--") for action in parser._actions for word in action.option_strings]
    return sorted(flag for flag in flags if not flag.startswith("-") and flag not in _NOT_IN_FILES)


def settings_of(given: Mapping[str, Any], words: Sequence[str]) -> Settings:
    """Return the settings that the flags of `parse` give.

    Raises:
        UserError: a value is impossible. If the message would change without a key of the `--config` file, it names
            the file and the key.
    """
    try:
        return settings_from(given, words)
    except UserError as error:
        if "config" not in given:
            raise
        file, parser, message = given["config"], build_parser(), str(error)
        typed = vars(parser.parse_args(words))
        blamed = []
        for key, entry in entries_in(file, _flags_in_files(parser)).items():
            of_key = vars(parser.parse_args(entry.words))
            others = {flag: value for flag, value in given.items() if flag not in of_key or flag in typed}
            try:
                settings_from(others, words)
            except UserError as other:
                if str(other) == message:
                    continue
            blamed.append(f"{key} in line {entry.line}")
        raise UserError(f"{file}: {', '.join(blamed)}: {message}" if blamed else message) from None


def build_parser() -> Parser:
    """Return the parser. Flags that are not given are absent: defaults are those of the settings."""
    parser = Parser(PROGRAM, add_help=False, formatter_class=_Formatter, argument_default=argparse.SUPPRESS)
    parser.add_argument(
        "-h", "--help", nargs="?", action=_Help, metavar="STAGE|all", help="the flags of a stage, or all"
    )
    settings = settings_in(Settings)
    _add(parser, "env_name", settings.pop("env_name"))
    names = settings_in(Layout)
    _add(parser, "dataset_name", names.pop("dataset_name"))
    parser.add_argument("--do", nargs="+", metavar="STAGE", help=f"stages to run (default: {' '.join(DEFAULT_STAGES)})")
    for declaring in (settings_in(Seeds), names, settings, settings_in(SelectionSettings)):
        for flag, setting in declaring.items():
            _add(parser, flag, setting)
    first = len(parser._actions)
    add_environment_options(parser)
    for action in parser._actions[first:]:
        action.stages = WITH_OPTIONS  # type: ignore[attr-defined]
    _add_hyper_parameters(parser)
    parser.add_argument(
        "--config", type=Path, metavar="FILE", help="YAML file of flags; flags on the command line override it"
    )
    parser.add_argument(
        "--print_config", action="store_true", help="print the file for --config that repeats this run, and exit"
    )
    return parser


def add_settings(parser: argparse.ArgumentParser, *flags: str) -> None:
    """Add some flags of `Settings` or `Layout` to the parser of another program; what is not given is not set."""
    declared = settings_in(Layout) | settings_in(Settings)
    for flag in flags:
        _add(parser, flag, declared[flag])


def _add(parser: argparse.ArgumentParser, flag: str, setting: Field[Any], text: str = "") -> argparse.Action:
    """Add the flag that a setting declares, with its own text of help, or another."""
    about, kind = setting.metadata, type_of(setting)
    names = [f"--{flag}", *(f"--{alias}" for alias in about.get("aliases", ()))]
    options: dict[str, Any] = {"dest": flag, "default": argparse.SUPPRESS, "help": text or _help_of(setting)}
    if about.get("type") is bool:
        options["action"] = "store_true"
    elif setting.default is False:
        options |= {"type": _boolean, "nargs": "?", "const": True, "metavar": about["metavar"]}
    else:
        options |= {
            "type": _TYPES.get(kind, kind),
            "metavar": about.get("metavar") or _LETTERS.get(kind) or flag.upper(),
        }
        if about.get("several"):
            options["nargs"] = "*" if "longest" in about else "+"
    action = parser.add_argument(*names, **options)
    action.stages = about.get("stages", ())  # type: ignore[attr-defined]
    action.may_be_empty = setting.default == ""  # type: ignore[attr-defined]
    return action


def _about(setting: Field[Any]) -> str:
    """Return a setting's line of help, with the words that it accepts."""
    text, choices = str(setting.metadata["help"]), setting.metadata.get("choices")
    return f"{text}: {', '.join(choices)}" if choices else text


def _help_of(setting: Field[Any]) -> str:
    about, default, text = setting.metadata, setting.default, _about(setting)
    shown = about.get("shown") or (_written(default) if isinstance(default, (str, int, tuple)) else "")
    return f"{text} (default: {shown})" if shown and about.get("type") is not bool else text


def _add_hyper_parameters(parser: Parser) -> None:
    """Add a flag for each hyper-parameter of either family of policies."""
    for name, of_families in hyper_parameters().items():
        first = next(iter(of_families.values()))
        defaults = {family: _written(parameter.default) for family, parameter in of_families.items()}
        action = _add(parser, flag_of(name), first, f"{_about(first)} (default: {_defaults(defaults)})")
        action.stages = TRAINING  # type: ignore[attr-defined]


def _defaults(of_families: Mapping[str, str]) -> str:
    """Return the defaults of a hyper-parameter in the families that have it."""
    described = [f"{default} for {_FAMILIES[family]}" for family, default in of_families.items()]
    alike = len(of_families) == len(TRAININGS) and len(set(of_families.values())) == 1
    return next(iter(of_families.values())) if alike else ", ".join(described)


def _written(default: Any) -> str:
    if isinstance(default, tuple):
        return " ".join(map(str, default))
    return f"{default:g}" if isinstance(default, float) else str(default)


#: Parsers of numbers, and their placeholders in help.
_TYPES: Mapping[Any, Any] = {int: whole_number, float: number}
_LETTERS: Mapping[Any, str] = {int: "N", float: "X"}


def _boolean(text: str) -> bool:
    known = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
    if text.lower() not in known:
        raise argparse.ArgumentTypeError(f"{text!r} is neither True nor False")
    return known[text.lower()]


class _Formatter(argparse.HelpFormatter):
    """Help at 80 columns where the terminal is wider, and a flag's values once, whatever its aliases."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=29)
        self._width = min(self._width, 78)

    def _format_action_invocation(self, action: argparse.Action) -> str:
        if not action.option_strings or action.nargs == 0:
            return super()._format_action_invocation(action)
        return f"{', '.join(action.option_strings)} {self._format_args(action, str(action.dest).upper())}"


class _Help(argparse.Action):
    """`--help`, `--help STAGE` and `--help all`."""

    def __call__(self, parser: Any, namespace: Any, topic: Any, option_string: str | None = None) -> None:
        print(help_text(parser, topic), end="")
        parser.exit()


def help_text(parser: Parser, topic: str | None = None) -> str:
    """Return help: one screen, or the flags of a stage, or all flags."""
    topic = SPELLINGS.get(topic or "", topic)
    if topic is None:
        return _overview(parser)
    check_choice("--help", topic, ("all", *STAGES))
    actions = [action for action in parser._actions if action.dest != "help"]
    general = [action for action in actions if not getattr(action, "stages", ())]
    formatter = parser._get_formatter()
    if topic == "all":
        _section(formatter, "all stages", general)
        groups: dict[tuple[str, ...], list[argparse.Action]] = {}
        for action in actions:
            if action not in general:
                theirs = tuple(stage for stage in STAGES if stage in action.stages)  # type: ignore[attr-defined]
                groups.setdefault(theirs, []).append(action)
        for stages in sorted(groups, key=lambda of: [[*STAGES].index(stage) for stage in of]):
            _section(formatter, ", ".join(stages), groups[stages])
    else:
        formatter.add_text(f"{_COMMAND} --do {topic}: {STAGES[topic].about}")
        _section(formatter, f"flags of {topic}", [one for one in actions if topic in getattr(one, "stages", ())])
        _section(formatter, "flags of all stages", general)
    return formatter.format_help()


def _section(formatter: argparse.HelpFormatter, title: str, actions: Sequence[argparse.Action]) -> None:
    if actions:
        formatter.start_section(title)
        formatter.add_arguments(actions)
        formatter.end_section()


def _overview(parser: Parser) -> str:
    """Return the help of one screen."""
    by_name = {action.option_strings[0]: action for action in parser._actions}
    formatter = parser._get_formatter()
    _section(formatter, "flags", [by_name[f"--{flag}"] for flag in FIRST_FLAGS])
    flags = formatter.format_help().rstrip()
    stages = "\n".join(f"  {name:<10} {stage.about}" for name, stage in STAGES.items())
    return f"""usage: {_COMMAND} [--do STAGE ...] [FLAG VALUE ...]

Train, test and plot quantilizers: agents that imitate the top fraction q of
demonstrations, ranked by a proxy reward.

  {_COMMAND} --do train test plot --quantiles 1.0 0.5 0.25 0.1
  {_COMMAND} --do optimize plot --plotstyle frontier
  {_COMMAND} --do study --env_name Hopper-v2 --workers 2
  {_COMMAND} scores curve TABLE --proxy COLUMN --true COLUMN

stages:
{stages}

{flags}

More flags: --help STAGE, such as --help train, or --help all.
"""


class Entry(NamedTuple):
    """A key of a configuration file: the line where it stands, and the words of a command line that it stands for."""

    line: int
    words: list[str]


def entries_in(path: Path, flags: Iterable[str]) -> dict[str, Entry]:
    """Return the entries of a YAML file by their keys.

    Args:
        path: the file.
        flags: the names that it may have, without dashes.
    """
    known, found = list(flags), dict[str, Entry]()
    for key, value in _entries(_root_of(path), path):
        line = value.start_mark.line + 1
        if key not in known:
            hint = did_you_mean(key, known) or f"; {_COMMAND} --help all lists them"
            if key in _NOT_IN_FILES:
                hint = " of configuration files; give it on the command line"
            raise UserError(f"{path}:{line}: {key!r} is not a flag{hint}")
        if key in found:
            raise UserError(f"{path}:{line}: {key} is there twice, first in line {found[key].line}; give it once")
        found[key] = Entry(line, _words_of(key, value, path))
    return found


def _root_of(path: Path) -> yaml.Node | None:
    """Read a file as YAML's tree of words, without making objects of them."""
    import yaml

    try:
        with path.open("rb") as file:
            content = file.read(_MAX_BYTES + 1)
        if len(content) > _MAX_BYTES:
            raise UserError(f"{path} is longer than {_MAX_BYTES:,} bytes; a configuration names flags and their values")
        return yaml.compose(content.decode(), yaml.SafeLoader)
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}") from None
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise UserError(f"{path}:{line}: not YAML, because it is not UTF-8; save the file as UTF-8") from None
    except RecursionError:
        raise UserError(f"{path}: not YAML of flags, because its lists are nested too deeply; {_SUCH_AS}") from None
    except yaml.YAMLError as error:
        raise UserError(_fault_of(error, path, content.decode())) from None


def _fault_of(error: yaml.YAMLError, path: Path, text: str) -> str:
    """Describe where and why a file is not YAML."""
    from yaml import MarkedYAMLError
    from yaml.reader import ReaderError

    lines = text.splitlines() or [""]
    if isinstance(error, ReaderError):
        number = text[: error.position].count("\n") + 1
        return f"{path}:{number}: not YAML, because it has the control character {chr(error.character)!r}; remove it"
    mark = (error.problem_mark or error.context_mark) if isinstance(error, MarkedYAMLError) else None
    number = min(mark.line + 1, len(lines)) if mark is not None else 1
    line = lines[number - 1].strip()[:60]
    if "\t" in lines[number - 1][: len(lines[number - 1]) - len(lines[number - 1].lstrip()) + 1]:
        return f"{path}:{number}: not YAML, because a tab indents {line!r}; use spaces"
    if line.startswith("---"):
        return f"{path}:{number}: not YAML of flags, because --- begins a second document; give each flag once in one"
    return f"{path}:{number}: not YAML: {line!r} cannot be read; {_SUCH_AS}, and quote values with : # [ ] {{ }} & or *"


def _entries(node: yaml.Node | None, path: Path) -> list[tuple[str, yaml.Node]]:
    """Return the keys and values of a mapping; an empty file is an empty mapping."""
    from yaml import MappingNode

    if node is None:
        return []
    if not isinstance(node, MappingNode):
        raise UserError(f"{path}:{node.start_mark.line + 1}: not a mapping from flags to values; {_SUCH_AS}")
    return [(_scalar(key, path), value) for key, value in node.value]


def _words_of(key: str, value: yaml.Node, path: Path) -> list[str]:
    from yaml import MappingNode, SequenceNode

    if isinstance(value, SequenceNode):
        values = [_scalar(item, path) for item in value.value]
    elif isinstance(value, MappingNode) and key == "env_option":
        values = [f"{name}={_scalar(item, path)}" for name, item in _entries(value, path)]
    else:
        return [f"--{key}={_scalar(value, path)}"]
    flags = [word for word in values if word.startswith("--")]
    if flags:
        raise UserError(
            f"{path}:{value.start_mark.line + 1}: {key} has {flags[0]!r} among its values; give it a line of its own, "
            "without dashes"
        )
    return [f"--{key}", *values] if values or key != "env_option" else []


def _scalar(node: yaml.Node, path: Path) -> str:
    """Return a word or number as it is written."""
    from yaml import ScalarNode

    if not isinstance(node, ScalarNode):
        raise UserError(
            f"{path}:{node.start_mark.line + 1}: a value is neither a word nor a number; {_SUCH_AS}, or a list of "
            "them such as quantiles: [1, 0.5]"
        )
    return str(node.value)


def file_of(settings: Settings, stages: Sequence[str]) -> str:
    """Return the YAML file for `--config` that repeats a run, with every setting that is in force."""
    import yaml

    environment, layout = settings.environment, settings.layout
    values: dict[str, Any] = {
        "env_name": environment.address or environment.name,
        "dataset_name": layout.dataset,
        "do": list(stages),
        "seed_min": settings.seeds.start,
        "seed_nb": len(settings.seeds),
        "path": layout.path,
        "format": layout.figure_format,
    }
    values |= {"data": None if layout.file is None else str(layout.file), "true_reward": layout.true_reward}
    values["reward"] = layout.reward
    if layout.log.resolve() != log_directory().resolve():
        values["log_dir"] = str(layout.log)
    for flag, setting in settings_in(settings).items():
        # A file may not name a scheduler.
        if flag not in ("env_name", "scheduler", *_NOT_IN_FILES):
            values[flag] = getattr(settings, setting.name)
    values |= {"algorithm": settings.algorithm, "acting": settings.acting}
    values["optimiser_steps"] = settings.optimiser_steps or None
    options = {name: value for name, value in settings.options.items() if isinstance(value, (bool, int, float, str))}
    values["env_option"] = options or None
    values |= asdict(settings.selecting)
    values |= {flag_of(name): value for name, value in asdict(settings.training).items()}
    said = {flag: list(value) if isinstance(value, tuple) else value for flag, value in values.items()}
    said = {flag: value for flag, value in said.items() if value is not None}
    text = yaml.safe_dump(said, sort_keys=False, default_flow_style=None, allow_unicode=True, width=2**16)
    if not runs_code(environment.address):
        return text
    again = shlex.join(["--config", "FILE", "--env_name", environment.address])
    return f"# --env_name runs code, so it must be given on the command line: {again}\n{text}"
