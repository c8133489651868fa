# %% [markdown]
r"""
# Checking a gradient

A gradient that somebody has written by hand is a claim. The loss itself can test it: move a parameter a little, and see
whether the loss changes as the gradient says. That sounds simple, and the simple version is wrong in several ways. This notebook
shows what a difference quotient can tell, what it cannot, and how to say which of the two it was.

You need calculus and NumPy, and about half an hour. Notebooks 1 and 2 help but are not required.
"""

# %%
import importlib.util
from pathlib import Path

spec = importlib.util.find_spec("bpcheck")
if spec is None or spec.origin is None:  # not installed (a mere folder of that name has no origin)
    from IPython import get_ipython

    here = Path.cwd()
    folders = [here, here.parent, *sorted(here.glob("bpcheck*/"))]
    found = sorted(here.glob("bpcheck-*.whl"))
    found += [folder for folder in folders if (folder / "bpcheck" / "__init__.py").exists()]
    if not found:
        raise ModuleNotFoundError(
            "bpcheck is not installed, and neither a clone of its repository nor a wheel of it lies here. "
            "On your own machine: open this notebook from the folder notebooks/ of a clone. In Colab: upload a wheel "
            "(bpcheck-….whl, see notebooks/README.md) with the folder symbol on the left, or clone the repository "
            "with !git clone. Then run this cell again."
        )
    get_ipython().run_line_magic("pip", f'install -q "{found[0]}"')

# %%
import numpy as np

import bpcheck
from bpcheck import check_gradient
from bpcheck.course import checking_a_gradient as check
from bpcheck.course import figures

# %% [markdown]
r"""
## 1. Two difference quotients

For a function of one number, the derivative is the limit of

$$\frac{f(x + h) - f(x)}{h} \quad\text{(forward)} \qquad\text{or}\qquad \frac{f(x + h) - f(x - h)}{2h} \quad\text{(central)}.$$

Taylor's formula says how far they are from the limit when $h$ is not zero. In the central one the terms with $f''$ cancel:

$$\frac{f(x + h) - f(x)}{h} = f' + \frac h2 f'' + \dots, \qquad \frac{f(x + h) - f(x - h)}{2h} = f' + \frac{h^2}{6} f''' + \dots$$

A loss has many parameters. Its gradient needs one such quotient for each of them, all others held still.

### Exercise 1: the central difference for an array

`f` takes an array of the shape of `x` and returns a number. Return an array of the same shape that holds the central difference by each
entry. `np.ndindex(x.shape)` runs over all indices, whatever the shape. Leave `x` as it is.
"""


# %% tags=["exercise"]
def central_gradient(f, x, h):
    # return an array of the shape of x
    ...


check.central_gradient(central_gradient)

# %% [markdown] tags=["solution"]
r"""
<details><summary>Solution</summary>

```python
def central_gradient(f, x, h):
    slopes = np.zeros(x.shape)
    for index in np.ndindex(x.shape):
        there, back = x.copy(), x.copy()
        there[index] += h
        back[index] -= h
        slopes[index] = (f(there) - f(back)) / (2 * h)
    return slopes
```

bpcheck tried it on cubics at points where floating-point numbers make no rounding error. So it needs no tolerance: the
result is exactly what the formula says, or it is another formula.

</details>
"""

# %% [markdown]
r"""
## 2. The V: too large, too small

By Taylor, a smaller $h$ is better. A computer disagrees. It rounds every value of $f$ by up to $u\,|f|$, where
$u = 2^{-53} \approx 1.1 \cdot 10^{-16}$ is the *unit roundoff* of float64. The difference of two such values is off by up to $2u\,|f|$, and
dividing by a small $h$ makes that large. Two errors, added up:

| | truncation | rounding |
|---|---|---|
| forward | $\frac h2 \lvert f'' \rvert$ | $\frac{2u \lvert f \rvert}{h}$ |
| central | $\frac{h^2}6 \lvert f''' \rvert$ | $\frac{u \lvert f \rvert}{h}$ |

One grows with $h$, the other shrinks. On logarithmic scales their sum is a V. Move the slider.
"""

# %%
figures.step_figure()

# %% [markdown]
r"""
Things to try:

1. Find the bottom of the V for each function. Is it always at the same $h$? What moves it?
2. $e^x + 1{,}000{,}000$ has the same derivative as $e^x$. Why is it so much harder to find?
3. Beside a kink, the central difference is fine for small $h$ and jumps to a wrong value for larger ones. Where exactly, and why?

The third curve is the **complex step**: $f'(x) \approx \operatorname{Im} f(x + ih)/h$. By Taylor, $f(x + ih) = f + ihf' - \dots$, so the
imaginary part holds $h f'$ by itself. Nothing is subtracted, nothing is lost, and $h$ may be $10^{-30}$. It needs an $f$ that takes complex
numbers and is smooth: `abs`, `max` and comparisons break it without a sound.

### Exercise 2: the best step

Predict the bottom. From $f$, $f''$, $f'''$ at the point and $u$, find the $h$ for which truncation plus rounding is smallest: once for the
forward difference, once for the central one. (Set the derivative of the sum with respect to $h$ to zero. All of it is a line each.)
bpcheck accepts a step that costs no more than one decimal digit.
"""


# %% tags=["exercise"]
def best_steps(value, second, third, u):
    forward_h = ...
    central_h = ...
    return forward_h, central_h


check.best_steps(best_steps)

# %% [markdown] tags=["solution"]
r"""
<details><summary>Solution</summary>

```python
def best_steps(value, second, third, u):
    forward_h = 2 * np.sqrt(u * abs(value / second))
    central_h = np.cbrt(3 * u * abs(value / third))
    return forward_h, central_h
```

Forward: $\frac12|f''| = 2u|f|/h^2$. Central: $\frac h3|f'''| = u|f|/h^2$. The rules $\sqrt u \approx 10^{-8}$ and
$\sqrt[3]u \approx 5 \cdot 10^{-6}$ that one reads everywhere are these formulas for $f$, $f''$ and $f'''$ of size 1.

</details>
"""

# %% [markdown]
r"""
## 3. Why “relative error below 1e-5” is a guess

So a difference quotient has an error of its own, and its size depends on the function. A fixed tolerance ignores that. Here is the usual
recipe, $h = 10^{-5}$ and a relative tolerance of $10^{-5}$, applied to gradients that are *right*:
"""

# %%
x = np.array([0.3, -0.8, 0.6])
losses = {
    "sum of sines": (lambda x: np.sum(np.sin(x)), np.cos),
    "the same + 1e7": (lambda x: np.sum(np.sin(x)) + 1e7, np.cos),
    "sin(3000 x)": (lambda x: np.sum(np.sin(3000 * x)), lambda x: 3000 * np.cos(3000 * x)),
    "computed in float32": (lambda x: float(np.sum(np.sin(x.astype(np.float32)))), np.cos),
}
for name, (f, gradient) in losses.items():
    slopes = check.differences(f, x, 1e-5)
    error = np.max(abs(slopes - gradient(x)) / abs(gradient(x)))
    print(
        f"{name:20s} relative error {error:.0e}   {'accepted' if error <= 1e-5 else 'REFUSED, though it is right'}"
    )

# %% [markdown]
r"""
To accept all four, the tolerance would have to be a hundred times wider. One example that got lost from a batch of 2000 would then pass.

### Exercise 3: mend a broken checker (the step)

This checker uses a step that grows with the parameter, which is a good idea. It refuses right gradients all the same, and passes some wrong
ones. Find the mistake and mend it.
"""


# %% tags=["exercise"]
def checker(f, gradient, x):
    claimed = gradient(x)
    for i in range(len(x)):
        h = 1e-6 * max(1.0, abs(x[i]))
        there, back = x.copy(), x.copy()
        there[i] += h
        back[i] -= h
        slope = (f(there) - f(back)) / (2 * 1e-6)
        if not abs(slope - claimed[i]) <= 1e-5 * np.max(abs(claimed)):
            return False
    return True


check.mended_step(checker)

# %% [markdown] tags=["solution"]
r"""
<details><summary>Solution</summary>

```python
def checker(f, gradient, x):
    claimed = gradient(x)
    for i in range(len(x)):
        h = 1e-6 * max(1.0, abs(x[i]))
        there, back = x.copy(), x.copy()
        there[i] += h
        back[i] -= h
        slope = (f(there) - f(back)) / (2 * h)
        if not abs(slope - claimed[i]) <= 1e-5 * np.max(abs(claimed)):
            return False
    return True
```

For parameters up to 1 the two steps are the same number, so a test with small parameters never sees it.

</details>
"""

# %% [markdown]
r"""
### Exercise 4: mend another one (the tolerance)

“Small absolute error **or** small relative error” is a common rule. With it, a gradient of zeros can pass. Try the checker on a loss that is
about $10^{-12}$, and on a gradient with a NaN in it. `check.differences` is the central difference of exercise 1.
"""


# %% tags=["exercise"]
def tolerant_checker(f, gradient, x):
    claimed, slopes = gradient(x), check.differences(f, x, 1e-6)
    for c, s in zip(claimed, slopes):
        absolute = abs(c - s)
        relative = absolute / max(abs(c), abs(s))
        if absolute > 1e-5 and relative > 1e-5:
            return False
    return True


check.mended_tolerance(tolerant_checker)

# %% [markdown] tags=["solution"]
r"""
<details><summary>Solution</summary>

```python
def tolerant_checker(f, gradient, x):
    claimed, slopes = gradient(x), check.differences(f, x, 1e-6)
    size = np.max(abs(slopes))
    return bool(np.all(abs(claimed - slopes) <= 1e-5 * size))
```

Three things changed. Every comparison with NaN is False, so the question is turned round: `<=` must hold, instead of `>` must not.
No absolute number is left. And a difference is held against the size of the whole gradient, because an entry that is tiny beside the
others is lost in their rounding.

The tolerance itself is as much of a guess as before. To get rid of it, one has to know the error of the differences.

</details>
"""

# %% [markdown]
r"""
## 4. A difference quotient that knows its error

`bpcheck.derivative` evaluates $f$ at a ladder of steps, removes $h^2$, $h^4$, … by extrapolation, measures how noisy $f$ is, and returns the
value with a bound on its error. The losses from above once more, along the first parameter:
"""

# %%
along = np.array([1.0, 0.0, 0.0])
for name, (f, gradient) in losses.items():
    estimate = bpcheck.derivative(f, x, along)
    off = abs(estimate.value - gradient(x)[0])
    print(f"{name:20s} off by {off:.0e}, promised at most {estimate.error:.0e}, h = {estimate.step:.0e}")

# %% [markdown]
r"""
(The last one loses its digits inside $f$. The ladder cannot bring them back, but it notices, and its bar is the widest.)

With a bar, nobody has to guess. `check_gradient` does it for every parameter and answers with one of these words:

- **AGREES**: every difference lies within its bar, *and* the bars are narrow enough to mean something;
- **DISAGREES**: some difference lies outside, and does so again with another step;
- **INCONCLUSIVE**: the bars are too wide to tell. That is not a pass.
"""

# %%
f, gradient = losses["sum of sines"]
report = check_gradient(f, gradient, x, seed=0)
print(report)

# %% [markdown]
r"""
### What an AGREES could have missed

The line *limit* above is the **detection limit**: the smallest error, relative to the gradient's size, that would certainly have been seen. A pass
without it is worth little. Add a constant to the loss and watch the limit grow, until nothing can be said:
"""

# %%
for offset in (0.0, 1e3, 1e6, 1e9, 1e12):
    report = check_gradient(lambda x, offset=offset: np.sum(np.sin(x)) + offset, np.cos, x, seed=0)
    print(f"+ {offset:.0e}: {report.verdict.name:13s} limit {report.detection_limit.maximum:.0e}")

# %% [markdown]
r"""
### A zero gradient that a bad test passes

Tests of automatic differentiation are often written at comfortable points with a comfortable tolerance. For $e^x$ at $x = -12$ and an absolute
tolerance of $10^{-4}$, a gradient that is plainly zero is good enough. Not for a check that knows how well it can see.
"""

# %%
point = np.array([-12.0, -15.0])
slopes = check.differences(lambda x: np.sum(np.exp(x)), point, 1e-5)
print("absolute tolerance 1e-4:", np.allclose(np.zeros(2), slopes, rtol=0, atol=1e-4))
print(
    "check_gradient:", check_gradient(lambda x: np.sum(np.exp(x)), np.zeros_like, point, seed=0).verdict.name
)

# %% [markdown]
r"""
### Exercise 5: one wrong entry

`suspect` is a small network with a loss and a gradient. One entry of the gradient is 3 % too large. You will not see it by looking. Run
`check_gradient(suspect.loss, suspect.gradient, suspect.params)`, print the report, and say where the entry is: path and index, for
example `("params[0]['weight']", (1, 0))`.
"""

# %% tags=["exercise"]
suspect = check.suspect()
found = ...

check.wrong_entry(found)

# %% [markdown] tags=["solution"]
r"""
<details><summary>Solution</summary>

```python
suspect = check.suspect()
report = check_gradient(suspect.loss, suspect.gradient, suspect.params, seed=0)
worst = max(report.comparisons, key=lambda comparison: comparison.verdict.severity)
found = (worst.path, worst.worst_index)
```

</details>
"""

# %% [markdown]
r"""
## 5. Kinks

ReLU has a corner at 0. There the slope is 0 to the left and 1 to the right, and no number is *the* derivative. A central difference reports ½, which
hardly any implementation returns. What should a check say about an implementation that returns 0? Or 1?
"""

# %%


def relu(x):
    return float(np.sum(np.maximum(x, 0.0)))


corner = np.array([0.0, 0.5])
for at_zero in (0.0, 1.0, 0.5, -0.3):
    report = check_gradient(
        relu, lambda x, at_zero=at_zero: np.where(x == 0, at_zero, (x > 0) * 1.0), corner, seed=0
    )
    print(f"slope {at_zero:4} at the corner: {report.verdict.name}")

print(bpcheck.derivative(relu, corner, np.array([1.0, 0.0])).interval)

# %% [markdown]
r"""
Everything between the one-sided slopes is a valid choice, and AGREES_AT_KINK says that a choice was made. Outside of the interval is wrong, at a kink
too.

*Near* a kink the derivative exists, but a fixed step may reach across. A ladder that goes down to smaller steps notices where the slope stops changing:
"""

# %%
for distance in (1e-3, 1e-6, 1e-9):
    beside = np.array([distance, 0.5])
    fixed = check.differences(relu, beside, 1e-5)[0]
    adaptive = bpcheck.derivative(relu, beside, np.array([1.0, 0.0]))
    print(
        f"{distance:.0e} beside the corner: h = 1e-5 says {fixed:.4f}, the ladder says {adaptive.value:.4f}"
    )

# %% [markdown]
r"""
## 6. Three witnesses

One check can be wrong in the same way as the code it checks: both may share a misunderstanding. bpcheck asks three witnesses who have nothing in
common:

1. **analytic**: backpropagation by the four equations, with a bound on its own rounding;
2. **symbolic**: the whole cost as one formula, differentiated by SymPy;
3. **numeric**: the loss alone, evaluated again and again. Here it is the complex step.

They are compared pairwise, each with its own error bound.
"""

# %%
from bpcheck import numeric, reference, symbolic
from bpcheck.check.agreement import agree
from bpcheck.check.witness import testify

architecture = bpcheck.mlp([2, 3, 2], activation="tanh", loss="cross_entropy")
rng = np.random.default_rng(0)
network = reference.build(architecture)
case = bpcheck.Case(architecture, network.init(rng), rng.normal(size=(2, 2)), np.eye(2))

witnesses = {
    "analytic": testify(case),
    "symbolic": symbolic.testify(case),
    "numeric": numeric.complex_step(
        lambda params: network.cost(params, case.x, case.y), case.params, rng=rng
    ),
}
names = list(witnesses)
for first, second in ((0, 1), (0, 2), (1, 2)):
    verdicts = {c.verdict.name for c in agree(witnesses[names[first]], witnesses[names[second]])}
    print(f"{names[first]:8s} against {names[second]:8s}: {', '.join(sorted(verdicts))}")

for name, witness in witnesses.items():
    entry = next(iter(witness.gradient))
    print(
        f"{name:8s} {entry}[0, 0] = {witness.gradient[entry][0, 0]:+.16f} ± {witness.error[entry][0, 0]:.0e}"
    )

# %% [markdown]
r"""
For your own dense network there is a shorter way: `bpcheck.compare(backprop)` runs it against the first witness on random networks and names the
bug. For anything else that has a loss, `check_gradient` is what you want; `assert_gradient` is the same inside a test.

## What to take along

- A difference quotient is the derivative plus truncation (grows with $h$) plus rounding (grows with $1/h$).
- No step is right for all functions, and no tolerance is. Ask for the error bar.
- Write comparisons so that NaN fails: `if not error <= bound`.
- “Absolute or relative” lets small gradients pass unseen.
- A pass is worth what its detection limit says. INCONCLUSIVE is not a pass.
- At a kink, an interval is the answer.
"""
