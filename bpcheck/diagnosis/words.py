"""What a mistake is called where no network is known, and how sentences begin."""

from __future__ import annotations

from collections.abc import Mapping

from bpcheck.diagnosis.bug import Hints

__all__ = ["BY_NUMBERS", "sentence_case"]


def sentence_case(text: str) -> str:
    """A capital at the front, unless it begins with a symbol: δ stays δ, a^l is not A^l, and v is not V.

    Examples
    --------
    >>> sentence_case("the sign is wrong"), sentence_case("a step is missing"), sentence_case("a^l was used")
    ('The sign is wrong', 'A step is missing', 'a^l was used')
    """
    first = text.partition(" ")[0]
    is_word = first.rstrip(",:'s").isascii() and first.replace("'", "").isalpha()
    return text[:1].upper() + text[1:] if is_word and (len(first) > 1 or first == "a") else text


SCALED = "Where does a factor enter that the loss does not have, or miss one that it has?"

BY_NUMBERS: Mapping[str, tuple[str, Hints]] = {
    "sign-flipped": (
        "the sign of the gradient is wrong.",
        (
            "The gradient has the right size and the wrong sign.",
            "Which difference is differentiated, a − b or b − a?",
            "Look for a difference that is taken the other way round, and for a minus sign that is lost.",
        ),
    ),
    "factor-two": (
        "the gradient is twice what it should be.",
        (
            "The gradient points the right way, but is too large by one factor.",
            SCALED,
            "Look for the 2 of a square's derivative where the loss has a ½, and for a sum that is added twice.",
        ),
    ),
    "factor-half": (
        "the gradient is half of what it should be.",
        (
            "The gradient points the right way, but is too small by one factor.",
            SCALED,
            "Look for the 2 of a square's derivative, and for a ½ that the loss does not have.",
        ),
    ),
    "sum-for-mean": (
        "the gradient is too large by the length of an argument: a mean in the loss may be a sum in the gradient.",
        (
            "The gradient points the right way, but is too large by one factor.",
            "Does the loss divide by a number of examples, and does the gradient?",
            "If the loss is a mean over that axis, divide the gradient by its length, once.",
        ),
    ),
    "averaged-twice": (
        "the gradient is too small by the length of an argument: a mean may be taken once too often.",
        (
            "The gradient points the right way, but is too small by one factor.",
            "How often does the gradient divide by a number of examples, and how often does the loss?",
            "Divide the gradient by the length of that axis as often as the loss does.",
        ),
    ),
    "outer-transposed": (
        "the gradient is the transpose of what it should be.",
        (
            "The gradient has the right numbers in the wrong places.",
            "Which index of the gradient belongs to which index of the parameter?",
            "Swap the factors of the product that it is made of, or transpose it.",
        ),
    ),
    "swapped-layers": (
        "the gradients of several parameters stand in one another's place.",
        (
            "Each of these tensors holds the gradient of another one.",
            "In which order are the gradients computed, and in which are they returned?",
            "Return each gradient in the place of its own parameter.",
        ),
    ),
    "one-entry-wrong": (
        "a single entry of a tensor is wrong, all others in it are right.",
        (
            "A single number of a tensor is wrong.",
            "Is some entry written a second time, or treated apart?",
            "Look for an index that is written by hand, and for loops that begin or end one too early.",
        ),
    ),
    "never-written-entry": (
        "a single entry of a tensor is 0, all others in it are right: it may never be written.",
        (
            "A single number of a tensor is 0, and should not be.",
            "Does the loop reach the first and the last index?",
            "Let the loop run over all indices.",
        ),
    ),
}
"""Explanation and hints by slug, for a gradient of any function: there it is no output error that is twice too large."""
