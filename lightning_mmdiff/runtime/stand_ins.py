"""Stand-ins for PyTorch and the libraries above it, so that a command which only reads settings starts in a second.

Importing these libraries takes ten seconds; help, lists and plans need none of them, only the configs, which stand beside the
networks that they configure. Inside ``install`` their names can be imported, subclassed and used in annotations. The first
call of one, from inside a function, means that there is work to do: ``NeededError`` ends the process, which starts itself
again with the libraries. So nothing is ever computed with a stand-in.
"""

import inspect
import os
import sys
from abc import ABCMeta
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType, TracebackType
from typing import Any

LIBRARIES = (
    "cv2", "diffusers", "lightning", "lpips", "matplotlib", "pandas", "safetensors", "scipy", "sklearn", "tensorboard",
    "timm", "torch", "torchvision", "transformers",
)  # fmt: skip
"""Top-level names that are stood in for."""
LOADED = "MMDIFF_LIBRARIES"
"""Environment variable of a process that is to import the libraries at once, since it has work to do."""
RANKS = ("RANK", "LOCAL_RANK", "SLURM_PROCID", "JSM_NAMESPACE_RANK")
"""Environment variables of one of several processes of a job; what it is to do, Lightning knows."""


class NeededError(BaseException):
    """A library is needed in earnest. Not an ``Exception``: nothing but the process itself should catch it."""


class _Class(ABCMeta):
    """Metaclass of stand-ins: any attribute is another stand-in; only a subclass of ours can be instantiated in a function."""

    def __getattr__(cls, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        _require_import(f"{cls.__name__}.{name}")
        return _stand_in(name)

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        if "stands_in" in vars(cls):
            _require_import(cls.__name__)
        return super().__call__(*args, **kwargs)


def _stand_in(name: str) -> type:
    """Return a class that can be subclassed, subscribed and, in the body of a module or class, called as a decorator."""

    def decorate(self: Any, item: Any = None, *args: Any, **kwargs: Any) -> Any:
        _require_import(name)
        return item

    def attribute(self: Any, key: str) -> Any:
        if key.startswith("__"):
            raise AttributeError(key)
        raise NeededError(f"{name}.{key}")

    methods: dict[str, Any] = {
        "__init__": lambda self, *args, **kwargs: None,
        "__class_getitem__": classmethod(lambda cls, item: cls),
        "__call__": decorate,
        "__getattr__": attribute,
        "stands_in": True,
    }
    return _Class(name, (), methods)


def _require_import(name: str) -> None:
    """Raise NeededError unless the caller of a stand-in is the body of a module or class, which is being imported."""
    if sys._getframe(2).f_code.co_flags & inspect.CO_OPTIMIZED:
        raise NeededError(name)


class _Module(ModuleType):
    """A module whose attributes are stand-ins."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        value = _stand_in(name)
        setattr(self, name, value)
        return value


class _Finder(MetaPathFinder, Loader):
    """Finds a stand-in for each installed library."""

    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        library = fullname.split(".")[0]
        if library not in LIBRARIES or (fullname == library and PathFinder.find_spec(library) is None):
            return None
        return ModuleSpec(fullname, self, is_package=True)

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return _Module(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        module.__version__ = "stand-in"  # type: ignore[attr-defined]


def install() -> None:
    """Stand in for all libraries from now on, unless one is loaded, or the process is one of several or started for work."""
    sys.excepthook = _start_again
    works = os.environ.pop(LOADED, None) or any(name in os.environ for name in RANKS)
    if works or any(name in sys.modules for name in LIBRARIES):
        return
    sys.meta_path.insert(0, _Finder())


def are_installed() -> bool:
    """Return whether the libraries are stood in for."""
    return any(isinstance(finder, _Finder) for finder in sys.meta_path)


def require_libraries() -> None:
    """Start the process again with the libraries, if they are stood in for: work begins."""
    if are_installed():
        raise NeededError("work")


def _start_again(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
    """Replace the process by itself with the real libraries if they are needed; a Ctrl-C while they load is a sentence."""
    if issubclass(kind, KeyboardInterrupt):
        print("Stopped. Run the same command again to go on.", file=sys.stderr)
        return
    if not issubclass(kind, NeededError):
        sys.__excepthook__(kind, error, traceback)
        return
    if sys.stderr.isatty():
        print("Loading PyTorch ...", file=sys.stderr)
    sys.stdout.flush()
    sys.stderr.flush()
    os.environ[LOADED] = "1"
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])
