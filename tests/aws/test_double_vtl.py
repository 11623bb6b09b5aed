"""The double's mapping templates: what surprises on API Gateway surprises here too, and a slip is an error."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.aws.double.vtl import Overrides, Params, RenderError, RequestOverrides, render_request, render_response

PARAMS = Params({"jobId": "a%20b", "x": "path"}, {"x": "query", "wait": "1"}, {"x": "header", "X-Id": "it's"})
CONTEXT = {"requestId": "r-1", "identity": {"sourceIp": "127.0.0.1"}}
AS_JSON = r"""$util.escapeJavaScript($input.path('$.x')).replaceAll("\\'", "'")"""


def request(template: str, body: Any = None, **given: Any) -> str:
    text = "" if body is None else json.dumps(body)
    return render_request(
        template, **{"body": text, "params": PARAMS, "context": CONTEXT, "stage_variables": {"table": "Jobs"}, **given}
    )[0]


def response(template: str, body: str = "", request_overrides: RequestOverrides | None = None) -> tuple[str, Overrides]:
    return render_response(
        template, body=body, params=PARAMS, context=CONTEXT, stage_variables={}, request_overrides=request_overrides
    )


# Fact 1


def test_a_response_template_sees_the_integrations_body_and_the_methods_parameters() -> None:
    text, _ = response("$input.body|$input.path('$.a')|$input.params('jobId')|$context.requestId", '{"a": 1}')
    assert text == '{"a": 1}|1|a%20b|r-1'


def test_a_request_override_reads_blank_in_a_response_template_unless_it_is_given() -> None:
    template = "<$context.requestOverride.path.jobId>"
    assert response(template)[0] == "<>"
    assert response(template, request_overrides=RequestOverrides(path={"jobId": "j-1"}))[0] == "<j-1>"


def test_a_request_template_overrides_headers_query_and_path() -> None:
    template = """#set($context.requestOverride.header.X-Amz-Target = "T")
#set($context.requestOverride.querystring.q = $input.path('$.q'))#set($context.requestOverride.path.jobId = 'j')x"""
    rendered = render_request(template, body='{"q": "1"}', params=PARAMS, context=CONTEXT, stage_variables={})
    assert rendered == ("x", RequestOverrides({"X-Amz-Target": "T"}, {"q": "1"}, {"jobId": "j"}))


# Fact 2


def test_a_response_override_may_be_set_once_each() -> None:
    template = """#set($context.responseOverride.status = 404)#set($context.responseOverride.header.Retry-After = "1")
#set($context.responseOverride.header['Location'] = "/jobs/$input.params('jobId')")"""
    assert response(template) == ("", Overrides(404, {"Retry-After": "1", "Location": "/jobs/a%20b"}))


@pytest.mark.parametrize(
    "template",
    [
        "#set($context.responseOverride.status = 404)#set($context.responseOverride.status = 404)",
        "#set($context.responseOverride.header.A = 'a')#set($context.responseOverride.header.a = 'b')",
        "#set($context.responseOverride.status = '404')",
        "#set($context.responseOverride.status = 4040)",
        "#set($context.responseOverride.header.A = 1)",
        "#set($context.responseOverride.header.A = $missing)",
        "#set($context.responseOverride.body = 'b')",
        "#set($context.requestOverride.path.a = 'b')",
        "#set($context.requestId = 'mine')",
        "#set($context = 'mine')",
        "#set($input.body = 'mine')",
        "#set($stageVariables.a = 'mine')",
        "#set($missing.a = 'b')",
    ],
)
def test_what_cannot_be_set_or_not_again_is_an_error(template: str) -> None:
    with pytest.raises(RenderError):
        response(template)


def test_a_request_template_sets_no_response_override() -> None:
    with pytest.raises(RenderError):
        request("#set($context.responseOverride.status = 404)")


# Fact 3


@pytest.mark.parametrize(
    "name", ["$x", "$!x", "${x}", "$!{x}", "$x.y.z", "$x.call('a').b", "$context.no.such", "$x[0]"]
)
def test_an_undefined_reference_renders_empty_and_is_true(name: str) -> None:
    assert request(f'<{name}>#set($s = "<{name}>")$s') == "<><>"
    assert request(f"#if({name})true#{{else}}false#end") == "true"
    assert request(f"#if(!{name})true#{{else}}false#end") == "false"


def test_a_quoted_comparison_with_empty_tells_what_is_missing() -> None:
    template = """#set($x = $input.path('$.x'))#if("$!x" == "")missing#{else}$x#end"""
    assert [request(template, body) for body in ({}, {"x": None}, {"x": ""}, {"x": 0}, {"x": False})] == [
        "missing", "missing", "missing", "0", "false"
    ]  # fmt: skip


def test_a_false_out_of_json_is_false_and_a_null_is_as_if_undefined() -> None:
    template = "#if($input.path('$.x'))true#{else}false#end"
    assert [request(template, {"x": value}) for value in (False, True, None, "a", 1)] == [
        "false", "true", "true", "true", "true"
    ]  # fmt: skip


@pytest.mark.parametrize(
    "condition",
    [
        "''",
        "0",
        "[]",
        "$no == ''",
        "$no == $no",
        "$no && true",
        "true && $no",
        "1 == '1'",
        "'a' < 'b'",
        "$no > 1",
        "1 / 0",
    ],
)
def test_what_nobody_has_seen_a_condition_do_is_an_error(condition: str) -> None:
    with pytest.raises(RenderError):
        request(f"#if({condition})a#end")


def test_a_null_set_over_a_value_is_an_error() -> None:
    with pytest.raises(RenderError):
        request("#set($x = 'old')#set($x = $input.path('$.missing'))$x", {})


# Fact 4


def test_escape_javascript_writes_a_quote_that_json_forbids() -> None:
    assert request("$util.escapeJavaScript($input.path('$.x'))", {"x": "it's \"é\\/\n\x01😀"}) == (
        r"it\'s \"\u00E9\\\/\n\u0001\uD83D\uDE00"
    )
    with pytest.raises(json.JSONDecodeError):
        json.loads('"' + request("$util.escapeJavaScript($input.path('$.x'))", {"x": "it's"}) + '"')
    assert request(AS_JSON, {"x": "it's"}) == "it's"


@given(st.text())
def test_any_text_escaped_and_with_its_single_quotes_repaired_is_json(text: str) -> None:
    assert json.loads(f'"{request(AS_JSON, {"x": text})}"') == text


@given(st.text())
def test_what_is_url_encoded_and_decoded_is_the_same(text: str) -> None:
    assert request("$util.urlDecode($util.urlEncode($input.path('$.x')))", {"x": text}) == text


# Fact 5


@pytest.mark.parametrize(
    "template",
    [
        r'#set($x = "\"q\"")',
        r"""$util.escapeJavaScript("\"")""",
        "#macro(m)a#end",
        '#set($day = "1")$day-$day',
        "#m()",
        '#parse("a")',
        '#include("a")',
        '#evaluate("a")',
        "#define($x)a#end",
        "#stop",
        "#break",
        "#SET($x = 1)",
        "#if(true)a",
        "#end",
        "${x",
        "${x|'y'}",
        r"\$x",
        "cost: $",
        "$5",
        "#set($x = \"#if(true)a#end\")",
        "$util.toJson($x)",
        "$input.jsonn('$')",
        "$input.bodyy",
        "$input()",
    ],
)  # fmt: skip
def test_what_does_not_exist_is_an_error(template: str) -> None:
    with pytest.raises(RenderError):
        request(template)


def test_objects_print_as_javas_maps_and_their_lists_as_json() -> None:
    body = {"x": {"a": 1, "b": {"c": None, "d": True}, "e": ["f", {"g": 2.5}]}}
    assert request("$input.path('$.x')", body) == '{a=1, b={c=null, d=true}, e=["f",{"g":2.5}]}'
    assert request("#set($l = ['a', 1, [true]])$l") == "[a, 1, [true]]"
    assert request("#set($m = {'a': 'b'})#set($m.c = 1)$m $m.entrySet() $m.keySet()") == "{a=b, c=1} [a=b, c=1] [a, c]"


# $input


def test_paths_reach_names_and_indexes_and_what_is_missing_is_nothing() -> None:
    body = {"a": {"b-c": [{"d e": "found"}]}, "n": None}
    assert request("$input.path(\"$.a.b-c[0]['d e']\") $input.path('$').a.b-c[0].get('d e')", body) == "found found"
    assert (
        request("<$input.path('$.a.x')$input.path('$.a[0]')$input.path('$.a.b-c[1].x')$input.path('$.n.x')>", body)
        == "<>"
    )
    assert (
        request("<$input.json('$.x')> $input.json('$.n') $input.json('$.a')", body)
        == '<> null {"b-c":[{"d e":"found"}]}'
    )


def test_a_request_without_a_body_reads_as_an_empty_object() -> None:
    assert request("$input.body$input.json('$')<$input.path('$.x')$input.json('$.x')>") == "{}{}<>"


def test_a_response_without_a_body_is_no_json() -> None:
    assert response("<$input.body$input.json('$')$input.path('$')$input.path('$.Type')>")[0] == "<>"


@pytest.mark.parametrize("path", ["x", "$..x", "$.x[*]", "$.x[?(@.y)]", "$.*", "$.x[-1]", "$ ", ""])
def test_another_json_path_is_an_error(path: str) -> None:
    with pytest.raises(RenderError, match="JSONPath"):
        request(f"$input.path('{path}')", {"x": 1})


@pytest.mark.parametrize("body", ["{", "NaN", "[1e999]", "{'a': 1}", "[" * 100_000, "9" * 4301], ids=range(6))
def test_a_body_that_is_no_json_has_no_paths(body: str) -> None:
    assert response("$input.body", body)[0] == body
    with pytest.raises(RenderError):
        response("$input.path('$')", body)


def test_parameters_are_searched_in_path_then_query_then_header() -> None:
    assert (
        request("$input.params('x') $input.params('wait') $input.params('X-Id') <$input.params('no')>")
        == "path 1 it's <>"
    )
    assert request("$input.params().header.get('x') $input.params().querystring.x $input.params().path") == (
        "header query {jobId=a%20b, x=path}"
    )
    assert request("$stageVariables.table $context.identity.sourceIp $!{context.requestId}!") == "Jobs 127.0.0.1 r-1!"


# $util


def test_url_decoding_is_javas() -> None:
    given_path = Params(path={"x": "a+b%20c%C3%A9%FF%ED%A0%80"})
    assert request("$util.urlDecode($input.params('x'))", params=given_path) == "a b cé\ufffd\ufffd"
    for wrong in ("%", "%4", "%zz", "a%-1"):
        with pytest.raises(RenderError):
            request("$util.urlDecode($input.params('x'))", params=Params(path={"x": wrong}))
    assert request("$util.urlEncode('a b~*é/')") == "a+b%7E*%C3%A9%2F"


def test_a_path_may_be_quoted_either_way() -> None:
    assert request("""$input.json("$")$input.json('$')$input.path("$['x']")""", {"x": 1}) == '{"x":1}{"x":1}1'


def test_base_64_and_json_are_read_and_written() -> None:
    assert request("$util.base64Decode($util.base64Encode('é'))$util.parseJson('[{\"a\": 5}]')[0].a") == "é5"
    for wrong in (
        "$util.base64Decode('*')",
        "$util.parseJson('{')",
        "$util.escapeJavaScript(1)",
        "$util.urlEncode($no)",
    ):
        with pytest.raises(RenderError):
            request(wrong)


# Directives and expressions


def test_foreach_goes_over_lists_and_maps_values_and_knows_where_it_is() -> None:
    loop = "$foreach.count:$n#if($foreach.hasNext),#end#set($l = $n)"
    template = f"#set($n = 'out')#foreach($n in $input.path('$.x')){loop}#end|$n$l"
    assert request(template, {"x": ["a", "b"]}) == "1:a,2:b|outb"
    assert request(template, {"x": {"k": "v"}}) == "1:v|outv"
    assert request(template, {}) == "|out"
    assert request("#foreach($i in [3..1])$i$velocityCount #end") == "31 22 13 "
    assert (
        request("#foreach($e in $input.path('$').entrySet())$e.key=$e.getValue();#end", {"a": 1, "b": None})
        == "a=1;b=;"
    )
    with pytest.raises(RenderError):
        request(template, {"x": "text"})


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("1 + 2 * 3 - 1", "6"), ("(1 + 2) * 3", "9"), ("-7 / 2", "-3"), ("-7 % 2", "-1"), ("100.0 / 50", "2.0"),
        ("4 > 2 + 5", "false"), ("1 == 1.0", "true"), ("1 != 2 && 2 <= 2", "true"), ("false || 1 lt 2", "true"),
        ("!(1 == 2)", "true"), ("'a' == \"a\"", "true"), ("true == 1", "false"), ("false && $no.call() > 1", "false"),
        ("'$x'", "$x"), ("\"${stageVariables.table}s\"", "Jobss"), ("\"a\"\"b\"", 'a"b'), (r"'\n'", r"\n"),
    ],
)  # fmt: skip
def test_expressions_give_what_velocity_gives(expression: str, value: str) -> None:
    assert request(f"#set($v = {expression})$v") == value


def test_a_property_that_a_text_or_a_number_does_not_have_is_undefined() -> None:
    assert request("<$input.path('$.x').y>", {"x": "text"}) == request("<$input.path('$.x').y>", {"x": 1}) == "<>"


def test_conditions_take_the_first_true_branch() -> None:
    template = "#if($input.path('$.x') == 1)one#elseif($input.path('$.x') == 2)two#{else}other#end"
    assert [request(template, {"x": x}) for x in (1, 2, 3, "one")] == ["one", "two", "other", "other"]


def test_comments_and_directives_leave_no_trace() -> None:
    assert request('## one $x #set\n#* two\n *#\n#set($a = 1)\n{"a": $a}## three') == '\n{"a": 1}'
    assert request('{"regex": "^a$", "colour": "# 1"}') == '{"regex": "^a$", "colour": "# 1"}'


def test_text_from_a_client_is_never_a_template() -> None:
    hostile = "$context.requestId #set($x = 1) ${x} \\"
    assert request("$input.path('$.x')#set($y = \"$input.path('$.x')\")|$y", {"x": hostile}) == f"{hostile}|{hostile}"
