"""What playing actions as often as they were seen would score: what a policy must beat to have learned from pictures.

Actions are predicted without looking at the observation: by how often each was played over all steps learned from, or
over those of the player whose step it is, whom a policy is not told.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True)
class MarginalScore:
    """How well held-out actions are predicted without observations.

    Attributes:
        loss: mean cross-entropy in nats, of an action's components together.
        accuracy: share of the components whose most frequent class was played.
    """

    loss: float
    accuracy: float


def marginal_score(
    learned: IntArray, held_out: IntArray, numbers: tuple[int, ...], groups: tuple[IntArray, IntArray] | None = None
) -> MarginalScore:
    """Predict held-out actions by how often each was played in what was learned from.

    Each class counts as played once more than it was, so that none is impossible.

    Args:
        learned: class indices (n, A).
        held_out: class indices (m, A).
        numbers: of classes, for each of the A components.
        groups: who played each step of both, (n,) and (m,), whole numbers; each is predicted by their own. Who is not
            among those learned from is predicted as if every class were equally frequent.
    """
    of_learned, of_held_out = groups or (np.zeros(len(learned), np.int64), np.zeros(len(held_out), np.int64))
    groups_in_all = int(max(of_learned.max(initial=0), of_held_out.max(initial=0))) + 1
    losses, rights = [], []
    for component, number in enumerate(numbers):
        counts = np.ones((groups_in_all, number))
        np.add.at(counts, (of_learned, learned[:, component]), 1.0)
        shares = counts / counts.sum(axis=1, keepdims=True)
        losses.append(-np.log(shares[of_held_out, held_out[:, component]]).mean())
        rights.append((shares.argmax(axis=1)[of_held_out] == held_out[:, component]).mean())
    return MarginalScore(float(np.sum(losses)), float(np.mean(rights)))
