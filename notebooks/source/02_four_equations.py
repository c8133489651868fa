# %% [markdown]
r"""
# The four equations, derived

Backpropagation is four equations. In this notebook each of them is derived by a few lines of calculus, and every line is checked: for all
widths, any activation, any cost. You type some of the lines yourself. In the end the four equations are four lines of NumPy, and with
them you write a whole backward pass.

You need calculus, NumPy and notebook 1, and about three quarters of an hour. *Seed 1* and *seed 2* are the two texts that notebook 1 read as
a proofreader; some of their equations are mended here.
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
from bpcheck.course import figures, show
from bpcheck.course import four_equations as check

# %% [markdown]
r"""
## 1. What δ is

All four equations are about one quantity:

$$\delta^l_j = \frac{\partial C}{\partial z^l_j},$$

how much the cost $C$ rises when the pre-activation $z^l_j$ rises a little, per unit. It is called the *error* of unit $j$. That is only
a name. Seed 1 gives the name and no definition (“Error at neuron $j$ in layer $l$”), and taken at its word it misleads: a unit in a
hidden layer has no target, so there is nothing from which it could be off.

A derivative can be measured. Move $z^2_j$ of a hidden unit, let the rest of the forward pass run, and watch $C$:
"""

# %%
network = bpcheck.reference.build(bpcheck.mlp([3, 4, 2], activation="tanh", loss="half_mse"))
rng = np.random.default_rng(1)
params, x, y = network.init(rng), rng.normal(size=(1, 3)), rng.normal(size=(1, 2))
trace = network.trace(params, x, y)


def cost_from(z2):  # the forward pass from z² on
    z3 = np.tanh(z2) @ params[1]["weight"].T + params[1]["bias"]
    return 0.5 * np.sum((z3 - y) ** 2)


for j in range(4):
    direction = np.eye(4)[[j]]  # move unit j alone
    moved = bpcheck.derivative(cost_from, trace.pre_activations[0], direction)
    delta_j = trace.deltas[0][0, j]
    print(f"unit {j + 1}: measured {moved.value:+.9f} ± {moved.error:.0e}   δ² = {delta_j:+.9f}")

# %% [markdown]
r"""
The right column was found without moving anything, for all units at once. How?

## 2. BP1, the output layer

We begin at the end. Of the cost we suppose no more than that it is a differentiable function of the outputs, $C(a^L_1, \dots, a^L_n)$.
The chain rule for a function of several variables says: the sum over all the ways in which $z^L_j$ can reach $C$,

$$\delta^L_j = \frac{\partial C}{\partial z^L_j} = \sum_k \frac{\partial C}{\partial a^L_k}\, \frac{\partial a^L_k}{\partial z^L_j}.$$

(Seed 2 writes $C'(a^L)$ for the first factor. $C$ is a function of many numbers: it has no one derivative $C'$, but a partial derivative for each
output. Together they are the gradient $\nabla_a C$.)

In code such a line is an expression. The letters are made once; an index knows how far it runs.
"""

# %%
from bpcheck.symbolic.index import Diff, check_line, kronecker, total
from derivations.bp1_output_error import slope
from derivations.notation import L, W, a, delta, l, sigma, unit, z

j, k = unit("j", L), unit("k", L)  # two indices over the units of layer L

# slope(k) is ∂C/∂a^L_k. Diff(…, z[L, j]) is ∂…/∂z^L_j, not carried out yet.
# total(…, k) is the sum over k.
line_1 = total(slope(k) * Diff(a[L, k], z[L, j]), k)
show(line_1)

# %% [markdown]
r"""
### Exercise 1: the next line

Now let the activation act on each unit alone, $a^L_k = \sigma(z^L_k)$, and carry out the derivative that is waiting in line 1.

You have `sigma.prime(z[L, k])` for $\sigma'(z^L_k)$, and `kronecker(k, j)`, printed $[k = j]$: it is 1 where the two indices are equal and
0 elsewhere. You may also go further than one line. Every true form is accepted.
"""

# %% tags=["exercise"]
line_2 = ...

check.output_line(line_2)

# %% [markdown] tags=["solution"]
r"""
<details><summary>Solution</summary>

```python
line_2 = total(slope(k) * sigma.prime(z[L, k]) * kronecker(k, j), k)
```

Or, with the one term that is left, `slope(j) * sigma.prime(z[L, j])`.

</details>
"""

# %% [markdown]
r"""
Here is the whole derivation. Each line has the rule that leads to it, a sentence, and three ticks, which were found just now:

1. **all sizes.** Both sides are brought to a canonical form, with symbols for all widths and unknown functions $\sigma$ and $C$. Equal forms
   are a proof for every network.
2. **exact.** The line is written out at several small, unequal widths, with fractions, and differentiated by plain SymPy.
3. **60 digits.** The same with other functions, and with difference quotients instead of calculus.

The second and third share no code with the first, so a mistake in our algebra would show. What is *assumed* says so. Under the table, a
fold holds lines with a planted mistake: all three checks must refuse them, otherwise a tick would be worth little.
"""

# %%
from derivations.bp1_output_error import elementwise

show(elementwise)

# %% [markdown]
r"""
The last line, for all $j$ at once, is **BP1**: $\;\delta^L = \nabla_a C \odot \sigma'(z^L)$. The sign $\odot$ multiplies entry by entry.

### Break it

`check_line(before, after, given=…)` is the judge. Hand it a wrong line and it answers with sizes and numbers at which the two sides differ.
Change the line below and see: $\sigma$ for $\sigma'$, $z^L_k$ for $z^L_j$, a sum too many.
"""

# %%
show(check_line(line_1, slope(j), given=elementwise.given))  # σ' is missing

# %% [markdown]
r"""
## 3. When units compete: softmax

Both seeds give BP1 with $\odot\, \sigma'$ and no condition (seed 1 adds “Softmax: Special case for output layer” and leaves it there). It has one:
$a_j$ must depend on $z_j$ alone. In softmax,
$a_k = e^{z_k} / \sum_m e^{z_m}$, every output depends on every $z$. There is no vector $\sigma'$, there is a matrix:
"""

# %%
from derivations.bp1_output_error import softmax_jacobian

show(softmax_jacobian)

# %% [markdown]
r"""
### Exercise 2: BP1 for softmax and any cost

The seeds' equation would give $\frac{\partial C}{\partial a_j}\, a_j (1 - a_j)$, the diagonal alone. Write what is right, for any cost: line 1
holds as before (nothing in it spoke of $\sigma$), and now you know $\partial a^L_k / \partial z^L_j$. With or without the sum carried out.
"""

# %% tags=["exercise"]
delta_j = ...

check.softmax_error(delta_j)

# %% [markdown] tags=["solution"]
r"""
<details><summary>Solution</summary>

```python
delta_j = a[L, j] * (slope(j) - total(slope(k) * a[L, k], k))
```

Or `total(slope(k) * a[L, k] * (kronecker(k, j) - a[L, j]), k)`. In words: the slope of unit $j$, less the mean of all slopes with weights
$a_k$, times $a_j$. In code, for any activation that mixes its units, $\delta^L = J^\mathsf{T} \nabla_a C$.

</details>
"""

# %% [markdown]
r"""
### Exercise 3: where does $p - y$ come from?

With the cross-entropy $C = -\sum_k y_k \ln p_k$ of softmax outputs $p$, everything shrinks to $\delta_j = p_j - y_j$. That short form is often quoted
without its condition: the targets must add up to 1. Which of these lines uses it?
"""

# %%
from derivations.softmax_cross_entropy import j, k, p, targets_that_sum_to_one, y

derivation = targets_that_sum_to_one
softmax, add_up_to_one = derivation.given  # a definition, and the fact Σ_k y_k = 1
lines = [derivation.start, *(step.after for step in derivation.steps)]
show(lines)

# %% [markdown]
r"""
Take the fact away and see which line breaks: `check_line(lines[n - 1], lines[n], given=[softmax])` checks line `n` without it. Then write
$\partial C/\partial z_j$ for *any* targets, with the letters `p`, `y`, `j`, `k` of the cell above.
"""

# %% tags=["exercise"]
number = ...  # the line that needs Σ y = 1
without = ...  # ∂C/∂z_j for targets that may add up to anything

check.targets(number, without)

# %% [markdown] tags=["solution"]
r"""
<details><summary>Solution</summary>

```python
for n in range(5, 0, -1):
    if not check_line(lines[n - 1], lines[n], given=[softmax]):
        number = n
without = p[j] * total(y[k], k) - y[j]
```

It is the last line. Targets that are weighted, or a row of zeros for padding, do not add up to 1, and then $p - y$ is not the gradient.

</details>
"""

# %% [markdown]
r"""
## 4. BP2, one layer down

Below the output, $z^l_j$ does not touch the cost directly. It moves $a^l_j$, that moves *every* $z^{l+1}_k$ of the next layer, and each of these moves the
cost by $\delta^{l+1}_k$, which is known already: we come from above.

Go down with the slider, choose units, and read the sum on the right. Then switch the mistakes on.
"""

# %%
figures.paths_figure()

# %% [markdown]
r"""
Things to try:

1. Which of the three errors in layer 2 is close to zero? Compare its factors with those of its neighbours.
2. Switch on *forget σ′*. Which errors stay right? Would you find this bug by looking at the last layer?
3. Switch on *W instead of Wᵀ* and go from layer 3 to layer 2. Why does one step complain and the other not?

Now in letters. This is one step of an **induction**: layer $L$ is BP1; if the errors of layer $l+1$ are known, those of layer $l$ follow. The step is
proved for a symbolic $l$. That such steps reach every layer is the principle of induction, and that is listed as assumed.
"""

# %%
from derivations.bp2_hidden_error import hidden_error

show(hidden_error)

# %% [markdown]
r"""
**BP2**: $\;\delta^l = \bigl((W^{l+1})^\mathsf{T} \delta^{l+1}\bigr) \odot \sigma'(z^l)$. The derivation answers two questions that the formula does not:

- *Where does the sum come from?* From the chain rule, line 1: one way for each unit above.
- *Where does the transpose come from?* From nowhere: nobody transposes anything. The weight between $j$ below and $k$ above is $W_{kj}$ in both
  directions. Forwards the sum runs over its second index, backwards over its first, and a sum over the first index is written $W^\mathsf{T}$.

Break it again. In this line the two indices of $W$ are swapped. Look at the sizes in the answer: with unequal widths, $W^{l+1}_{jk}$ may not
even exist.
"""

# %%
j, k = unit("j", l), unit("k", l + 1)
swapped = total(W[l + 1, j, k] * delta[l + 1, k], k) * sigma.prime(z[l, j])
show(check_line(hidden_error.steps[4].after, swapped, given=hidden_error.given))

# %% [markdown]
r"""
### Exercise 4: all paths

Seed 1 puts “the chain rule in action” like this:

$$\frac{\partial C}{\partial w} = \frac{\partial C}{\partial a^L} \times \frac{\partial a^L}{\partial z^L} \times \frac{\partial z^L}{\partial w}$$

Three numbers, one path. That is enough for a weight of the last layer. A weight $W^{L-1}_{jk}$ *one layer below* reaches the cost through every
unit $p$ of layer $L$. The first two factors together are $\delta^L_p$. Write $\partial C/\partial W^{L-1}_{jk}$ with all paths, from
`delta[L, p]`, `W[L, …]`, `sigma.prime(z[L - 1, …])` and `a[L - 2, …]`. This is where to begin:
"""

# %%
p, j, k = unit("p", L), unit("j", L - 1), unit("k", L - 2)

show(total(delta[L, p] * Diff(z[L, p], W[L - 1, j, k]), p))

# %% tags=["exercise"]
gradient = ...

check.all_paths(gradient)

# %% [markdown] tags=["solution"]
r"""
<details><summary>Solution</summary>

```python
gradient = total(delta[L, p] * W[L, p, j], p) * sigma.prime(z[L - 1, j]) * a[L - 2, k]
```

In front of $a^{L-2}_k$ stands BP2: $\delta^{L-1}_j$. A layer further down there would be two sums, and so on. Backpropagation does each sum once for a
layer, instead of once for each of the paths, whose number is the product of the widths.

</details>
"""

# %% [markdown]
r"""
## 5. BP3 and BP4: the parameters

A bias reaches the cost through its own $z$, with the factor 1:
"""

# %%
from derivations.bp3_bias_gradient import bias_gradient

show(bias_gradient)

# %% [markdown]
r"""
### Exercise 5: a proof with blanks

For the weights, seed 2 has

> $\frac{\partial C}{\partial w^l_{jk}} = \delta^l_j\, (a^{l-1}_k)^\mathsf{T}$

$a^{l-1}_k$ is one number, and a number has no transpose. Find out what is meant by proving it. Line 1 is the chain rule again; the other three are
yours. $z^l_i = \sum_m W^l_{im} a^{l-1}_m + b^l_i$. Each line is checked on its own, and you are told which one is wrong.
"""

# %%
i, j = unit("i", l), unit("j", l)  # units of layer l
m, k = unit("m", l - 1), unit("k", l - 1)  # units of the layer below

from derivations.bp4_weight_gradient import weight_gradient

show([weight_gradient.start, weight_gradient.steps[0].after])

# %% tags=["exercise"]
lines = [
    ...,  # line 2: ∂C/∂z^l_i by its short name; Diff(z[l, i], W[l, j, k]) stays
    ...,  # line 3: that derivative carried out, with kronecker(…)
    ...,  # line 4: what is left of the sums
]

check.weight_proof(lines)

# %% [markdown] tags=["solution"]
r"""
<details><summary>Solution</summary>

```python
lines = [
    total(delta[l, i] * Diff(z[l, i], W[l, j, k]), i),
    total(delta[l, i] * total(kronecker(i, j) * kronecker(m, k) * a[l - 1, m], m), i),
    delta[l, j] * a[l - 1, k],
]
```

`show(weight_gradient)` has the sentences.

</details>
"""

# %% [markdown]
r"""
So **BP4** is $\;\partial C/\partial W^l_{jk} = \delta^l_j\, a^{l-1}_k$: the error where the weight arrives, times the activation where it starts. For all $j$ and $k$ at
once that is a column times a row, $\partial C/\partial W^l = \delta^l (a^{l-1})^\mathsf{T}$, and *there* the transpose has its place.

## 6. From letters to code

In a batch every example has its own $\delta$, a row, and BP1 and BP2 stay as they are. But one $W$ and one $b$ serve all examples, so in BP3 and BP4 the
examples add up (derived in `derivations.batch_and_penalty`). Where $C$ is a mean, the $1/m$ is in $\partial C/\partial a^L$ from the start, and nobody
divides again.

### Exercise 6: four lines

For a batch in rows: `cost_gradient`, `delta`, `derivative` (that is $\sigma'(z)$) and `previous` ($a^{l-1}$) have one row for each example, `weight` is
$W^{l+1}$, (out, in). Write the shapes next to each other.
"""


# %% tags=["exercise"]
def bp1(cost_gradient, derivative):
    # return δ^L
    ...


def bp2(weight, delta, derivative):
    # return δ^l from δ^{l+1}
    ...


def bp3(delta):
    # return ∂C/∂b
    ...


def bp4(delta, previous):
    # return ∂C/∂W
    ...


check.four_lines(bp1, bp2, bp3, bp4)

# %% [markdown] tags=["solution"]
r"""
<details><summary>Solution</summary>

```python
def bp1(cost_gradient, derivative):
    return cost_gradient * derivative


def bp2(weight, delta, derivative):
    return (delta @ weight) * derivative


def bp3(delta):
    return delta.sum(axis=0)


def bp4(delta, previous):
    return delta.T @ previous
```

</details>
"""

# %% [markdown]
r"""
Here are the last lines of the derivations, next to the functions of bpcheck that compute them. Both are evaluated at the same random numbers: the
formula index by index with 60 digits, the code in float64. What rounding may change is computed, not guessed.
"""

# %%
check.side_by_side()

# %% [markdown]
r"""
### Exercise 7: σ′ where there is none

Seed 1 lists “ReLU: $\sigma'(z) = 1$ if $z > 0$ else $0$”. At $z = 0$ the slope is 0 from the left and 1 from the right, and there is no derivative: the formula
makes a choice without saying so. Suppose $z$ is exactly 0. For which of these choices of $\sigma'(0)$ does bpcheck accept the gradient? Write `True` or
`False`.
"""

# %% tags=["exercise"]
accepted = {0.0: ..., 0.5: ..., 1.0: ..., 2.0: ...}

check.slope_at_kink(accepted)

# %% [markdown] tags=["solution"]
r"""
<details><summary>Solution</summary>

```python
accepted = {0.0: True, 0.5: True, 1.0: True, 2.0: False}
```

`check.kink_verdict(0.5)` says AGREES_AT_KINK: a valid choice, and a choice. Between the two one-sided slopes everything is a convention; 2 is a bug.

</details>
"""

# %% [markdown]
r"""
### Exercise 8: all of it

The forward pass is that of notebook 1: tanh in the hidden layers, a linear output, and $C$ is the mean over the batch of $\frac12 \lVert a^L - y \rVert^2$.
Fill in the way back. `params[number]` belongs to layer $l$ = `number + 2`, so `activations[number]` is what goes into it, $a^{l-1}$. The functions of
exercise 6 are yours to use. `bpcheck.compare` will run your function on random networks, and name the bug if there is one.
"""


# %% tags=["exercise"]
def backward(params, x, y):
    activations = [x]
    for number, layer in enumerate(params):
        z = activations[-1] @ layer["weight"].T + layer["bias"]
        activations.append(z if number == len(params) - 1 else np.tanh(z))
    loss = 0.5 * np.sum((activations[-1] - y) ** 2) / len(x)

    delta = ...  # BP1; σ' of a linear output is 1
    gradients = []
    for number in reversed(range(len(params))):
        gradients.insert(0, {"weight": ..., "bias": ...})  # BP4, BP3
        if number > 0:
            delta = ...  # BP2; tanh' = 1 - tanh²
    return loss, gradients


check.backward(backward)

# %% [markdown] tags=["solution"]
r"""
<details><summary>Solution</summary>

```python
def backward(params, x, y):
    activations = [x]
    for number, layer in enumerate(params):
        z = activations[-1] @ layer["weight"].T + layer["bias"]
        activations.append(z if number == len(params) - 1 else np.tanh(z))
    loss = 0.5 * np.sum((activations[-1] - y) ** 2) / len(x)

    delta = (activations[-1] - y) / len(x)
    gradients = []
    for number in reversed(range(len(params))):
        gradients.insert(0, {"weight": delta.T @ activations[number], "bias": delta.sum(axis=0)})
        if number > 0:
            delta = (delta @ params[number]["weight"]) * (1 - activations[number] ** 2)
    return loss, gradients
```

BP2 for layer $l$ uses $W^{l+1}$: at the place `number` of the list that is `params[number]`, for the error that goes to `number - 1`. And the weights must
still be the old ones: whoever updates them inside this loop computes the next δ with the wrong $W$.

</details>
"""

# %% [markdown]
r"""
## What to take along

- $\delta^l_j = \partial C/\partial z^l_j$. “Error” is a name.
- BP1 with $\odot\, \sigma'$ is for activations that act on each unit alone. In general it is $J^\mathsf{T} \nabla_a C$.
- $p - y$ needs targets that add up to 1.
- The sum in BP2 comes from the many ways to the cost, the transpose from the order of two indices.
- In a batch, δ stays one row for each example; BP3 and BP4 add up.
- A derivation can be tested like code: line by line, with mistakes that must be refused. `python -m derivations` checks all of ours, up to attention
  and recurrent networks.

Notebook 3 asks how to check a gradient whose formula you do not know.
"""
