"""Data classes that cost little to make: `dataclass` and `field` as in the standard library, for what this package uses.

The module `dataclasses` reads a lot to be loaded and compiles six functions for each class, 50 ms for the classes of a
step: a tenth of what it takes to de-identify a small series. Here a class gets one function, compiled when the first
object is made; the others are shared closures. `fields`, `replace`, `asdict` and `astuple` of `dataclasses` work with
these classes, and load that module then. Inheritance, class variables and keyword-only fields are not supported.
"""

from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter
from typing import Any, TypeVar, dataclass_transform, overload

C = TypeVar("C", bound=type)
T = TypeVar("T")
_MISSING = object()


class _Field:
    """What is known of one field: its default or what makes one, and where it counts."""

    __slots__ = ("compare", "default", "factory", "init", "name", "repr", "type")

    def __init__(self, default: Any, factory: Any, *, init: bool, shown: bool, compare: bool) -> None:
        self.name = self.type = ""
        self.default = default
        self.factory = factory
        self.init = init
        self.repr = shown
        self.compare = compare


def field(
    *,
    default: Any = _MISSING,
    default_factory: Any = _MISSING,
    init: bool = True,
    repr: bool = True,
    compare: bool = True,
) -> Any:
    """Say how a field is filled and where it counts, as `dataclasses.field`."""
    return _Field(default, default_factory, init=init, shown=repr, compare=compare)


@overload
def dataclass(cls: C, /) -> C: ...
@overload
def dataclass(*, frozen: bool = False, slots: bool = False, order: bool = False) -> Callable[[C], C]: ...
@dataclass_transform(field_specifiers=(field,))
def dataclass(cls: Any = None, /, *, frozen: bool = False, slots: bool = False, order: bool = False) -> Any:
    """Make a class a data class, as `dataclasses.dataclass`; equality compares fields, frozen ones can be hashed."""

    def made(cls: type) -> type:
        return _made(cls, frozen=frozen, slots=slots, order=order)

    return made if cls is None else made(cls)


def field_names(cls: type) -> tuple[str, ...]:
    """Return the names of the fields of a data class, also one of the standard library, in their order."""
    return cls.__match_args__  # type: ignore[attr-defined]


def is_data_class(cls: object) -> bool:
    """Tell whether a class is a data class, also one of the standard library."""
    return "__dataclass_fields__" in getattr(cls, "__dict__", ())


def replace(value: T, **changes: Any) -> T:
    """Return a copy of an object with other values of some fields, as `dataclasses.replace`."""
    return type(value)(**{name: getattr(value, name) for name in field_names(type(value))} | changes)


class _Fields:
    """Stands for `__dataclass_fields__` until somebody asks for it."""

    def __init__(self, fields: list[_Field]) -> None:
        self._fields = fields

    def __get__(self, _: object, owner: type) -> dict[str, Any]:
        import dataclasses

        rows = []
        for one in self._fields:
            given = {"default": one.default, "default_factory": one.factory}
            given = {name: value for name, value in given.items() if value is not _MISSING}
            rows.append(
                (one.name, one.type, dataclasses.field(init=one.init, repr=one.repr, compare=one.compare, **given))
            )
        found = dataclasses.make_dataclass(owner.__name__, rows).__dataclass_fields__  # type: ignore[attr-defined]
        type.__setattr__(owner, "__dataclass_fields__", found)
        return found


def _made(cls: type, *, frozen: bool, slots: bool, order: bool) -> type:
    if cls.__bases__ != (object,):
        raise TypeError(f"{cls.__name__}: a data class of this package has no base class.")
    fields = [_field_of(cls, name, kind) for name, kind in vars(cls).get("__annotations__", {}).items()]
    names = tuple(one.name for one in fields)
    content = {name: value for name, value in cls.__dict__.items() if name not in ("__dict__", "__weakref__")}
    for one in fields:
        if slots or one.default is _MISSING:
            content.pop(one.name, None)
        else:
            content[one.name] = one.default
    if slots:
        content["__slots__"] = names
    for name, function in _functions(fields, frozen=frozen, order=order).items():
        content.setdefault(name, function)
    content["__dataclass_fields__"] = _Fields(fields)
    content["__match_args__"] = tuple(one.name for one in fields if one.init)
    if frozen and slots:
        content |= {"__getstate__": _state_of(names), "__setstate__": _restore_of(names)}
    made = type(cls)(cls.__name__, cls.__bases__, content)
    made.__qualname__ = cls.__qualname__
    made.__init__ = _first_init(made, fields, frozen=frozen)  # type: ignore[misc]
    return made


def _field_of(cls: type, name: str, kind: Any) -> _Field:
    given = cls.__dict__.get(name, _MISSING)
    found = given if isinstance(given, _Field) else _Field(given, _MISSING, init=True, shown=True, compare=True)
    if isinstance(found.default, (list, dict, set)):
        raise TypeError(f"{cls.__name__}.{name}: a default that can change needs a default_factory.")
    found.name, found.type = name, kind
    return found


def _first_init(cls: Any, fields: list[_Field], *, frozen: bool) -> Callable[..., None]:
    """Return what stands for `__init__` until the first object is made."""

    def __init__(self: Any, *values: Any, **named: Any) -> None:
        cls.__init__ = _init_of(cls, fields, frozen=frozen)
        cls.__init__(self, *values, **named)

    return __init__


def _init_of(cls: type, fields: list[_Field], *, frozen: bool) -> Any:
    """Compile `__init__`; a frozen object is filled past its `__setattr__`."""
    scope: dict[str, Any] = {"_missing": _MISSING, "_set": object.__setattr__}
    arguments, lines = ["self"], []
    for one in fields:
        value = one.name
        if one.factory is not _MISSING:
            scope[f"_make_{one.name}"] = one.factory
            value = (
                f"_make_{one.name}() if {one.name} is _missing else {one.name}" if one.init else f"_make_{one.name}()"
            )
            arguments += [f"{one.name}=_missing"] if one.init else []
        elif not one.init:
            continue
        elif one.default is not _MISSING:
            scope[f"_default_{one.name}"] = one.default
            arguments.append(f"{one.name}=_default_{one.name}")
        else:
            arguments.append(one.name)
        lines.append(f" _set(self, {one.name!r}, {value})" if frozen else f" self.{one.name} = {value}")
    if hasattr(cls, "__post_init__"):
        lines.append(" self.__post_init__()")
    exec(f"def __init__({', '.join(arguments)}):\n" + ("\n".join(lines) or " pass"), scope)
    return scope["__init__"]


def _functions(fields: list[_Field], *, frozen: bool, order: bool) -> dict[str, Any]:
    compared = [one.name for one in fields if one.compare]
    key = _key_of(compared)
    shown = [one.name for one in fields if one.repr]
    names = frozenset(one.name for one in fields)

    def __eq__(self: object, other: object) -> bool:
        return key(self) == key(other) if other.__class__ is self.__class__ else NotImplemented

    def __repr__(self: object) -> str:
        return f"{type(self).__qualname__}({', '.join(f'{name}={getattr(self, name)!r}' for name in shown)})"

    found: dict[str, Any] = {"__eq__": __eq__, "__repr__": __repr__, "__hash__": None}
    if frozen:
        found["__hash__"] = lambda self: hash(key(self))
        found["__setattr__"], found["__delattr__"] = _refuse_set(names), _refuse_delete(names)
    if order:
        found["__lt__"] = lambda self, other: key(self) < key(other)
        found["__le__"] = lambda self, other: key(self) <= key(other)
        found["__gt__"] = lambda self, other: key(self) > key(other)
        found["__ge__"] = lambda self, other: key(self) >= key(other)
    return found


def _key_of(names: list[str]) -> Callable[[object], Any]:
    if not names:
        return lambda _: ()
    return attrgetter(*names)


def _refuse_set(names: frozenset[str]) -> Callable[[object, str, object], None]:
    def __setattr__(self: object, name: str, value: object) -> None:
        from dataclasses import FrozenInstanceError

        raise FrozenInstanceError(f"cannot assign to field {name!r}")

    return __setattr__


def _refuse_delete(names: frozenset[str]) -> Callable[[object, str], None]:
    def __delattr__(self: object, name: str) -> None:
        from dataclasses import FrozenInstanceError

        raise FrozenInstanceError(f"cannot delete field {name!r}")

    return __delattr__


def _state_of(names: tuple[str, ...]) -> Callable[[object], list[Any]]:
    return lambda self: [getattr(self, name) for name in names]


def _restore_of(names: tuple[str, ...]) -> Callable[[object, list[Any]], None]:
    def __setstate__(self: object, state: list[Any]) -> None:
        for name, value in zip(names, state, strict=True):
            object.__setattr__(self, name, value)

    return __setstate__
