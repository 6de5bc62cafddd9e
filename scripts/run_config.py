"""Reads the config of a run: defaults, a user's file, settings of the command line; refuses what is wrong in one line."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import yaml

from phi_deid_pipeline.errors import ConfigError

ROOT = Path(__file__).resolve().parents[1]


def read_config(configfile: Path | None, settings: tuple[str, ...], policy: str | None) -> dict:
    """Return defaults, then the user's file, then `key=value` settings, validated; raises ConfigError."""
    config = yaml.safe_load((ROOT / "config" / "config.yaml").read_text(encoding="utf-8"))
    if configfile is not None:
        _merge(config, _read_yaml(configfile))
    for setting in settings:
        key, equals, value = setting.partition("=")
        if not equals:
            raise ConfigError(f"--set takes key=value, not '{setting}'.")
        leaf = nested = {}
        *parents, last = key.split(".")
        for parent in parents:
            leaf = leaf.setdefault(parent, {})
        try:
            leaf[last] = yaml.safe_load(value)
        except yaml.YAMLError as error:
            raise ConfigError(f"--set {key}: the value is no valid YAML.") from error
        _merge(config, nested)
    if policy is not None:
        config["policy"] = policy
    schema = yaml.safe_load((ROOT / "workflow" / "schemas" / "config.schema.yaml").read_text(encoding="utf-8"))
    if told := next(_told(schema, config), ""):
        raise ConfigError(f"{told} config/README.md has all keys.")
    _check_geometry(config["geometry"])
    return config


def _told(schema: dict[str, Any], config: dict[str, Any]) -> Iterator[str]:
    """Yield what is wrong, key by key: an unknown key with the nearest that there is, a value with what is allowed."""
    known = _keys(schema, "")
    errors = jsonschema.Draft202012Validator(schema).iter_errors(config)
    for error in sorted(errors, key=lambda found: list(map(str, found.path))):
        place = [part for part in error.path if isinstance(part, str)]
        if error.validator == "additionalProperties":
            group = [f"{part}." for part in place]
            unknown = sorted(
                "".join([*group, str(key)]) for key in error.instance if key not in error.schema["properties"]
            )
            yield f"There is no config key {unknown[0]}{_nearest(unknown[0], known)}."
        else:
            key = ".".join(place)
            yield f"Config key {key} takes {allowed(known[key])}." if key in known else f"Config: {error.message}."


def _keys(schema: dict[str, Any], prefix: str) -> dict[str, dict[str, Any]]:
    """Return {dotted key: its schema} of all keys and groups."""
    found = {}
    for name, entry in schema["properties"].items():
        found[prefix + name] = entry
        if entry.get("type") == "object":
            found |= _keys(entry, f"{prefix}{name}.")
    return found


def _nearest(key: str, known: dict[str, dict[str, Any]]) -> str:
    """Return a hint at the key that is meant; a key that stands in another group counts by its last part."""
    if near := difflib.get_close_matches(key, known, n=1, cutoff=0.8):
        return f"; the nearest is {near[0]}"
    last = {name.rpartition(".")[2]: name for name in known}
    if near := difflib.get_close_matches(key.rpartition(".")[2], last, n=1):
        return f"; the nearest is {last[near[0]]}"
    return ""


def allowed(entry: dict[str, Any]) -> str:
    """Return in words what a key takes."""
    if "properties" in entry:
        return f"keys of its own: {', '.join(sorted(entry['properties']))}"
    if "enum" in entry:
        return f"one of {', '.join(map(str, entry['enum']))}"
    if entry["type"] == "array":
        low, high = entry.get("minItems"), entry.get("maxItems")
        exact = str(low) if low == high else f"{low or 0} or more"
        number = f"none or {high}" if "anyOf" in entry else exact
        inner = allowed(entry["items"])
        return f"a list, in [ ], of {number}{' different' if entry.get('uniqueItems') else ''} entries, each {inner}"
    low, high = entry.get("minimum", entry.get("exclusiveMinimum")), entry.get("maximum")
    kind = {"integer": "a whole number", "number": "a number", "boolean": "true or false", "string": "a text"}
    text = kind[entry["type"]]
    if low is not None:
        above = " above" if "exclusiveMinimum" in entry else " from"
        text += f"{above} {low}" + (f" to {high}" if high is not None else "")
    if "pattern" in entry:
        text += f" of the form {entry['pattern']}"
    return text


def _check_geometry(geometry: dict) -> None:
    """Refuse what a schema cannot: numbers that are none, and limits in the wrong order; raises ConfigError."""
    for key, value in geometry.items():
        numbers = value if isinstance(value, list) else [value]
        if not all(math.isfinite(number) for number in numbers if isinstance(number, float)):
            raise ConfigError(f"Config key geometry.{key}: takes finite numbers. config/README.md has all keys.")
    low, high = geometry["hu_clip"]
    if low >= high:
        raise ConfigError("Config key geometry.hu_clip: takes the lower limit first, then the upper one.")


def _merge(config: dict, other: dict) -> None:
    for key, value in other.items():
        if isinstance(value, dict) and isinstance(config.get(key), dict):
            _merge(config[key], value)
        else:
            config[key] = value


def _read_yaml(path: Path) -> dict:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"The config file {path.name} cannot be read ({type(error).__name__}).") from error
    if not isinstance(content, dict):
        raise ConfigError(f"The config file {path.name} holds no keys.")
    return content
