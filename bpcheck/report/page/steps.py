"""The steps of a pass through the network, forward and backward, each with its equation and its meaning."""

from __future__ import annotations

from dataclasses import dataclass

from bpcheck.report.page.numbers import layer_name
from bpcheck.report.page.replay import Replay
from bpcheck.report.page.wrong import wrong_entries
from bpcheck.report.text import MEANINGS

__all__ = ["Step", "first_wrong", "steps"]


@dataclass(frozen=True)
class Step:
    """One step.

    Attributes
    ----------
    kind : {"input", "z", "a", "cost", "delta", "gradient"}
    layer : int
        The book's.
    equation : str
    meaning : str
        One sentence.
    wrong : bool
        Whether something that the caller computed in this step is wrong.
    """

    kind: str
    layer: int
    equation: str
    meaning: str
    wrong: bool = False

    @property
    def phase(self) -> str:
        """``"forward"`` or ``"backward"``."""
        return "backward" if self.kind in ("delta", "gradient") else "forward"


def steps(found: Replay) -> tuple[Step, ...]:
    """All steps in the order in which they are computed.

    Parameters
    ----------
    found : Replay

    Returns
    -------
    tuple of Step

    Examples
    --------
    >>> from bpcheck import Case, Report, Verdict, mlp
    >>> from bpcheck.report.page.replay import replay
    >>> case = Case(mlp([1, 1]), [{"weight": [[2.0]], "bias": [1.0]}], [[3.0]], [[5.0]])
    >>> [step.kind for step in steps(replay(Report("f", Verdict.DISAGREES, counterexample=case)))]
    ['input', 'z', 'a', 'cost', 'delta', 'gradient']
    """
    architecture = found.case.architecture
    listed = [Step("input", 1, f"{layer_name('a', 1)} = x", "The input is the activation of layer 1.")]
    for layer in found.layers:
        n = layer.number
        z, a, below = layer_name("z", n), layer_name("a", n), layer_name("a", n - 1)
        weights, biases = layer_name("W", n), layer_name("b", n)
        listed.append(
            Step(
                "z", n, f"{z} = {weights} {below} + {biases}",
                "Every unit adds up what comes in, each number times its weight, and its bias.",
            )
        )  # fmt: skip
        listed.append(
            Step(
                "a", n, f"{a} = {layer.activation}({z})",
                "The activation function turns the sum z of a unit into what it sends on, a.",
            )
        )  # fmt: skip
    top = found.layers[-1].number
    several = found.case.batch > 1
    penalty = " and the penalty" if architecture.l1 or architecture.l2 else ""
    listed.append(
        Step(
            "cost", top, f"C = {architecture.loss}({layer_name('a', top)}, y)",
            "How far the output is from the target y"
            + (f", the {architecture.reduction} over {found.case.batch} examples{penalty}." if several else f"{penalty}."),
        )
    )  # fmt: skip
    for layer in reversed(found.layers):
        n = layer.number
        delta, z, above = layer_name("δ", n), layer_name("z", n), n + 1
        if n == top:
            rule, equation = "BP1", f"{delta} = ∂C/∂{layer_name('a', n)} ⊙ σ'({z})"
        else:
            rule = "BP2"
            equation = f"{delta} = (({layer_name('W', above)})ᵀ {layer_name('δ', above)}) ⊙ σ'({z})"
        listed.append(
            Step(
                "delta", n, f"{rule}: {equation}", f"{MEANINGS[rule]}.",
                bool(layer.wrong_delta.any()),
            )
        )  # fmt: skip
        total = "Σ " if several else ""
        listed.append(
            Step(
                "gradient", n,
                f"BP3, BP4: ∂C/∂{layer_name('b', n)} = {total}{delta},   "
                f"∂C/∂{layer_name('W', n)} = {total}{delta} ({layer_name('a', n - 1)})ᵀ",
                "A bias is added to z, so its gradient is the error of its unit; a weight multiplies an activation, so "
                "its gradient is the error above times the activation below"
                + (", summed over the examples." if several else "."),
                any(
                    c is not None and bool(wrong_entries(c).any())
                    for c in (layer.weight_comparison, layer.bias_comparison)
                ),
            )
        )  # fmt: skip
    return tuple(listed)


def first_wrong(listed: tuple[Step, ...]) -> int | None:
    """Number of the first step that is wrong; None if none is.

    Examples
    --------
    >>> first_wrong((Step("z", 2, "", ""), Step("delta", 2, "", "", wrong=True)))
    1
    """
    return next((number for number, step in enumerate(listed) if step.wrong), None)
