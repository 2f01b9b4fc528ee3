"""The demonstrations of a run, and what to do where they are missing."""

from __future__ import annotations

from quantilizers.datasets.checking import WrongEnvironmentError
from quantilizers.datasets.demonstrations import Demonstrations
from quantilizers.errors import MissingError
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
