"""What the double's mapping templates work on: Java's numbers, json-smart's JSON, the methods of Java's strings."""

import pytest

from tests.aws.double.vtl import RenderError
from tests.aws.test_double_vtl import request, response

# A value, a call of a method, and what it prints; velocity/ asks Velocity for the same.
CALLS = [
    ("'a😀'", "length()", "3"), ("''", "isEmpty()", "true"), ("'a'", "equals('a')", "true"),
    ("'a'", "equals(1)", "false"), ("'É'", "equalsIgnoreCase('é')", "true"),
    ("'ß'", "equalsIgnoreCase('SS')", "false"), ("'b'", "replaceAll('b*?', 'x')", "xbx"),
    ("'a\n'", "replaceAll('a$', 'x')", "x\n"), ("'a\n'", "matches('a$')", "false"),
    ("'a\r\nb'", "replaceAll('.', 'x')", "x\r\nx"), ("'K'", "matches('(?i)k')", "true"),
    ("'\u212a'", "matches('(?i)k')", "false"), ("'a\nb'", "matches('(?s)a.b')", "true"),
    ("'abc'", "contains('bc')", "true"),
    ("'abc'", "startsWith('ab')", "true"), ("'abc'", "endsWith('ab')", "false"), ("'😀b'", "indexOf('b')", "2"),
    ("'abab'", "indexOf('b', 2)", "3"), ("'a'", "indexOf('x')", "-1"), ("'abc'", "substring(1)", "bc"),
    ("'😀bc'", "substring(2, 3)", "b"), ("'a.b.c'", "replace('.', '$1')", "a$1b$1c"),
    ("'a1b2'", r"replaceAll('([a-z])(\d)', '$2$1')", "1a2b"), ("'a.b'", r"replaceAll('\.', '\\')", r"a\b"),
    ("'aa'", "replaceFirst('a', 'b')", "ba"), ("'abc'", "matches('b')", "false"),
    ("'abc'", "matches('[a-c]+')", "true"), ("'a,b,,'", "split(',').size()", "2"),
    ("',a'", "split(',').get(1)", "a"), ("'ab'", "split('').size()", "2"), ("'Ab'", "toLowerCase()", "ab"),
    ("'Ab'", "toUpperCase()", "AB"), ("' a\n'", "trim()", "a"), ("'a'", "compareTo('c')", "-2"),
    ("'abc'", "compareTo('a')", "2"), ("'a'", "concat('b').toString()", "ab"),
    ("['a', 2]", "contains('2')", "false"), ("['a', 2]", "contains('a')", "true"),
    ("[]", "isEmpty()", "true"), ("[1, 2]", "get(1)", "2"), ("{'a': 1}", "containsKey('a')", "true"),
    ("{'a': 1}", "size()", "1"), ("{'a': 1}", "put('a', 2)", "1"), ("{'a': 1}", "get('b')", ""),
]  # fmt: skip


@pytest.mark.parametrize(
    ("number", "printed"),
    [("3", "3"), ("3.0", "3.0"), ("1e300", "1.0E300"), ("0.001", "0.001"), ("1e-4", "1.0E-4"), ("-0.0", "-0.0"),
     ("1234567.5", "1234567.5"), ("12345678.5", "1.23456785E7"), ("-1.5e-10", "-1.5E-10"), ("9" * 30, "9" * 30)],
)  # fmt: skip
def test_numbers_print_as_java_prints_them(number: str, printed: str) -> None:
    assert response("$input.path('$.x')", f'{{"x": {number}}}')[0] == printed


@pytest.mark.parametrize(
    ("number", "printed"),
    [("1e22", "1.0E22"), ("1.10", "1.1"), ("1E5", "100000.0"), ("-0", "0"),
     ("0.30000000000000004", "0.30000000000000004"),
     ("100000000000000000.0", "100000000000000000.0"), ("1.50000000000000000e400", "1.50000000000000000E+400")],
)  # fmt: skip
def test_numbers_in_json_are_spelled_as_json_smart_spells_them(number: str, printed: str) -> None:
    assert response("$input.json('$')$input.path('$')", f"[{number}]")[0] == f"[{printed}][{printed}]"


def test_json_is_written_as_json_smart_writes_it() -> None:
    assert response("$input.json('$')", r'["é\u007f\u2028/\u0001\b"]')[0] == r'["é\u007F\u2028/\u0001\b"]'
    assert response("$input.path('$')", '["a/b"]')[0] == r'["a\/b"]'


def test_a_raw_delete_vanishes_from_a_string_that_has_an_escape() -> None:
    assert response("$input.json('$')", '["a\x7f", "\x7f\\n\x7f"]')[0] == r'["a\u007F","\n"]'


def test_json_deeper_than_json_smart_reads_is_an_error() -> None:
    assert response("$input.json('$')", "[" * 100 + "]" * 100)[0] == "[" * 100 + "]" * 100
    with pytest.raises(RenderError, match="deep"):
        response("$input.json('$')", "[" * 401 + "]" * 401)


# Java's methods


@pytest.mark.parametrize(("value", "call", "printed"), CALLS)
def test_javas_methods_are_there(value: str, call: str, printed: str) -> None:
    assert request(f"#set($x = {value})$x.{call}") == printed


@pytest.mark.parametrize(
    "call",
    ["upper()", "length(1)", "replaceAll('[a-b&&c]', '')", "matches('\\b')", "replace('', 'x')", "split('b')",
     "substring(9)", "substring(-1)", "substring('1')", "replaceAll('(', '')", "get(0)",
     "replaceAll('a', '$1')", "replaceAll('a', '$x')", "replaceAll('a', '\\')", "equals($no)", "class", "split()"],
)  # fmt: skip
def test_an_unknown_method_or_a_wrong_argument_is_an_error(call: str) -> None:
    with pytest.raises(RenderError):
        request(f"#set($x = 'abc')$x.{call}")


def test_an_index_beyond_a_list_is_an_error() -> None:
    for call in ("$x.get(1)", "$x[1]", "$x.get(-1)", "$m.keySet().get(0)", "$m.entrySet()[0]"):
        with pytest.raises(RenderError):
            request(f"#set($x = [1])#set($m = {{'a': 1}}){call}")
