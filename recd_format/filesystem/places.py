"""Paths and URIs to (file system, path), and the files of a folder or glob."""

from __future__ import annotations

import fnmatch
import glob as local_glob
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.fs as pafs

from recd_format.errors import RecdInputError

__all__ = ["Place", "is_path", "list_files", "resolve"]

# Two letters at least: a Windows drive is no scheme.
_URI = re.compile(r"^[A-Za-z][A-Za-z0-9+.\-]+://")
_MAGIC = re.compile(r"[*?\[]")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a file is.

    Attributes
    ----------
    path : str
        Path in the file system.
    filesystem : pyarrow.fs.FileSystem or None
        None for the local one.
    name : str
        Path or URI as the caller wrote it, for messages.
    """

    path: str
    filesystem: Any = None
    name: str = ""

    def __str__(self) -> str:
        return self.name or self.path


def is_path(value: object) -> bool:
    """True for what `resolve` takes."""
    return isinstance(value, (str, os.PathLike, Place))


def resolve(where: str | os.PathLike[str] | Place, filesystem: Any = None) -> Place:
    """Return the place of a path or URI.

    Parameters
    ----------
    where
        A local path, ``file://``, ``s3://``, ``gs://`` or any URI that fsspec knows.
    filesystem : pyarrow.fs.FileSystem or fsspec.AbstractFileSystem, optional
        Where `where` is a path in; None: by the URI, or local.

    Raises
    ------
    RecdInputError
        Where no file system is known for the URI.
    """
    if isinstance(where, Place):
        return where
    path = os.fspath(where)
    if filesystem is not None:
        adapted = _adapted(filesystem)
        if _URI.match(path) and isinstance(adapted, pafs.PyFileSystem):
            path = _stripped(adapted, path)
        return Place(path, adapted, path)
    if not _URI.match(path):
        return Place(path, None, path)
    return _from_uri(path)


def _adapted(filesystem: Any) -> Any:
    """Return `filesystem` as one of pyarrow's; None for the local one."""
    if isinstance(filesystem, pafs.LocalFileSystem):
        return None
    if isinstance(filesystem, pafs.FileSystem):
        return filesystem
    if hasattr(filesystem, "cat_ranges") and hasattr(filesystem, "protocol"):
        return pafs.PyFileSystem(pafs.FSSpecHandler(filesystem))
    raise RecdInputError(
        "filesystem must be a pyarrow.fs.FileSystem or an fsspec file system, found "
        f"{type(filesystem).__name__}"
    )


def _stripped(filesystem: Any, path: str) -> str:
    handler = filesystem.handler
    if isinstance(handler, pafs.FSSpecHandler):
        return str(handler.fs._strip_protocol(path))
    return path


def _from_uri(uri: str) -> Place:
    # A glob is no URI that Arrow parses: resolve what stands before it.
    found = _MAGIC.search(uri)
    cut = uri.rfind("/", 0, found.start()) + 1 if found else len(uri)
    base, rest = uri[:cut], uri[cut:]
    try:
        filesystem, path = pafs.FileSystem.from_uri(base)
    except (pa.ArrowException, OSError, ValueError) as error:
        return _from_fsspec(uri, error)
    if rest:
        path = f"{path.rstrip('/')}/{rest}"
    return Place(path, _adapted(filesystem), uri)


def _from_fsspec(uri: str, reason: Exception) -> Place:
    try:
        import fsspec
    except ImportError as error:
        raise RecdInputError(
            f"{uri}: Arrow knows no such file system ({reason}); install fsspec, which may"
        ) from error
    try:
        filesystem, path = fsspec.core.url_to_fs(uri)
    except (ImportError, ValueError, OSError) as error:
        raise RecdInputError(f"{uri}: cannot open its file system: {error}") from error
    return Place(str(path), _adapted(filesystem), uri)


def list_files(
    where: str | os.PathLike[str] | Place | Iterable[str | os.PathLike[str] | Place],
    *,
    suffix: str = ".recd",
    filesystem: Any = None,
) -> tuple[Place, ...]:
    """Return the files that paths, folders and globs name.

    A path without wildcards stands for itself, whether it exists or not; a folder for the files
    in it that end in `suffix`; a glob (``*``, ``?``, ``[…]``, ``**`` for any number of folders)
    for the files it matches. Folders and globs give sorted paths, and no hidden files: so no
    partials, which begin with a dot. In a list, the order of the list is kept.

    Raises
    ------
    RecdInputError
        Where a folder or glob gives no file.
    """
    if isinstance(where, (str, os.PathLike, Place)):
        return tuple(_expand(resolve(where, filesystem), suffix))
    places = [place for each in where for place in _expand(resolve(each, filesystem), suffix)]
    if not places:
        raise RecdInputError("the list of paths is empty")
    return tuple(places)


def _expand(place: Place, suffix: str) -> Sequence[Place]:
    if _MAGIC.search(place.path) and not _exists(place):
        found = _local_matches(place) if place.filesystem is None else _remote_matches(place)
        what = "no file matches"
    elif _is_folder(place):
        found = [path for path in _children(place) if path.endswith(suffix)]
        what = f"no file ending in {suffix} in the folder"
    else:
        return [place]
    visible = sorted(path for path in found if not _hidden(path, place.path))
    if not visible:
        raise RecdInputError(f"{place}: {what}")
    scheme = str(place)[: len(str(place)) - len(place.path)] if place.filesystem else ""
    return [Place(path, place.filesystem, scheme + path) for path in visible]


def _hidden(path: str, pattern: str) -> bool:
    """True where a part of `path` that the pattern did not spell out begins with a dot."""
    spelled = set(re.split(r"[\\/]", pattern))
    parts = re.split(r"[\\/]", path)
    return parts[-1].startswith(".") or any(
        part.startswith(".") and part not in spelled and part not in (".", "..") for part in parts
    )


def _exists(place: Place) -> bool:
    """True where a file has wildcard characters in its own name."""
    return place.filesystem is None and os.path.isfile(place.path)


def _local_matches(place: Place) -> list[str]:
    return [p for p in local_glob.glob(place.path, recursive=True) if os.path.isfile(p)]


def _remote_matches(place: Place) -> list[str]:
    found = _MAGIC.search(place.path)
    cut = place.path.rfind("/", 0, found.start() if found else None) + 1
    base, pattern = place.path[:cut].rstrip("/"), _pattern(place.path)
    # Below the base as deep as the pattern goes: one listing.
    deep = "/" in place.path[cut:]
    return [info for info in _listing(place, base, deep) if pattern.fullmatch(info)]


def _pattern(path: str) -> re.Pattern[str]:
    """Translate a glob: wildcards stay within one folder, ``**`` spans any number."""
    out = []
    for part in path.split("/"):
        if part == "**":
            out.append("(?:[^/]+/)*")
            continue
        # (?s:…)\Z or \z is what fnmatch wraps around; its `.` may not cross folders here.
        body = re.sub(r"\\[Zz]$", "", fnmatch.translate(part)).replace(".*", "[^/]*")
        out.append(body.replace("(?s:.)", "[^/]") + "/")
    return re.compile("".join(out)[:-1])


def _is_folder(place: Place) -> bool:
    if place.filesystem is None:
        return os.path.isdir(place.path)
    try:
        kind = place.filesystem.get_file_info(place.path).type
    except (OSError, pa.ArrowException) as error:
        raise RecdInputError(f"{place}: cannot be looked up: {error}") from error
    return bool(kind == pafs.FileType.Directory)


def _children(place: Place) -> list[str]:
    if place.filesystem is not None:
        return _listing(place, place.path, deep=False)
    try:
        names = os.listdir(place.path)
    except OSError as error:
        raise RecdInputError(f"{place}: cannot be listed: {error.strerror}") from error
    paths = [os.path.join(place.path, name) for name in names]
    return [path for path in paths if os.path.isfile(path)]


def _listing(place: Place, folder: str, deep: bool) -> list[str]:
    selector = pafs.FileSelector(folder, recursive=deep, allow_not_found=True)
    try:
        infos = place.filesystem.get_file_info(selector)
    except (OSError, pa.ArrowException) as error:
        raise RecdInputError(f"{place}: cannot be listed: {error}") from error
    return [info.path for info in infos if info.type == pafs.FileType.File]
