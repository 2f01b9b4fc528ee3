#!/usr/bin/env python3
"""Quantilizers: train, test and plot agents that imitate the best fraction of demonstrations.

python quantilizer.py --do train test plot --env_name MountainCar-v0 --quantiles 1.0 0.5 0.25 0.1 0.01
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence

try:
    from quantilizers.commands.command_line import file_of, parse, settings_of, unread
    from quantilizers.errors import UserError
    from quantilizers.process import display_is_named
    from quantilizers.programs import call_of, run_program
    from quantilizers.stages.running import DEFAULT_STAGES, PROGRAM, do_stages, stages_named
except KeyboardInterrupt:  # imports take a while, in which Ctrl-C is no error either
    print("quantilizer.py: interrupted", file=sys.stderr)
    sys.exit(130)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line, by default the process's own.

    Returns:
        The exit code: 0, 2 if the user asked for something impossible, 130 if interrupted.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    if words[:1] == ["scores"]:
        try:
            from quantilizers.commands import scores  # it needs none of the rest
        except KeyboardInterrupt:
            print(f"{PROGRAM}: interrupted", file=sys.stderr)
            return 130
        return scores.main(words[1:], at_once=arguments is None)

    def again() -> str:
        return shlex.join([*call_of("python quantilizer.py", "quantilizer").split(), *words])

    return run_program(PROGRAM, lambda: _run(words), again, at_once=arguments is None)


def _run(words: list[str]) -> None:
    """Parse the command line, and run its stages. `--force` is removed from the words once old results are deleted."""
    given = parse(words)
    stages = stages_named(given.get("do", DEFAULT_STAGES))
    settings = settings_of(given, words)
    if "print_config" in given:
        print(file_of(settings, stages), end="")
        return
    if settings.render and "test" in stages and not display_is_named():
        raise UserError("--render True needs a display, and DISPLAY is not set; leave --render out here")
    do_stages(settings, stages, words, unread(words, stages))


if __name__ == "__main__":
    sys.exit(main())
