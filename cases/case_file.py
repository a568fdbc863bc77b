"""Cases by users: one Python file, or one TOML on a case that is there, anywhere on disk."""

from __future__ import annotations

import hashlib
import inspect
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

from cases.case import Case
from cases.case_file_errors import located
from cases.errors import InputError
from cases.options import CaseOptions, read_run_config
from cases.registry import get_case

SUFFIXES = (".py", ".toml")
_REMEDY = "see docs/tutorial.md"
_TEXTS = ("name", "summary", "title", "description")


@dataclass(frozen=True)
class FoundCase:
    """A case, and what the file it was asked for by says of the run.

    Attributes
    ----------
    case
        The case.
    config
        ``mover``, ``seed`` and ``options`` of a TOML; empty for a name or a Python file.
    folder
        Folder of the TOML, to which paths in it are relative.
    """

    case: Case
    config: Mapping[str, Any] = field(default_factory=dict)
    folder: Path = Path()


def find_case(reference: str) -> FoundCase:
    """Return the case of a name in the registry or of a file.

    A Python file is executed, once per process and content, with its folder first in ``sys.path`` meanwhile. It defines
    one concrete subclass of :class:`cases.case.Case`, or says which by ``CASE = ...``. A TOML holds ``case``, a name or
    the path of a Python file, and what a run's ``config.toml`` has; such a file is one, too.

    Parameters
    ----------
    reference
        Name of a case, or a path: with a slash, or with one of :data:`SUFFIXES`.

    Raises
    ------
    ValueError
        With one line: for an unknown name, and for a file that is absent, cannot be executed (with file, line and
        function) or has no case or more than one.
    """
    path = Path(reference).expanduser()
    if path.suffix not in SUFFIXES and "/" not in reference:
        return FoundCase(get_case(reference))
    if not path.is_file():
        raise InputError(f"case: got no file {reference}, expected a case file .py or .toml; check the path")
    if path.suffix not in SUFFIXES:
        raise InputError(f"case: got {reference}, expected a case file .py or .toml; give it one of these suffixes")
    path = path.resolve()
    return FoundCase(load_case(path)) if path.suffix == ".py" else _from_toml(path)


def find_case_on_all_ranks(reference: str, comm) -> FoundCase:
    """Return what :func:`find_case` returns, or raise its error on all ranks; collective."""
    found, error = None, None
    try:
        found = find_case(reference)
    except ValueError as caught:
        error = " ".join(str(caught).split())
    errors = [said for said in comm.allgather(error) if said is not None]
    if errors:
        raise InputError(errors[0])
    assert found is not None, "without an error there is a case"
    return found


def _from_toml(path: Path) -> FoundCase:
    config = read_run_config(path)
    source = config.get("case_file", config.get("case"))
    if not isinstance(source, str):
        raise InputError(
            f'case file: got no case in {path}, expected a line such as case = "swirl"; `driftmesh cases` lists them'
        )
    if Path(source).suffix == ".toml":
        raise InputError(f"case file: got case = {source!r} in {path}, expected a name or a Python file; give that")
    if Path(source).suffix == ".py":
        source = str(path.parent / Path(source).expanduser())
    found = find_case(source)
    return FoundCase(
        found.case, {key: config[key] for key in ("mover", "seed", "options") if key in config}, path.parent
    )


def load_case(path: Path) -> Case:
    """Execute a Python file and return the case in it; see :func:`find_case`."""
    module = _execute(path)
    chosen = vars(module).get("CASE")
    if chosen is None:
        own = [
            value for value in vars(module).values() if _is_case_class(value) and value.__module__ == module.__name__
        ]
        if len(own) != 1:
            names = ", ".join(cls.__name__ for cls in own) or "none"
            raise InputError(
                f"case file: got {len(own)} cases ({names}) in {path}, expected one subclass of Case with all its "
                f"methods; say which by CASE = ...; {_REMEDY}"
            )
        chosen = own[0]
    if not (isinstance(chosen, Case) or _is_case_class(chosen)):
        raise InputError(f"case file: got CASE = {chosen!r} in {path}, expected a case or a class of one; {_REMEDY}")
    with located(path):
        case: Case = chosen() if isinstance(chosen, type) else chosen
    _check(case, path)
    case.file = path
    return case


def _execute(path: Path) -> ModuleType:
    try:
        source = path.read_bytes()
    except OSError as error:
        raise InputError(f"case file: got {path}, expected a readable file; {error.strerror}") from None
    # Another name for another content: a file that has been changed is another module.
    digest = hashlib.sha256(str(path).encode() + b"\0" + source).hexdigest()[:16]
    name = f"driftmesh_case_{digest}"
    if name in sys.modules:
        return sys.modules[name]
    module = ModuleType(name)
    module.__file__ = str(path)
    # Where pickles and dataclasses look for it.
    sys.modules[name] = module
    folder = str(path.parent)
    sys.path.insert(0, folder)
    try:
        with located(path):
            exec(compile(source, str(path), "exec", dont_inherit=True), vars(module))
    except InputError:
        del sys.modules[name]
        raise
    finally:
        sys.path.remove(folder)
    return module


def _is_case_class(value: Any) -> bool:
    return inspect.isclass(value) and issubclass(value, Case) and not inspect.isabstract(value)


def _check(case: Case, path: Path) -> None:
    where = f"{type(case).__name__} in {path}"
    missing = [name for name in _TEXTS if not isinstance(getattr(case, name, None), str)]
    if not _is_options_class(getattr(case, "Options", None)):
        missing.append("Options (a subclass of CaseOptions)")
    if missing:
        raise InputError(
            f"case file: got {where} without {missing[0]}, expected texts {', '.join(_TEXTS)} and a class Options; "
            f"{_REMEDY}"
        )
    if not re.fullmatch(r"\w[\w.-]*", case.name):
        raise InputError(f"case file: got name {case.name!r} of {where}, expected letters, digits, '-', '_' and '.'")


def _is_options_class(value: Any) -> bool:
    return inspect.isclass(value) and issubclass(value, CaseOptions)
