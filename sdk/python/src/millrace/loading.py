# SPDX-License-Identifier: Apache-2.0
"""From a file of a pack to what can be called, as StackStorm finds it."""

from __future__ import annotations

import os
import sys
from importlib.machinery import ModuleSpec, SourceFileLoader

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType
    from typing import Any, Sequence


# A release never changes: of a warm process, by what was asked.
_paths: dict[tuple[str, ...], list[str]] = {}


def set_path(pack_path: str, folder: str, entry: str, base: Sequence[str]) -> None:
    """sys.path for a file below `folder` (actions, sensors) of a pack.

    Libraries of the pack stand before all others, the file's own folder after them: an action in
    `csv.py` does not hide the module of that name.
    """
    key = (pack_path, folder, entry, *base)
    path = _paths.get(key)
    if path is None:
        path = _paths[key] = _path_of(pack_path, folder, entry, base)
    sys.path[:] = path


def _path_of(pack_path: str, folder: str, entry: str, base: Sequence[str]) -> list[str]:
    libraries = (os.path.join(pack_path, "lib"), os.path.join(pack_path, folder, "lib"))
    path = [each for each in libraries if os.path.isdir(each)]
    path += base
    own = os.path.dirname(os.path.realpath(entry))
    if own not in path:
        path.append(own)
    return path


def load_file(path: str) -> ModuleType:
    """Runs a file as a module of its own name.

    It is found by that name afterwards (pickle asks for it), but not while it runs: it may import
    a module of the same name from elsewhere.
    """
    if not os.path.isfile(path):
        raise FileNotFoundError(f"the entry point '{path}' is not there")
    name = os.path.splitext(os.path.basename(path))[0]
    loader = SourceFileLoader(name, path)
    module = type(sys)(name)
    module.__file__ = path
    module.__loader__ = loader
    spec = ModuleSpec(name, loader, origin=path)
    spec.has_location = True
    module.__spec__ = spec
    loader.exec_module(module)
    sys.modules.setdefault(name, module)
    return module


def find_action_class(module: ModuleType) -> type | None:
    """The class of a file that has `run`: imported ones do not count, subclasses of Action come
    first, then the first by name."""
    base = getattr(sys.modules.get("st2common.runners.base_action"), "Action", None)
    found = []
    for name, value in vars(module).items():
        # By type(): proxies (flask's request) raise when isinstance asks them for their class.
        if not issubclass(type(value), type) or value.__module__ != module.__name__:
            continue
        run = getattr(value, "run", None)
        if not callable(run) or getattr(run, "__isabstractmethod__", False):
            continue
        found.append((not (base and issubclass(value, base)), name, value))
    return min(found)[2] if found else None


def make_action(action_class: Any, config: dict[str, Any], action_service: Any) -> Any:
    """An instance, by whatever constructor it has. The service is there in any case: many
    constructors take it and do not hand it on."""
    instance = None
    try:
        instance = action_class(config=config, action_service=action_service)
    except TypeError as error:
        if "unexpected keyword argument 'action_service'" not in str(error):
            raise
    if instance is None:
        # Not above: what it raises would be told as a consequence of the first try.
        instance = action_class(config=config)
    if getattr(instance, "action_service", None) is None:
        instance.action_service = action_service
    return instance
