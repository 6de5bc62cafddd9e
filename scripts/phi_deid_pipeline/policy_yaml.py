"""The YAML of policy files, in which no key may stand twice."""

from __future__ import annotations

from pathlib import Path

import yaml

from phi_deid_pipeline.errors import PolicyError

TWICE = "a key stands twice"


class _Loader(yaml.SafeLoader):
    """YAML in which no key may stand twice: the first of two lists of overrides would be lost without a word."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict:
        keys = [key.value for key, _ in node.value]
        for number, (key, _) in enumerate(node.value):
            if key.value in keys[:number]:
                raise yaml.constructor.ConstructorError(None, None, TWICE, key.start_mark)
        return super().construct_mapping(node, deep=deep)


def load_yaml(path: Path) -> object:
    """Return what a policy file holds; PolicyError if it cannot be read, is no YAML or has a key twice."""
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), _Loader)
    except OSError as error:
        raise PolicyError(f"policy {path.name}: cannot be read ({error.strerror})") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        mark = getattr(error, "problem_mark", None)
        what = TWICE if getattr(error, "problem", "") == TWICE else "is no YAML"
        raise PolicyError(f"policy {path.name}: {what}{f' (line {mark.line + 1})' if mark else ''}") from error
    return content
