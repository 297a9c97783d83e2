"""Records what transformers' chat template engine (Jinja2 in its immutable sandbox) makes of small templates.

    python test/golden/make_jinja.py            # writes test/golden/data/text/jinja.json
    python test/golden/make_jinja.py --random 20000 --seed 3 > more.json   # templates put together at random

Needs the packages of requirements.txt. null stands for a template that is refused, at parsing or while it runs.
"""

import argparse
import datetime
import itertools
import json
import random
import re
import sys
import warnings
from pathlib import Path

import transformers.utils.chat_template_utils as chat_template_utils

from jinja_templates import CONTEXT, FILTERS, OPERANDS, OPERATORS, TEMPLATES, TESTS, VALUES

OUT = Path(__file__).resolve().parent / "data" / "text" / "jinja.json"
#: Addresses of Python's objects, which differ from run to run.
ADDRESS = re.compile(r"0x[0-9a-f]{6,}|<(built-in )?method |<function |<class ")


def render(template):
    """The rendered text, None where it is refused."""
    try:
        compiled = chat_template_utils._cached_compile_jinja_template(template)
        return compiled.render(**json.loads(CONTEXT))
    except Exception:  # noqa: BLE001
        return None


def crossed():
    """Every filter and test on every value, every operator on every pair."""
    for value, name in itertools.product(VALUES, FILTERS):
        yield f"{{{{ {value}|{name} }}}}"
    for value, name in itertools.product(VALUES, TESTS):
        yield f"{{{{ {value} is {name} }}}}"
    for left, operator, right in itertools.product(OPERANDS, OPERATORS, OPERANDS):
        # Python would never come to an end, or make a complex number, or a power that libraries round in their own ways.
        if operator == "**" and right in ("big", "2.5") or operator == "*" and right == "big":
            continue
        yield f"{{{{ {left} {operator} {right} }}}}"


ATOMS = [*VALUES, *OPERANDS, "loop.index", "ns.x", "0", "1", "-1", "2", "7", "'a'", "','", "' '", "''", "none", "true", "1.5"]
METHODS = (
    "strip lstrip rstrip split rsplit splitlines partition rpartition startswith endswith find rfind index rindex count "
    "replace removeprefix removesuffix join center ljust rjust zfill expandtabs format lower upper title capitalize swapcase "
    "casefold isalpha isdigit isalnum isspace isupper islower istitle isnumeric isdecimal isidentifier isprintable isascii "
    "keys values items get copy append pop update real bit_length is_integer"
).split()


def expression(rng, depth):
    if depth == 0 or rng.random() < 0.15:
        return rng.choice(ATOMS)

    def inner():
        return expression(rng, depth - 1)

    def arguments(most=2):
        return ", ".join(inner() for _ in range(rng.randint(0, most)))

    kind = rng.randrange(12)
    if kind == 0:
        # A power may take Python for ever.
        return f"({inner()} {rng.choice([each for each in OPERATORS if each != '**'])} {inner()})"
    if kind == 1:
        return f"({inner()}).{rng.choice(METHODS)}({arguments()})"
    if kind == 2:
        return f"({inner()})|{rng.choice(FILTERS)}"
    if kind == 3:
        return f"({inner()} is {rng.choice(TESTS)})"
    if kind == 4:
        return f"({inner()})[{inner()}]"
    if kind == 5:
        bounds = [rng.choice(["", "0", "1", "-1", "2", "-3", "9"]) for _ in range(rng.randint(2, 3))]
        # Of a variable: a slice of a constant that has none is undefined where it is printed, an error elsewhere.
        return f"{rng.choice(['w', 'l', 'e', 'm', 'names', 'nested', 'long', 's'])}[{':'.join(bounds)}]"
    if kind == 6:
        return f"[{arguments(3)}]"
    if kind == 7:
        return f"({inner()}, {inner()})"
    if kind == 8:
        return f"{{{inner()}: {inner()}, 'k': {inner()}}}"
    if kind == 9:
        return f"({inner()} if {inner()} else {inner()})"
    if kind == 10:
        return f"(not {inner()})"
    return f"({inner()} ~ {inner()})"


def statement(rng, depth):
    def body():
        return "".join(statement(rng, depth - 1) for _ in range(rng.randint(1, 3))) if depth > 0 else "x"

    def tag(text):
        open_, close = rng.choice(["", "", "-", "+"]), rng.choice(["", "", "-", "+"])
        return f"{{%{open_} {text} {close}%}}"

    def short():
        return expression(rng, 1)

    kind = rng.randrange(13) if depth > 0 else rng.randrange(4)
    if kind == 0:
        return rng.choice(["a", "\n", "  ", "\n  b\n", " c \n\n", "{# d #}", "{#- e -#}\n", "\t"])
    if kind in (1, 2):
        return f"{{{{{rng.choice(['', '-'])} {expression(rng, 2)} {rng.choice(['', '-'])}}}}}"
    if kind == 3:
        return tag(f"set {rng.choice(['y', 'z', 's', 'ns.x', 'y, z'])} = {short()}")
    if kind == 4:
        rest = tag("else") + body() if rng.random() < 0.5 else ""
        return tag(f"if {short()}") + body() + rest + tag("endif")
    if kind in (5, 6):
        target = rng.choice(["y", "z", "k, v"])
        test = f" if {short()}" if rng.random() < 0.3 else ""
        rest = tag("else") + body() if rng.random() < 0.3 else ""
        return tag(f"for {target} in {short()}{test}") + body() + rest + tag("endfor")
    if kind == 7:
        parameters = rng.choice(["", "y", "y, z=2", "y='a', z=s"])
        call = f"{{{{ m({', '.join(short() for _ in range(rng.randint(0, 2)))}) }}}}"
        return tag(f"macro m({parameters})") + body() + tag("endmacro") + call
    if kind == 8:
        return tag("set y") + body() + tag("endset") + "{{ y }}"
    if kind == 9:
        return tag(f"filter {rng.choice(['upper', 'trim', 'length', 'replace(s, w)', 'tojson'])}") + body() + tag("endfilter")
    if kind == 10:
        return tag(f"with y = {short()}, z = y") + body() + tag("endwith")
    if kind == 11:
        return tag(rng.choice(["break", "continue", "generation"])) + (body() + tag("endgeneration") if rng.random() < 0.5 else "")
    return "{{ y }}{{ z }}{{ loop.index }}"


def at_random(count, seed):
    rng = random.Random(seed)
    for _ in range(count):
        if rng.random() < 0.6:
            yield f"{{{{ {expression(rng, 3)} }}}}"
        else:
            yield "{% set ns = namespace(x=1) %}" + "".join(statement(rng, 2) for _ in range(rng.randint(1, 3)))


class FixedTime(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return cls(2024, 2, 5, 7, 8, 9, 123000)


def record(templates):
    cases = []
    for template in dict.fromkeys(templates):
        text = render(template)
        if text is None or not ADDRESS.search(text):
            cases.append([template, text])
    return cases


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--random", type=int, default=0)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    chat_template_utils.datetime = FixedTime
    templates = at_random(options.random, options.seed) if options.random else [*TEMPLATES, *crossed()]
    cases = record(templates)
    lines = ",\n".join(json.dumps(case, ensure_ascii=True) for case in cases)
    text = f'{{"context": {json.dumps(CONTEXT)}, "cases": [\n{lines}\n]}}\n'
    if options.random:
        sys.stdout.write(text)
    else:
        OUT.write_text(text)
        refused = sum(text is None for _, text in cases)
        print(f"{OUT.name}: {len(cases)} templates, {refused} of them refused")


if __name__ == "__main__":
    main()
