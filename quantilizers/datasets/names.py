"""The names that recordings give to observations, actions, rewards and ends."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

#: Names of each field, the first ones first; upper and lower case are alike.
NAMES: dict[str, tuple[str, ...]] = {
    "observations": ("observations", "obs", "observation", "obs_B_T_Do", "o", "states", "state", "s"),
    "actions": ("actions", "acts", "acs", "action", "act", "a_B_T_Da", "a"),
    "next_observations": ("next_observations", "next_obs", "next_observation", "new_obs", "next_states", "next_state"),
    "episode": (
        "episode", "episode_id", "episode_index", "episode_idx", "episode_number", "ep", "trajectory", "trajectory_id",
        "traj", "traj_id", "rollout",
    ),
    "step": ("step", "t", "timestep", "time_step", "step_id", "step_index", "frame_index", "time"),
    "starts": ("episode_starts", "is_first", "starts"),
    "lengths": ("lengths", "len_B", "episode_lengths", "ep_lengths", "ep_lens", "traj_lengths", "length"),
    "terminated": ("terminals", "terminated", "terminations", "terminal", "is_terminal"),
    "truncated": ("timeouts", "truncated", "truncations", "timeout"),
    "done": ("dones", "done", "episode_terminals", "ends", "end", "is_last", "next.done", "last"),
    "mask": ("mask", "masks", "valid"),
    "returns": ("episode_returns", "ep_rets", "ep_returns"),
    "seed": ("seed", "seeds", "reset_seed"),
    "player": ("player", "players", "player_id", "user", "user_id", "subject", "subject_id"),
    "group": ("group", "group_id"),
}  # fmt: skip


def field_of(names: Iterable[str], role: str) -> str | None:
    """Return the field with a role; None if there is none."""
    by_lower_case = {name.casefold(): name for name in reversed(list(names))}
    return next((by_lower_case[name.casefold()] for name in NAMES[role] if name.casefold() in by_lower_case), None)


def fields_of(names: Sequence[str], role: str) -> list[str]:
    """Return the field with a role, or the fields of the group that has it, such as `obs/position` and `obs/speed`."""
    by_lower_case = {name.casefold(): name for name in reversed(names)}
    for name in map(str.casefold, NAMES[role]):
        if name in by_lower_case:
            return [by_lower_case[name]]
        # Gymnasium sorts the fields of a Dict.
        members = sorted(one for one in names if one.casefold().startswith((f"{name}/", f"{name}.")))
        if members and len(name) > 1:
            return members
    # Columns stand as their author has put them.
    prefixes = tuple(f"{name}_".casefold() for name in NAMES[role] if len(name) > 1)
    return [one for one in names if one.casefold().startswith(prefixes)]
