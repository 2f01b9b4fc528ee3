"""The stage `inspect`: what is in a data set, and what each quantile would keep of it."""

from __future__ import annotations

from quantilizers.datasets.summary import summarise
from quantilizers.figures.data_set import draw_data_set
from quantilizers.figures.style import save_figure
from quantilizers.figures.tables import summary_tables
from quantilizers.stages.run import Run


def check(run: Run) -> None:
    """Refuse demonstrations that cannot be read.

    Raises:
        UserError: they are missing or unusable.
    """
    _ = run.demonstrations


def run(run: Run) -> None:
    """Print tables of the data set and of what each quantile keeps, and draw its returns."""
    settings = run.settings
    environment, layout = settings.environment, settings.layout
    summary = summarise(run.demonstrations)
    title = f"{environment.name}, data set {layout.dataset}"
    print(summary_tables(title, summary, settings.quantiles))
    figure, numbers = draw_data_set(
        summary, settings.quantiles, title, environment.figures.true_label, environment.figures.proxy_label
    )
    path = layout.figure("inspect")
    save_figure(figure, path, settings.record(), numbers)
    print(f"drew {path}")
