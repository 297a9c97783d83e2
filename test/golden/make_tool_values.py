"""Values of tool calls as vLLM's glm4_moe parser types them: json.loads, else ast.literal_eval, else the text itself;
written by json.dumps(..., ensure_ascii=False). Null where the result is no JSON of the standard (NaN, sets, bytes).

python test/golden/make_tool_values.py
"""

import ast
import json
from pathlib import Path

TEXTS = [
    "", " ", "5", "-5", "+5", " 7 ", "\n8\n", "0", "-0", "007", "1_000", "0x1F", "0b101", "0o17", "5.0", "-0.0", "1e5",
    "1E-7", "1e16", "123456789012345680.0", "12345678901234567890", ".5", "5.", "1_0.5", "1e400", "1.5e", "3j", "1+2",
    "--5", "- 5", "true", "True", "false", "False", "null", "None", "NaN", "Infinity", "-Infinity", "nan", "text",
    "Paris, France", "10, 20", "10,", "1 2", '"quoted"', "'quoted'", "'it\\'s'", '"a\\nb"', "'a\\nb'", "'a\nb'",
    "'''a\nb'''", '"""a "b" c"""', "'a' 'b'", "'a'\n'b'", "r'\\d'", "u'x'", "b'x'", "f'x'", "'\\x41\\u00e9\\101\\q'",
    "[1, 2, 3]", "[1,2,]", "[1, 'a', True, None]", "[]", "()", "(1)", "(1,)", "(1, 2)", "[(1, 2), [3]]", "{}",
    '{"a": 1, "b": [true, null]}', "{'a': 1, 'b': (1, 2)}", "{1: 2, False: 3}", "{1.5: 'x', None: 'y'}", "{1, 2}",
    "{(1, 2): 3}", "{'a': {'b': {'c': []}}}", "[1,\n 2 # two\n]", "5 # five", "# five", "[", "[1", "{'a'}", "{'a': }",
    '{"a": NaN}', "[1e400]", "日本", '"日本\\u00e9"', "'日本'", "<b>x</b>", "a\\b", '"', "'", "Truex", "True ", "1if",
    "[1] [2]", "(1", "1)", '{"b": 1, "a": 2, "b": 3}', "{'k': 'v',}", "*a", "a.b", "f()", "\t5", "5\t", "\x0b5", "''",
    '""', "'' ''", "''''''", '"\\ud83d\\ude00"', "[0.1, 1e-05, 100.0, 1e22]", "2024-01-02", "12:30", "1,000", "$5",
]


def typed(text):
    try:
        value = json.loads(text)
    except ValueError:
        try:
            value = ast.literal_eval(text)
        except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
            value = text
    try:
        result = json.dumps(value, ensure_ascii=False)
        json.loads(result, parse_constant=lambda name: 1 / 0)
        return result
    except (TypeError, ZeroDivisionError):
        return None


if __name__ == "__main__":
    cases = [[text, typed(text)] for text in TEXTS]
    target = Path(__file__).parent / "data" / "text" / "tool-values.json"
    target.write_text(json.dumps(cases, ensure_ascii=False, indent=0) + "\n")
