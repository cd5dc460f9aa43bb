"""Why our schemas differ from those of pydantic-ai and chatlas: named rules, each for one kind of difference.

A rule makes its difference go away: theirs is changed to ours, and where theirs lacks something, ours loses it.
`tool_differences.txt` lists the rules that each signature needs.
"""

import inspect
import re
from copy import deepcopy

MAPS = ("properties", "$defs")


def everywhere(change, schema):
    """The schema after `change` at every schema in it, innermost first; values such as a default are none."""
    if not isinstance(schema, dict):
        return schema
    new = {}
    for key, value in schema.items():
        if key in MAPS:
            value = {name: everywhere(change, item) for name, item in value.items()}
        elif key in ("anyOf", "oneOf", "prefixItems"):
            value = [everywhere(change, item) for item in value]
        elif key in ("items", "additionalProperties", "propertyNames"):
            value = everywhere(change, value)
        new[key] = value
    return change(new)


def side_by_side(change, theirs, ours):
    """`change(theirs, ours)` in place, at every schema that both have."""
    if isinstance(theirs, dict) and isinstance(ours, dict):
        change(theirs, ours)
        for key in set(theirs) & set(ours):
            side_by_side(change, theirs[key], ours[key])
    elif isinstance(theirs, list) and isinstance(ours, list):
        for item, other in zip(theirs, ours, strict=False):
            side_by_side(change, item, other)


def scrub(*keys):
    return lambda theirs, ours: everywhere(lambda item: {k: v for k, v in item.items() if k not in keys}, theirs)


def refs_inlined(theirs, ours):
    definitions = theirs.get("$defs", {})
    kept = ours.get("$defs", {})

    def put(item):
        name = item.get("$ref", "").removeprefix("#/$defs/")
        if name in definitions and name not in kept:
            rest = {key: value for key, value in item.items() if key != "$ref"}
            return {**everywhere(put, definitions[name]), **rest}
        return item

    body = everywhere(put, {key: value for key, value in theirs.items() if key != "$defs"})
    left = {name: everywhere(put, item) for name, item in definitions.items() if name in kept}
    return {**body, "$defs": left} if left else body


def arguments_stay_open(theirs, ours):
    assert theirs["additionalProperties"] is False
    return {key: value for key, value in theirs.items() if key != "additionalProperties"}


def objects_stay_open(theirs, ours):
    def opened(item):
        return {key: value for key, value in item.items() if (key, value) != ("additionalProperties", False)}

    return everywhere(opened, theirs)


def optional_is_not_nullable(theirs, ours):
    def change(item, other):
        for name, inner in item.get("properties", {}).items() if isinstance(item.get("properties"), dict) else ():
            choices = inner.get("anyOf", [])
            null = {"type": "null"} in choices and inner.get("default") is None
            if name in other.get("required", ()) or not null:
                continue
            rest = [choice for choice in choices if choice != {"type": "null"}]
            del inner["anyOf"]
            inner.update({"anyOf": rest} if len(rest) > 1 else {**rest[0], **inner})

    side_by_side(change, theirs, ours)
    return theirs


def optional_is_not_required(theirs, ours):
    def change(item, other):
        if isinstance(item.get("properties"), dict) and set(item.get("required", ())) == set(item["properties"]):
            item.pop("required")
            if "required" in other:
                item["required"] = other["required"]

    side_by_side(change, theirs, ours)
    return theirs


def only_texts_that_both_have(theirs, ours):
    for name, item in ours["properties"].items():
        if "description" not in theirs["properties"][name]:
            item.pop("description", None)
    return theirs


def field_as_a_default_is_read(theirs, ours):
    for name, item in ours["properties"].items():
        assert theirs["properties"][name].items() <= item.items()
        ours["properties"][name] = dict(theirs["properties"][name])
    return theirs


def wrapped_lines_are_joined(theirs, ours):
    def joined(item):
        text = item.get("description")
        return {**item, "description": text.replace("\n", " ")} if isinstance(text, str) else item

    return everywhere(joined, theirs)


def var_positional_may_be_empty(theirs, ours):
    theirs["required"] = [name for name in theirs["required"] if name in ours["required"]]
    return theirs


def var_positional_is_a_list(theirs, ours):
    theirs["properties"]["numbers"] = {"type": "array", "items": theirs["properties"]["numbers"]}
    return theirs


def var_keyword_is_other_names(theirs, ours):
    theirs["additionalProperties"] = theirs["properties"].pop("labels")
    theirs["required"].remove("labels")
    return theirs


def bound_arguments_are_not_offered(theirs, ours):
    del theirs["properties"]["engine"]
    theirs["required"] = [name for name in theirs["required"] if name != "engine"]
    return theirs


def one_argument(theirs, ours):
    (name,) = ours["properties"]
    inner = {key: value for key, value in theirs.items() if key != "$defs"}
    kept = {"$defs": theirs["$defs"]} if "$defs" in theirs else {}
    return {"type": "object", "properties": {name: inner}, "required": [name], **kept}


RULES = {
    "bound arguments are not offered": bound_arguments_are_not_offered,
    "*args is a list": var_positional_is_a_list,
    "**kwargs are other names": var_keyword_is_other_names,
    "refs inlined": refs_inlined,
    "a model stays one argument": one_argument,
    "no title": scrub("title"),
    "*args may be empty": var_positional_may_be_empty,
    "optional is not nullable": optional_is_not_nullable,
    "optional is not required": optional_is_not_required,
    "no default": scrub("default"),
    "no discriminator": scrub("discriminator"),
    "arguments stay open": arguments_stay_open,
    "objects stay open": objects_stay_open,
    "docstrings describe parameters": only_texts_that_both_have,
    "texts in Annotated are descriptions": only_texts_that_both_have,
    "Field as a default is read": field_as_a_default_is_read,
    "wrapped lines are joined": wrapped_lines_are_joined,
}


# Of the function's description.
def without_sections(theirs, ours):
    assert inspect.cleandoc(theirs).startswith(ours)
    return ours


def without_markup(theirs, ours):
    return re.fullmatch(r"<summary>(.*)</summary>\n<returns>.*</returns>", theirs, re.DOTALL)[1]


TEXT_RULES = {"sections are no description": without_sections, "no markup": without_markup}
FAILURES = {"hints as texts are read": "PydanticUserError"}


def explained(theirs, ours, rules):
    """Theirs and ours after the rules, in their own order."""
    if "error" in theirs:
        return (ours, ours) if [FAILURES.get(rule) for rule in rules] == [theirs["error"]] else (theirs, ours)
    theirs, ours = deepcopy(theirs), deepcopy(ours)
    if "a model stays one argument" in rules and theirs["description"]:
        assert not ours["description"], "the function says something itself"
        theirs["parameters"]["description"] = theirs["description"]
        theirs["description"] = ""
    for name, rule in RULES.items():
        if name in rules:
            theirs["parameters"] = rule(theirs["parameters"], ours["parameters"])
    for name, rule in TEXT_RULES.items():
        if name in rules:
            theirs["description"] = rule(theirs["description"], ours["description"])
    return theirs, ours
