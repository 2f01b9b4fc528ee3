"""Finding a data set by its name."""

from __future__ import annotations

from quantilizers.demonstrations import Demonstrations, load_demonstrations
from quantilizers.envs.definition import EnvironmentDefinition
from quantilizers.errors import UserError
from quantilizers.files import Layout


def load_dataset(layout: Layout, environment: EnvironmentDefinition) -> Demonstrations:
    """Read the data set that a layout names.

    Raises:
        UserError: there is none of that name (the message lists those there are), or it is no data set.
    """
    if not layout.data.exists():
        present = sorted(path.stem for path in layout.data.parent.glob("*.npz") if not path.name.startswith("."))
        raise UserError(
            f"no data set {layout.dataset!r} for {environment.name} ({layout.data}); "
            f"there {'are' if len(present) != 1 else 'is'}: {', '.join(present) or 'none'}; "
            f"record one with play/gather_data.py --env_id {environment.name} or fetch people's play with "
            "scripts/load_data.sh"
        )
    return load_demonstrations(layout.data, environment)
