"""The demonstrations of a run, what to do where they are missing, and the horizon that they give."""

from __future__ import annotations

from quantilizers.datasets.checking import WrongEnvironmentError
from quantilizers.datasets.demonstrations import Demonstrations
from quantilizers.datasets.finding import find_episodes
from quantilizers.envs.definition import EnvironmentDefinition
from quantilizers.errors import MissingError, UserError
from quantilizers.layout import Layout
from quantilizers.programs import call_of
from quantilizers.stages.settings import Settings


def find_demonstrations(settings: Settings) -> Demonstrations:
    """Read the data set that the settings name.

    Raises:
        UserError: there is none of that name, or it cannot be read; the message says what to do.
    """
    try:
        return Demonstrations.find(settings.layout, settings.environment)
    except WrongEnvironmentError as error:
        raise WrongEnvironmentError(f"{error}; --env_name and --dataset_name must go together") from None
    except MissingError as error:
        record = call_of("python play/gather_data.py", "quantilizer-record")
        fetch = call_of("sh scripts/load_data.sh", "quantilizer-data")
        raise MissingError(f"{error}; record one with {record}, or fetch people's play with {fetch}") from None


def default_max_steps(environment: EnvironmentDefinition, layout: Layout) -> int:
    """Return after how many steps episodes are cut unless the user says otherwise.

    Args:
        environment: where the agents act.
        layout: names the demonstrations.

    Returns:
        The environment's own number, or the length of the longest demonstration where the environment asks for that.
        Demonstrations that cannot be read give the environment's own: whoever needs them says what is wrong.
    """
    if not environment.experiment.cut_as_demonstrations:
        return environment.max_steps
    try:
        return int(find_episodes(layout, environment).lengths.max())
    except UserError:
        return environment.max_steps
