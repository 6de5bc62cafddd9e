"""Compile the expressions of all languages, as `compileall` does modules: for an image whose code nobody may write to."""

import importlib
import pkgutil

import phi_deid_pipeline
from phi_deid_pipeline.expressions import Expression
from phi_deid_pipeline.languages import load_languages
from phi_deid_pipeline.text_patterns import compile_patterns


def main() -> int:
    """Compile what modules of the engine name and what the rows of languages make; return how many. Kept at the end."""
    modules = [
        importlib.import_module(f"{phi_deid_pipeline.__name__}.{module.name}")
        for module in pkgutil.iter_modules(phi_deid_pipeline.__path__)
        if module.name.startswith(("free_text", "text_", "lexicon", "written_dates", "measures", "word_forms"))
    ]
    patterns = compile_patterns(load_languages())
    forms = (*patterns.described, *patterns.labelled, *patterns.addresses, *patterns.kept)
    named = [value for module in modules for value in vars(module).values() if isinstance(value, Expression)]
    return len({(one.compiled.pattern, one.compiled.flags) for one in (*named, *forms)})


if __name__ == "__main__":
    print(f"{main()} expressions")
