"""What an example says, as numbers."""

import re
import string

NUMBER = r"[-+]?\d[\d,]*(?:\.\d+)?%?"


def number(text):
    """A percentage as a share."""
    value = float(text.replace(",", "").removesuffix("%"))
    return value / 100 if text.endswith("%") else value


def numbers(text):
    """All that stand in a text."""
    return [number(found) for found in re.findall(NUMBER, text)]


def said(template, printed):
    """Those that stand in the places of a template, in their order."""
    pattern = "".join(
        re.escape(words) + (f"({NUMBER})" if place is not None else "")
        for words, place, *_ in string.Formatter().parse(" ".join(template.split()))
    )
    [found] = re.finditer(pattern, " ".join(printed.split()))
    return [number(group) for group in found.groups()]
