"""What a recording from anywhere is, and its arrays by name: npz, HDF5, tables, and folders of the `datasets` library.

A file that is recognised and cannot be read is refused with what it is and what to do.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from quantilizers.arrays import check_memory, load_arrays, types_in
from quantilizers.datasets.columns import flat_columns, folded_columns, is_list, nested, plain
from quantilizers.datasets.names import field_of
from quantilizers.errors import MissingError, UserError, reason_of, shown
from quantilizers.gates.hdf5 import open_hdf5
from quantilizers.gates.json_files import read_json
from quantilizers.gates.regular_files import open_regular
from quantilizers.gates.zips import all_members, open_zip
from quantilizers.table_files import FORMATS, frame_of, numbers_of, polars, suffix_of

if TYPE_CHECKING:
    import polars as pl

Array = npt.NDArray[Any]
#: The first line of a trial of Atari-HEAD.
ATARI_HEAD = b"frame_id,episode_id,score,duration(ms),unclipped_reward,action,gaze_positions"
_ATARI_GRAND_CHALLENGE = b"frame,reward,score,terminal,action"


@dataclass(frozen=True, eq=False)
class Contents:
    """The arrays of a recording, which are read when they are asked for.

    Attributes:
        path: the file or folder.
        container: `npz`, `HDF5`, `table` or `text`.
        types: shape and type of each array of numbers or text by name; in HDF5 a name is a path with `/`. The length
            of lists in a table is -1 until they are read.
        unread: names of what is no such array, and what each is.
        attributes: of the groups of an HDF5 file.
        lists: the columns of a table that hold lists of numbers or of text.
        read: returns the array of a name.
    """

    path: Path
    container: str
    types: Mapping[str, tuple[tuple[int, ...], np.dtype[Any]]]
    read: Callable[[str], Array]
    unread: Mapping[str, str] = field(default_factory=dict)
    attributes: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    lists: Mapping[str, pl.Series] = field(default_factory=dict)

    def described(self) -> str:
        """Return the names and shapes of the arrays, for messages."""
        of = {
            name: str(shape) if self.container in ("npz", "HDF5") else "" for name, (shape, _) in self.types.items()
        } | {name: f" ({what})" for name, what in self.unread.items()}
        names = [f"{shown(name)}{kind}" for name, kind in list(of.items())[:12]]
        return ", ".join(names) + (f" and {len(of) - 12} more" if len(of) > 12 else "") if of else "nothing"


#: Beginnings of files that are recognised and not read: what each is, and what to do.
_BEGINNINGS: tuple[tuple[bytes, str], ...] = (
    (
        b"version https://git-lfs.github.com/spec/",
        "a Git LFS pointer, which stands for the data: fetch them with git lfs pull, or download the file itself",
    ),
    (b"/annex/objects/", "a pointer of git-annex, which stands for the data: fetch them with git annex get"),
    (b"\x28\xb5\x2f\xfd", "compressed with Zstandard; unpack it with unzstd"),
    (b"Rar!", "an archive of RAR; unpack it"),
    (b"7z\xbc\xaf", "an archive of 7-Zip; unpack it"),
    (b"SQLite format 3\x00", "a database of SQLite; export the table of steps as CSV"),
    (b"MATLAB ", "a file of MATLAB; read it with scipy.io.loadmat, and save its arrays with numpy.savez"),
    (b"%PDF", "a PDF"),
    (b"\x89PNG", "a picture; give the folder of the recording"),
    (b"\xff\xd8\xff", "a picture; give the folder of the recording"),
)
_COMPRESSED = (
    (b"\x1f\x8b", "gzip", "gunzip", "z"),
    (b"BZh", "bzip2", "bunzip2", "j"),
    (b"\xfd7zXZ\x00", "xz", "unxz", "J"),
)
_PICKLE = "a pickle, which can run any code and is never read; load it where you trust it, and save {how}"
#: What is to be saved instead of what cannot be read.
AS_ARRAYS = "plain arrays with numpy.savez, or episodes with quantilizers.Episodes.from_flat(…).save(…)"
#: Names in zips that are no npz files: what the zip is, and what to do.
_ZIPS: tuple[tuple[str, str], ...] = (
    (r"(^|/)data\.pkl$", "a file of PyTorch, which contains a pickle and is never read; save {how}"),
    (r"^\[Content_Types\]\.xml$", "a document of an office program; save the table as CSV"),
    (r"^policy(\.optimizer)?\.pth$", "a trained agent of Stable-Baselines3, no recording"),
    (r"^model\.weights\.h5$", "a Keras model, no recording"),
    (r"(^|/)\.zarray$", "a zip of Zarr; save {how}"),
    (r"\.npz$", "a zip of npz files; unpack it and give one of them"),
)
#: Protocols 0 and 1 of pickle begin with one of these opcodes and end with a stop.
_OLD_PICKLE = re.compile(rb"^(\(lp|\(dp|ccopy_reg|cnumpy|c__builtin__|\]q|\}q|\(i)")


def contents_of(path: Path, opened: ExitStack) -> Contents:
    """Return what is in a file or folder.

    Args:
        path: the file or folder.
        opened: files that stay open while arrays are read.

    Raises:
        MissingError: it does not exist.
        UnreadableError: this user may not read it.
        NotInstalledError: the library that reads it is not installed.
        UserError: it is damaged, or recognised as something that cannot be read.
    """
    if path.is_dir():
        return _folder(path, opened)
    begin = beginning_of(path)
    if begin.startswith(b"PK"):
        return _npz(path)
    if begin.startswith(b"\x89HDF\r\n\x1a\n"):
        return _hdf5(path, opened)
    if begin.startswith(ATARI_HEAD):
        return Contents(path, "text", {}, lambda name: load_arrays(path, (name,))[name])
    if begin.startswith((b"PAR1", b"ARROW1", b"\xff\xff\xff\xff")):
        return _table(path, [path])
    refuse_known(path, begin)
    if path.suffix == ".npz":
        raise UserError(f"{path} is no readable npz file (File is not a zip file); fetch or record it again")
    if suffix_of(path) in FORMATS or begin.lstrip().startswith(b"{") or _is_delimited(begin):
        return _table(path, [path])
    if begin.lstrip().startswith(b"["):
        raise UserError(f"{path} is a JSON array; JSONL has one object a line, which jq -c '.[]' writes")
    raise UserError(
        f"{path} is in no format that is known here; recordings are npz, HDF5, Parquet, CSV or JSONL. From Python, "
        "quantilizers.Episodes.from_flat(…).save(…) writes one"
    )


def _is_delimited(begin: bytes) -> bool:
    """Return whether a file begins with a line of names separated by commas or tabs."""
    line = begin.partition(b"\n")[0]
    return (b"," in line or b"\t" in line) and all(letter >= 32 or letter in b"\t\r" for letter in line)


def beginning_of(path: Path, size: int = 1024) -> bytes:
    """Return the first bytes of a file.

    Raises:
        MissingError: it does not exist.
        UnreadableError: this user may not read it.
        UserError: it is empty or no regular file.
    """
    with open_regular(path) as file:
        try:
            begin = file.read(size)
        except OSError as error:
            raise UserError(f"{path} cannot be read ({error.strerror})") from None
    if not begin:
        raise UserError(f"{path} is empty")
    return begin


def refuse_known(path: Path, begin: bytes) -> None:
    """Refuse a file that is recognised by how it begins, with what it is and what to do."""
    for mark, what in _BEGINNINGS:
        if begin.startswith(mark):
            raise UserError(f"{path} is {what}")
    if (begin[:1] == b"\x80" and begin[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05")) or _OLD_PICKLE.match(begin):
        raise UserError(f"{path} is {_PICKLE.format(how=AS_ARRAYS)}")
    if any(line.strip() == _ATARI_GRAND_CHALLENGE for line in begin.split(b"\n")[:3]):
        raise UserError(
            f"{path} is a trajectory of the Atari Grand Challenge, which needs its pictures; give the folder that has "
            "trajectories/ and screens/, as docs/formats.md says"
        )
    for mark, name, tool, letter in _COMPRESSED:
        if begin.startswith(mark) and suffix_of(path) not in FORMATS:  # compressed tables are read
            raise UserError(f"{path} is compressed with {name}; unpack it with {tool} or tar -x{letter}f")
    if begin[257:262] == b"ustar":
        raise UserError(f"{path} is an archive of tar; unpack it with tar -xf")
    if _is_web_page(begin):
        raise UserError(
            f"{path} is a web page instead of the data: the link has moved or wants a login; fetch it again"
        )
    if path.suffix in (".tfrecord", ".array_record") or ".tfrecord" in path.name:
        raise UserError(f"{path} is in the format of TensorFlow Datasets (RLDS); read it there, and save {AS_ARRAYS}")


def _is_web_page(begin: bytes) -> bool:
    return begin.lstrip()[:15].lower().startswith((b"<!doctype", b"<html", b"<?xml", b"<head"))


def _npz(path: Path) -> Contents:
    try:
        with open_regular(path) as file, open_zip(file) as archive:
            names = [entry.filename for entry in all_members(archive)]
    except UserError:
        raise
    except Exception as error:  # the reader of zips raises many kinds
        raise UserError(f"{path} is no readable npz file ({reason_of(error)}); fetch or record it again") from None
    if not any(name.endswith(".npy") for name in names):
        for pattern, what in _ZIPS:
            if any(re.search(pattern, name) for name in names):
                raise UserError(f"{path} is {what.format(how=AS_ARRAYS)}")
        raise UserError(
            f"{path} is a zip without arrays, not an npz file; unpack it and give the file of the recording"
        )
    types = types_in(path)
    unread = {name: "pickled objects" for name, (_, kind) in types.items() if kind.hasobject}
    plain = {name: one for name, one in types.items() if name not in unread}
    return Contents(path, "npz", plain, lambda name: load_arrays(path, (), only=(name,))[name], unread)


def _hdf5(path: Path, opened: ExitStack) -> Contents:
    with _hdf5_errors(path):
        file = opened.enter_context(open_regular(path))
        arrays = opened.enter_context(open_hdf5(file, packed=True))
        types: dict[str, tuple[tuple[int, ...], np.dtype[Any]]] = {}
        unread: dict[str, str] = {}
        for name in arrays:
            try:
                types[name] = arrays.shape(name), arrays.dtype(name)
            except ValueError as error:
                unread[name] = reason_of(error)
        attributes = {name: arrays.attributes(name or "/") for name in ("", *arrays.groups)}

    def read(name: str) -> Array:
        shape, kind = types[name]
        check_memory(math.prod(shape) * kind.itemsize)
        with _hdf5_errors(path):
            array = arrays[name]
        return np.char.decode(array, "utf-8", "replace") if array.dtype.kind == "S" else array

    return Contents(path, "HDF5", types, read, unread, attributes)


@contextmanager
def _hdf5_errors(path: Path) -> Iterator[None]:
    """Refuse a damaged file by name; h5py raises many kinds of errors."""
    try:
        yield
    except (UserError, MemoryError):
        raise
    except Exception as error:
        raise UserError(f"{path} cannot be read as HDF5: {reason_of(error)}") from None


def _folder(path: Path, opened: ExitStack) -> Contents:
    """Return the contents of a folder that the `datasets` library saved, or of Parquet files as its hub has them."""
    if (path / "dataset_dict.json").is_file():
        splits = sorted(one.name for one in path.iterdir() if (one / "dataset_info.json").is_file())
        if len(splits) != 1:
            raise UserError(f"{path} has the splits {', '.join(splits)}; give the folder of one of them")
        return _folder(path / splits[0], opened)
    if (path / "state.json").is_file() or (path / "dataset_info.json").is_file():
        return _table(path, _arrow_files(path))
    for minari in (path / "data" / "main_data.hdf5", path / "main_data.hdf5"):
        if minari.is_file():
            return _hdf5(minari, opened)
    if (path / "data" / "metadata.json").is_file():
        raise UserError(
            f"{path} is a data set of Minari without HDF5; python -m quantilizers.commands.minari import brings it in"
        )
    for pattern in ("*.parquet", "data/*.parquet", "data/*/*.parquet"):
        tables = sorted(path.glob(pattern))
        if tables:
            splits = sorted({re.split(r"-\d+-of-", one.stem)[0] for one in tables if "-of-" in one.name})
            if len(splits) > 1:
                raise UserError(f"{path} has the splits {', '.join(splits)}; give one Parquet file")
            return _table(path, tables)
    if (path / ".zarray").is_file() or (path / ".zgroup").is_file() or (path / "zarr.json").is_file():
        raise UserError(f"{path} is a folder of Zarr; read it there, and save {AS_ARRAYS}")
    if next(path.glob("*.tfrecord*"), None) is not None:
        raise UserError(f"{path} is in the format of TensorFlow Datasets (RLDS); read it there, and save {AS_ARRAYS}")
    tables = [one for one in path.iterdir() if suffix_of(one) in FORMATS and not one.name.startswith(".")]
    if tables and len({suffix_of(one) for one in tables}) == 1:
        return _table(path, sorted(tables, key=_by_numbers), each_is_episode=True)
    inside = sorted(one.name for one in path.iterdir() if not one.name.startswith("."))
    known = [name for name in inside if Path(name).suffix in (".npz", ".hdf5", ".h5", *FORMATS, ".feather", ".json")]
    hint = f"give one of its files: {', '.join(known[:8])}" if known else f"it has {', '.join(inside[:8]) or 'nothing'}"
    raise UserError(f"{path} is a folder in no layout that is known here; {hint}")


def _by_numbers(path: Path) -> list[Any]:
    """Return a key that sorts names as people do: 2 before 10."""
    return [int(part) if part.isdecimal() else part for part in re.split(r"(\d+)", path.name)]


def _arrow_files(path: Path) -> list[Path]:
    """Return the files of a saved data set in the order that it notes."""
    try:
        noted = [one["filename"] for one in read_json(path / "state.json")["_data_files"]]
    except (MissingError, ValueError, KeyError, TypeError):
        noted = []
    files = [path / Path(str(name)).name for name in noted] or sorted(path.glob("*.arrow"))
    missing = [one.name for one in files if not one.is_file()]
    if missing or not files:
        raise UserError(f"{path} lacks {', '.join(missing) or 'its .arrow files'}; fetch the folder again")
    return files


def _table(path: Path, files: Sequence[Path], *, each_is_episode: bool = False) -> Contents:
    """Return the columns of tables; those called `o0`, `o1`, … become one array `o`."""
    frames = [frame_of(str(one)) for one in files]
    library = polars()
    if each_is_episode and all(field_of(frame.columns, "episode") is None for frame in frames):
        # Their order, because names may be numbers of any length.
        frames = [frame.with_columns(library.lit(number).alias("episode")) for number, frame in enumerate(frames)]
    try:
        frame = frames[0] if len(frames) == 1 else library.concat(frames)
    except library.exceptions.PolarsError as error:
        raise UserError(f"{path}: its files do not have the same columns ({reason_of(error)})") from None
    if not len(frame):
        raise UserError(f"{path} has no rows")
    if len(frame.columns) == 1 and ";" in frame.columns[0]:
        raise UserError(f"{path}: its columns are separated by semicolons; separate them by commas")
    check_memory(int(frame.estimated_size()))
    single = dict(flat_columns(frame))
    columns = folded_columns(single)
    lists = {name: parts[0] for name, parts in columns.items() if is_list(parts[0])}
    rows = np.arange(len(frame))

    def read(name: str) -> Array:
        parts = columns[name]
        if name not in single:
            return np.stack([numbers_of(str(path), part, rows) for part in parts], axis=1)
        return nested(path, name, parts[0], 0)[0] if name in lists else plain(path, parts[0], rows)

    types = {
        name: ((len(frame), *([-1] if name in lists else [] if name in single else [len(parts)])), _kind_of(parts[0]))
        for name, parts in columns.items()
    }
    return Contents(path, "table", types, read, lists=lists)


def _kind_of(series: pl.Series) -> np.dtype[Any]:
    """Return the type of a column; in CSV, that of its first cell."""
    if series.dtype != polars().String:
        is_number = series.dtype.is_numeric() or series.dtype in (polars().Boolean, polars().Null) or is_list(series)
        return np.dtype(np.float64 if is_number else object)
    first = str(next(iter(series.drop_nulls().head(1)), "nan")).strip().lower()
    try:
        float({"true": "1", "false": "0", "": "nan"}.get(first, first))
    except ValueError:
        return np.dtype(np.str_)
    return np.dtype(np.float64)
