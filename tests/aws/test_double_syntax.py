"""The double reads a template as Apache Velocity 1.7 does; what Velocity makes of READ is asked of it in velocity/."""

import pytest

from tests.aws.double.vtl import Params, RenderError, render_request

BODY = '{"x": {"y": "z"}, "l": [1, 2]}'

# A template, and what it renders.
READ = [
    # Directives take the end of their line, and the blanks before it.
    ("#if(true)\na\n#else\nb\n#end\nc", "a\nc"),
    ("#if(false)\na\n#else \t\n b\n#end\nc", " b\nc"),
    ("#if(false)a#elseif(true) \n\nb#{else}\nc#{end}\r\nd", "\nbd"),
    ("#if (true) \r\na#end\rb", "ab"),
    ("#foreach($i in [1..2])\n $i\n#end\nc", " 1\n 2\nc"),
    ("#foreach($i in $input.path('$.l')) \n$i,#end c", "1,2, c"),
    ("a\n#set($x = 1)\nb", "a\nb"),
    # A comment takes it too, where the line is the comment's; a block comment does not.
    ("## c\nb", "b"),
    ("a ## $c #end\r\n\nb", "a \nb"),
    ("a\n  ## c\n  b", "a\n    b"),
    ("#* c\n *#\nb", "\nb"),
    ("#if(true)## c\na#end", "a"),
    ("a## c", "a"),
    # A set takes the blanks before it, unless they belong to a text.
    ("  #set($x = 1)a", "a"),
    ("a  #set($x = 1)b", "a  b"),
    ("#if(true)\n  #set($x = 1)\n  #set($x = 2)\n  a#end", "  a"),
    ("$input.path('$.x.y')  #set($x = 1)b", "zb"),
    # Strings.
    (r'#set($v = "\u0041")$v', "A"),
    (r"""#set($v = "a\u00e9\u0041$input.path('$.x.y')")$v""", "aéAz"),
    (r"#set($v = '\u0041')$v", r"\u0041"),
    ("#set($v = 'it''s')$v", "it's"),
    ('#set($v = "a""b")$v', 'a"b'),
    ('#set($v = "$, # $.x $")$v', "$, # $.x $"),
    (r'#set($v = "\n\t")$v', r"\n\t"),
    (r'#set($v = "\\u0041")$v', r"\A"),
    # Names.
    ("#set($a-b = 1)$a-b.", "1."),
    ("#set($a = 1)${a}-b$a.5$a..b", "1-b1.51..b"),
    ("#set($x = $input.path('$.x'))$x.y$x['y']$!{x.get('y')}$!x.q", "zzz"),
    ('{"a": {"b": $input.path(\'$.x.y\')}}', '{"a": {"b": z}}'),
    ("T$input.path('$.x').get('y')T", "TzT"),
    # Operators in letters, and numbers.
    ("#set($v = 1 lt 2 and not (2 eq 3))$v", "true"),
    ("#set($v = -7 % 3 * 2.)$v", "-2.0"),
    ("#set($v = [2..-1])$v", "[2, 1, 0, -1]"),
]

REFUSED = [
    "#set($v = null)",
    "#if('a')a#end",
    '#if("$input.body")a#end',
    "#if(1)a#end",
    "#if([1])a#end",
    "#if({'a': 1})a#end",
    "#if(1 + 1)a#end",
    "#if(!'a')a#end",
    "#if(true && 'a')a#end",
    "#if(('a'))a#end",
    "#set($v = [ ])",
    "#set($v = 1 -1)",
    "#set($v = 1-1)",
    "#set($v = (1 + 2)",
    r'#set($v = "\u004")',
    r'#set($v = "\u0024x")',
    "#set($v = \"a## b\")",
    "#set($v = 'it's')",
    "#set($v == 1)",
    "$v.length() #set ($x)",
    "$true",
    "$x.true",
    "$x[",
    "$x{",
    "$x.a(",
    "$x.a${x}[0]",
    "$x.a## c\n",
    "$x.f()a.b",
    "$x.f()true",
    "$x[0]a[0]",
    "$x#set($y = 1)[0]",
    "a#",
    "# #set($x = 1)",
    "#* # *#",
    "## $",
    "#[[a]]#",
    "#@m()",
    "#elsewhere",
    "#foreach($i in [1..$n])$i#end",
    "#foreach($i in [1..1001])$i#end",
    "#foreach($foreach in [1..2])a#end",
    "#foreach($i in [1..2])$foreach.parent#end",
    "#foreach($i in [1..2])$foreach#end",
    "#if(true)a#else b#else c#end",
    "$input.path('$').class",
    "#set($s = 'a')$s.bytes",
]  # fmt: skip


def request(template: str) -> str:
    return render_request(template, body=BODY, params=Params(), context={}, stage_variables={})[0]


@pytest.mark.parametrize(("template", "text"), READ)
def test_a_template_is_read_as_velocity_reads_it(template: str, text: str) -> None:
    assert request(template) == text


@pytest.mark.parametrize("template", REFUSED)
def test_what_velocity_reads_otherwise_than_meant_is_refused(template: str) -> None:
    with pytest.raises(RenderError):
        request(template)


def test_a_refusal_says_where() -> None:
    with pytest.raises(RenderError, match=r"line 3, '#elsewhere': does not exist"):
        request("a\nb\n#elsewhere")
