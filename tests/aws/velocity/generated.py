"""Mapping templates made at random, and what clients may send to them, at random and hostile."""

import json
from typing import Any

from hypothesis import strategies as st

from tests.aws.double.vtl import Params
from tests.aws.velocity.agreement import Given

# What a client sends to have it evaluated, or to get out of a string.
HOSTILE = [
    "$context.requestId", "${context.requestId}", "$!x", "$", "#", "##", "#set($x = 1)", "#if(true)a#end", "#end",
    "#* c *#", "#[[a]]#", '"', "'", "\\", '\\"', "\\'", "\\$x", "\\u0022", "\\u0024x", '"}', '"},"x":{"S":"', "\n",
    "a\n", "a\r\n", "a\u2028", "a\u0085", "\r", "\t", "\x00", "\x1f", "\x7f", "\x7f\n", "\ud800", "\udc00", "😀",
    "é", "%", "%0A", "%22", "%2522", "%zz", "+", "a%00", "%ED%A0%80", "%FF%C3", "..", "/", "{a=1}", "null", "true",
    "1e22", "", " ", "$.x", "$['x']", "']", "a','b", "#foreach($i in [1..9])$i#end", "$util.urlDecode('%22')",
    "$input.body", "a" * 128,
]  # fmt: skip

texts = (
    st.sampled_from(HOSTILE) | st.text(st.characters(), max_size=12) | st.lists(st.sampled_from(HOSTILE)).map("".join)
)
_numbers = (
    st.integers(-(10**20), 10**20)
    | st.sampled_from([0.1, 1e22, 1e-7, -0.0, 1.5, 1e7, 123456.75, 0.001, 1 / 3, 2 / 3, 1e300])
    | st.decimals(-1000, 1000, places=3).map(float)
)
values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | _numbers | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts | st.sampled_from("abk"), inner, max_size=3),
    max_leaves=6,
)


@st.composite
def given_values(draw: st.DrawFn) -> Given:
    """A request: a body of JSON with `t` and `l` in it, parameters, context and stage variables."""
    body: dict[str, Any] = {"t": draw(texts), "l": draw(st.lists(values, max_size=3)), "v": draw(values)}
    raw = json.dumps(body, ensure_ascii=draw(st.booleans()))
    names = st.dictionaries(st.sampled_from(["id", "q"]), texts, max_size=2)
    params = Params(draw(names), draw(names), draw(names))
    return Given(raw, params, {"requestId": draw(texts), "n": draw(st.integers(0, 9))}, {"table": draw(texts)})


# --- Templates that are as they should be ---

_TEXT = [
    "a", " ", "\n", "  \n", "\r\n", "\t", '{"k": "', '"}', ", ", "[", "]", "(", ")", "\\n", "# ", "$ ", "$.", "é😀",
    ".", "!", "## c\n", "#* c *#", "#* c\n *#\n", "## c $x #end\n", "\n  ", "1", "-", "}", "$['", "#,", '#"', "%",
    "\\\\", "''",
]  # fmt: skip
_REFERENCES = [
    "$t", "${t}", "$!t", "$!{t}", "$n", "$l", "$m", "$l[0]", "$m.k", "$m['k']", "$m.get('k')", "$l.get(1)", "$nope",
    "$!nope.a", "${nope}", "$x", "$i", "$input.path('$.t')", "$input.json('$')", "$input.json('$.v')",
    "$input.path('$.v')", "$input.path('$.v.a')", "$input.params('id')", "$input.params().path.id",
    "$context.requestId", "$input.body", "$stageVariables.table", "$foreach.index", "$foreach.hasNext",
    "$velocityCount", "$m.keySet()", "$l.size()", "$t.length()", "$c", "${c}", "$util.escapeJavaScript($c)",
    "$util.urlEncode($c)", "$util.urlDecode($c)", "$util.base64Encode($c)", "$util.base64Decode($c)",
    "$util.parseJson($j).a", "$input.path('$.l').size()",
]  # fmt: skip
_CALLS = [
    "length()", "isEmpty()", "equals($t)", "equalsIgnoreCase($t)", "contains('$')", "contains($t)",
    "startsWith('a')", "endsWith($t)", "indexOf('a')", "indexOf($t, 1)", "substring(1)", "substring(0, 2)",
    "replace('$', '#')", "replace('a', $t)", "replaceAll('[^a-z0-9]', '')", "replaceAll('(.)', '$1$1')",
    "replaceAll('a', $t)", "replaceFirst('a|#', 'b')", "matches('[a-z]+')", "matches('.*$')",
    "matches('[A-Za-z0-9_~-][A-Za-z0-9._~-]{0,127}')", "split('a')[0]", "split(',').size()", "toLowerCase()",
    "toUpperCase()", "trim()", "compareTo($t)", "concat($t)", "toString()", "replaceAll(\"\\\\'\", \"'\")",
    "replaceAll('%[0-9A-Fa-f]{2}', '')",
]  # fmt: skip
_PRELUDE = """#set($t = 'a$b#c')#set($n = 3)#set($l = ['x', 2, true])#set($m = {"k": "v", "l": 1})#set($yes = true)
#set($c = $input.path('$.t'))#set($j = '{"a": [1, 2.50, "b"]}')"""

_references = st.sampled_from(_REFERENCES) | st.sampled_from(_CALLS).map(lambda call: f"$c.{call}")
_arguments = st.sampled_from(
    ["1", "-2", "2.5", "true", "'a'", "'$t'", "''", '"$t"', "$t", "$n", "$c", "$nope", "$l", "$m.k"]
)
_quoted = st.lists(_references | st.sampled_from(["a", " ", "$ ", "# ", "\\n", "\\u0041", "'", "1", "."])).map(
    lambda parts: '"' + "".join(part.replace('"', '""') for part in parts) + '"'
)
_sums: st.SearchStrategy[str] = st.recursive(
    st.sampled_from(["1", "2", "7", "-3", "0", "2.5", "1e3", "$n", "$l[1]", "$t.length()", "5000000000"]),
    lambda inner: (
        st.tuples(inner, st.sampled_from([" + ", " - ", " * ", " / ", " % ", "+", "*"]), inner).map("".join)
        | inner.map("({})".format)
    ),
    max_leaves=5,
)
_conditions: st.SearchStrategy[str] = st.recursive(
    st.sampled_from(
        [
            "true",
            "false",
            "$yes",
            "!$yes",
            '"$!c" == ""',
            "$c == $t",
            "$t.contains('a')",
            '"$foreach.hasNext" == "true"',
        ]
    )
    | st.tuples(_sums, st.sampled_from([" == ", " != ", " < ", ">", " <= ", " ge ", " lt "]), _sums).map("".join)
    | st.tuples(_quoted, st.sampled_from([" == ", "!=", " eq "]), _quoted | _arguments).map("".join),
    lambda inner: (
        st.tuples(inner, st.sampled_from([" && ", " || ", " and ", " or "]), inner).map("".join)
        | inner.map("({})".format)
        | inner.map("!({})".format)
    ),
    max_leaves=4,
)
_items = st.lists(_arguments, max_size=3).map(lambda items: "[" + ", ".join(items) + "]")
_entries = st.lists(st.tuples(st.sampled_from(["'a'", '"b"', "$t"]), _arguments), max_size=3).map(
    lambda items: "{" + ", ".join(f"{key}: {value}" for key, value in items) + "}"
)
_expressions = _sums | _conditions | _quoted | _arguments | _items | _entries | st.sampled_from(["[1..3]", "[2..-1]"])
_loops = _items | st.sampled_from(["$l", "$m", "$nope", "[1..3]", "$input.path('$.l')", "$m.keySet()", "$m.entrySet()"])


def _blocks(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    end = st.sampled_from(["#end", "#{end}", "#end\n", "#end  \n", "#end "])
    other = st.sampled_from(["", "#else\na", "#{else}", "#elseif($n == 3)\nb", "#else \n", "#elseif(false)#else"])
    after = st.sampled_from(["", "\n", " \n", " ", "\r\n"])
    return (
        st.lists(inner, min_size=1, max_size=4).map("".join)
        | st.tuples(st.just("#if("), _conditions, st.just(")"), after, inner, other, inner, end).map("".join)
        | st.tuples(st.just("#foreach($i in "), _loops, st.just(")"), after, inner, end).map("".join)
    )


_sets = st.tuples(
    st.sampled_from(["", " ", "\n  "]), st.just("#set($x = "), _expressions, st.sampled_from([")", ") ", ")\n"])
)
_parts = st.recursive(st.sampled_from(_TEXT) | _references | _sets.map("".join), _blocks, max_leaves=4)
templates = st.lists(_parts, min_size=3, max_size=8).map(lambda parts: _PRELUDE + "".join(parts))

# --- Templates that are a soup of the language's words ---

_WORDS = [
    "#if(true)", "#if(!$no)", "#if ($t == 'a')", "#else", "#{else}", "#elseif(false)", "#end", "#{end}",
    "#foreach($i in $l)", "#set($x = 1)", "#set($x = $t)\n", " #set($y=$t)", "#set ($x = [1, 2])", "$t", "${t}",
    "$!t", "$t.length()", "$l[0]", "$m.k", "$i", "$x", "$nope", "\n", " ", "\t", "\r\n", "\r", ".", "-", "(", ")",
    "[", "]", "{", "}", "!", "#", "$", "\\", "##", "## c\n", "#* c *#", "#**", "*#", "a", "a.b", "1", "_", '"', "'",
    ",", "=", "$t.", "${", "#set(", "$x-", "#[[", "]]#", "@", "|", "$y", "-1", "#set($x = '')", "#set($x = ''',''')",
    '#set($x = "$t#")', "#set($x = 'a' + 1)", "#set($x.y = 1)", "#IF(true)", "#endif", "#stop", "#break",
    "#macro(m)a#end", "#set($x = null)", "$true", "$t.true", "$class", "$m.class", "$t.class.name",
]  # fmt: skip
soups = st.lists(st.sampled_from(_WORDS), min_size=2, max_size=8).map(lambda words: _PRELUDE + "".join(words))

# --- Regular expressions ---

_PIECES = [
    "a", "b", ".", "\\d", "\\w", "\\S", "[ab]", "[^a]", "[a-]", "[-a]", "[\\d_]", "[^%\\s]", "[{}]", "(a)", "(a|b)",
    "(?:ab)", "*", "+", "?", "{2}", "{1,}", "{0,2}", "??", "*?", "++", "^", "$", "|", "\\.", "(", ")", "{", "}",
    "]", "\\b", "é", "😀", "-", "%", "\\\\", "[A-Z]", "[ -~]", "K", "\u212a",
    "[a-c&&b]", "[^]]", "[a^]", "\\$", "()", "[\ud800]",
]  # fmt: skip
patterns = st.tuples(
    st.sampled_from(["", "", "(?i)", "(?s)"]), st.lists(st.sampled_from(_PIECES), min_size=1, max_size=4)
).map(lambda parts: parts[0] + "".join(parts[1]))
subjects = st.text(st.sampled_from("aaBbAéÉ1 \n\r.é😀%{}_-\\\u2028\u0085$"), max_size=7)
replacements = st.sampled_from(["", "x", "$0", "<$1>", "\\$", "\\\\", "$2", "a$", "\\", "${a}", "$12"])
