# %% [markdown]
r"""
# Notation and the forward pass

What a layer computes, written three ways: for one unit, for one example, for a batch. On the way you read two
texts about backpropagation as a proofreader does: *seed 1* and *seed 2*, as `docs/notation.md` calls them. Their notation has
mistakes. You mend them in code, and bpcheck answers.

You need calculus and NumPy, and about half an hour. Every exercise is a few lines. An exercise that you have
not done yet says so; nothing breaks if you skip one.
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
from bpcheck.course import figures
from bpcheck.course import forward_pass as check

# %% [markdown]
r"""
## 1. One unit

A network is a row of layers, counted from 1 (the input) to $L$ (the output). Layer $l$ has $n_l$ units. Each unit
holds a number, its *activation* $a^l_j$. The input layer holds the example itself: $a^1 = x$. Every later unit
looks at all units of the layer below:

$$z^l_j = \sum_k W^l_{jk}\, a^{l-1}_k + b^l_j, \qquad a^l_j = \sigma(z^l_j).$$

$W^l_{jk}$ is the weight **to** unit $j$ of layer $l$ **from** unit $k$ of layer $l-1$. The sum $z^l_j$ is the
*pre-activation*; $\sigma$ is the activation function.

Click on units and weights. Then switch to another book and see what stays the same.
"""

# %%
figures.network_figure()

# %% [markdown]
r"""
### Exercise 1: a sum got lost

Seed 2 writes this about one unit of the last layer:

> $z^L_k = w^L_{kj}\, a^{L-1}_j + b^L_k$

On the right there is a $j$, on the left there is none, and nobody says what to do with it. (In this formula $k$ is the
unit and $j$ the unit below. Which letter is which is a matter of taste; that each of them has a meaning is not.)

Write the sum for unit `j`. `W` has shape (out, in), `a` (in,), `b` (out,).
"""


# %% tags=["exercise"]
def unit(W, a, b, j):
    # return one number: z_j
    ...


check.unit(unit)

# %% [markdown] tags=["solution"]
r"""
<details><summary>Solution</summary>

```python
def unit(W, a, b, j):
    z = b[j]
    for k in range(len(a)):
        z = z + W[j, k] * a[k]
    return z
```

The mended formula: $z^L_k = \sum_j w^L_{kj}\, a^{L-1}_j + b^L_k$.

</details>
"""

# %% [markdown]
r"""
## 2. One layer

A sum over the second index of $W$ is what a matrix does to a vector. So all units of a layer at once are

$$z^l = W^l a^{l-1} + b^l, \qquad a^l = \sigma(z^l).$$

This is why $W^l$ has the shape **(out, in)** = $(n_l, n_{l-1})$: row $j$ belongs to the unit $j$ that is computed, and
$W a$ runs along the row. With (in, out) you would have to write $W^\mathsf{T} a$. Both exist; section 5 has an example.

$\sigma$ of a vector means $\sigma$ of each entry.

### Exercise 2: a number equal to a vector

Seed 2 goes on:

> $a^L_k = \sigma(z^L)$

On the left stands one number, on the right a vector. It should read $a^L_k = \sigma(z^L_k)$, one unit at a time, or
$a^L = \sigma(z^L)$, all of them. Write the second form for any layer, with $\sigma = \tanh$.
"""


# %% tags=["exercise"]
def layer(W, a, b):
    z = ...
    a_next = ...
    return z, a_next


check.layer(layer)

# %% [markdown] tags=["solution"]
r"""
<details><summary>Solution</summary>

```python
def layer(W, a, b):
    z = W @ a + b
    a_next = np.tanh(z)
    return z, a_next
```

</details>
"""

# %% [markdown]
r"""
### Exercise 3: how many of everything?

Seed 2 explains the two letters like this:

> “$L$ starts counting from the end, with $l$ representing the first layer.”

Neither holds. $L$ is a number, the number of layers, and nothing counts from the end. $l$ stands for any layer.
The input layer has no weights into it, no bias, no $z$. So weights, biases, $z$ (and later the errors $\delta$) exist for

$$l = 2, 3, \dots, L,$$

which is $L - 1$ of each.

Put it in code: from the widths $[n_1, \dots, n_L]$, list the shapes of $W^l$ and $b^l$ for each of these layers. For `[3, 4, 2]`
the list begins with `((4, 3), (4,))`.
"""


# %% tags=["exercise"]
def shapes(widths):
    # return [(shape of W of layer 2, shape of b of layer 2), …]
    ...


check.shapes(shapes)

# %% [markdown] tags=["solution"]
r"""
<details><summary>Solution</summary>

```python
def shapes(widths):
    pairs = []
    for below, width in zip(widths[:-1], widths[1:]):
        pairs.append(((width, below), (width,)))
    return pairs
```

</details>
"""

# %% [markdown]
r"""
## 3. A batch

Data comes as a table: one example is one **row**, and `x` has the shape (batch, in). A row is a vector lying down, so the
equation is transposed, and the order of the factors turns around:

| | one example, a column | a batch, in rows |
|---|---|---|
| layer | $z = W a + b$ | $Z = A\, W^\mathsf{T} + b$ |
| in code | `W @ a + b` | `A @ W.T + b` |
| shapes | (out, in) (in,) + (out,) | (m, in) (in, out) + (out,) |

It is the same equation. NumPy adds `b` to every row by itself.

A rule that finds many mistakes: write the shapes next to each other. Inner numbers must meet, and what is left over is the shape of
the result.

Here are real examples, $8 \times 8$ pixels of handwritten digits, and a layer from 64 pixels to 16 units.
"""

# %%
from bpcheck.data import load_digits

digits = load_digits()
shades = " .:-=+*#%@"
for row in digits.images[7].reshape(8, 8):
    print("".join(2 * shades[int(9 * pixel)] for pixel in row))
print("label:", digits.labels[7])

architecture = bpcheck.mlp([64, 16, 10], activation="tanh", loss="cross_entropy")
network = bpcheck.reference.build(architecture)
params = network.init(np.random.default_rng(0))
x, y = digits.images[:32], digits.one_hot[:32]

trace = network.trace(params, x, y)
print("layer 1: a", x.shape)
for l in (2, 3):
    W, b = params[l - 2]["weight"], params[l - 2]["bias"]
    z, a = trace.pre_activations[l - 2], trace.activations[l - 2]
    print(f"layer {l}: W {W.shape}, b {b.shape}, z {z.shape}, a {a.shape}")

# %% [markdown]
r"""
## 4. The whole forward pass, and what it must remember

The forward pass is this layer, again and again. For the *way back* (notebook 2) some of its numbers are needed once more:

- $a^{l-1}$, because $\partial C/\partial W^l$ is made of $\delta^l$ and $a^{l-1}$,
- $z^l$ (or $a^l$, if $\sigma'$ can be had from it), because $\delta^l$ contains $\sigma'(z^l)$.

So a forward pass returns everything, not only its last line. That is also its price: memory for every example of the batch, in
every layer.

### Exercise 4

Write it for a batch in rows. `params` is a list with one entry for each layer from 2 on: `params[0]["weight"]` is $W^2$, so the place
in the list is $l - 2$. Hidden layers have $\sigma = \tanh$; the output layer is linear, $a^L = z^L$.
"""


# %% tags=["exercise"]
def forward(params, x):
    zs = []  # z², z³, …
    activations = [x]  # a¹, a², a³, …
    for number, layer in enumerate(params):
        z = ...
        a = ...
        zs.append(z)
        activations.append(a)
    return zs, activations


check.forward(forward)

# %% [markdown] tags=["solution"]
r"""
<details><summary>Solution</summary>

```python
def forward(params, x):
    zs = []  # z², z³, …
    activations = [x]  # a¹, a², a³, …
    for number, layer in enumerate(params):
        z = activations[-1] @ layer["weight"].T + layer["bias"]
        is_output = number == len(params) - 1
        zs.append(z)
        activations.append(z if is_output else np.tanh(z))
    return zs, activations
```

</details>
"""

# %% [markdown]
r"""
## 5. A passport for symbols

Formulas travel badly. Three traps cost most of the time:

- **Bishop** calls the pre-activation $a$ and the activation $z$: the very letters that we use, swapped. His bias is a weight
  $w_{j0}$ from an extra unit $z_0 = 1$.
- **Goodfellow, Bengio and Courville** call the pre-activation $a$ too, and the activation $h$.
- **CS231n** keeps $W$ as (in, out) and computes `x @ W + b`, without a transpose.

The table for all of them is in `docs/notation.md`.

### Exercise 5: cross the border

Take a layer of ours, `W` (out, in) and `b` (out,), and hand it over. `to_cs231n` returns the pair that makes `x @ W + b` right;
`to_bishop` returns Bishop's single matrix of shape (out, 1 + in), for which $a_j = \sum_{i=0} w_{ji} z_i$ with $z_0 = 1$.

bpcheck will not look at your matrices. It computes the layer by the other book's formula and compares with ours.
"""


# %% tags=["exercise"]
def to_cs231n(W, b):
    # return (W, b) as CS231n keeps them
    ...


def to_bishop(W, b):
    # return Bishop's w
    ...


check.passport(to_cs231n, to_bishop)

# %% [markdown] tags=["solution"]
r"""
<details><summary>Solution</summary>

```python
def to_cs231n(W, b):
    return W.T, b


def to_bishop(W, b):
    return np.column_stack([b, W])
```

</details>
"""

# %% [markdown]
r"""
## 6. What δ is

Seed 1 lists

> “$\delta^l_j$: Error at neuron $j$ in layer $l$”

and seed 2 uses $\delta$ without a word. A name is no definition. Here is one:

$$\delta^l_j = \frac{\partial C}{\partial z^l_j},$$

how much the cost $C$ rises when $z^l_j$ rises a little, per unit. It can be measured: move $z$, watch $C$. The next cell does so for one
output unit and compares with the $\delta$ that backpropagation finds.
"""

# %%
small = bpcheck.mlp([3, 2], output="sigmoid", loss="half_mse")
W, b = np.array([[0.5, -1.0, 0.25], [1.0, 0.5, -0.5]]), np.array([0.1, -0.2])
example, target = np.array([[1.0, 2.0, -1.0]]), np.array([[1.0, 0.0]])
trace = bpcheck.reference.build(small).trace([{"weight": W, "bias": b}], example, target)


def cost_of(z):
    return 0.5 * np.sum((1 / (1 + np.exp(-z)) - target) ** 2)


moved = bpcheck.derivative(cost_of, trace.pre_activations[-1], np.array([[1.0, 0.0]]))
print(f"move z of unit 1:  the cost changes by {moved.value:.10f} per unit, give or take {moved.error:.0e}")
print(f"backpropagation:   δ = {trace.deltas[-1][0, 0]:.10f}")
print(f"prediction-target: a - y = {trace.activations[-1][0, 0] - target[0, 0]:.10f}")

# %% [markdown]
r"""
The first two agree. The third is something else, although “error” sounds like it.

### Exercise 6: when is it prediction minus target?

For some pairs of output activation and loss, $\delta^L$ *is* $a^L - y$ (for one example). Which? Work it out with
$\delta^L_j = \sum_k \frac{\partial C}{\partial a_k} \frac{\partial a_k}{\partial z_j}$, or measure it as above, and write `True` or `False`.

The losses of one example: `half_mse` is $\frac12\sum_j (a_j - y_j)^2$, `mse` is $\frac1{n_L}\sum_j (a_j - y_j)^2$, `binary_cross_entropy` is
$-\sum_j (y_j \ln a_j + (1 - y_j) \ln(1 - a_j))$, `cross_entropy` is $-\sum_j y_j \ln a_j$ with targets that add up to 1.
"""

# %% tags=["exercise"]
prediction = {
    ("identity", "half_mse"): ...,
    ("identity", "mse"): ...,
    ("sigmoid", "half_mse"): ...,
    ("sigmoid", "binary_cross_entropy"): ...,
    ("softmax", "half_mse"): ...,
    ("softmax", "cross_entropy"): ...,
}

check.error_is_difference(prediction)

# %% [markdown] tags=["solution"]
r"""
<details><summary>Solution</summary>

```python
prediction = {
    ("identity", "half_mse"): True,
    ("identity", "mse"): False,  # 2 (a - y) / n_L
    ("sigmoid", "half_mse"): False,  # (a - y) a (1 - a)
    ("sigmoid", "binary_cross_entropy"): True,  # a (1 - a) cancels
    ("softmax", "half_mse"): False,
    ("softmax", "cross_entropy"): True,
}
```

And in a hidden layer there is no target to subtract at all.

</details>
"""

# %% [markdown]
r"""
## 7. Three jobs that are not one

The training loop of seed 1, shortened to its last steps, runs

> for each training example (x, y): … $W^l \mathrel{-}= \eta\,(\delta^l {a^{l-1}}^\mathsf{T})$, $b^l \mathrel{-}= \eta\,\delta^l$

and the text says that the backward pass is there to “compute weight updates”. Two things are mixed:

- **Backpropagation** computes the gradient $\partial C/\partial W^l$, $\partial C/\partial b^l$ at fixed parameters. It changes nothing.
- **The optimiser** changes the parameters. It does not care where the gradient came from.

And one example at a time is not a batch. In the loop, the second example meets parameters that the first has moved. In a batch, all
examples meet the same parameters, and their gradients are averaged before a single step.

### Exercise 7: the gradient of a batch, and nothing else

Take the smallest network, one linear layer ($L = 2$) with $C = \frac1m \sum_i \frac12 \lVert a_i - y_i \rVert^2$. In this literal copy of
the seed's loop, $\delta_i = a_i - y_i$ and the gradient of example $i$ is $\delta_i x_i^\mathsf{T}$ for $W$ and $\delta_i$ for $b$. Mend it: return
$(\partial C/\partial W, \partial C/\partial b)$ for the whole batch, leave `W` and `b` alone, and let no learning rate in.
"""


# %% tags=["exercise"]
def batch_gradient(W, b, x, y):
    eta = 0.1
    for x_i, y_i in zip(x, y):
        delta = W @ x_i + b - y_i
        W -= eta * np.outer(delta, x_i)
        b -= eta * delta
    return W, b


check.batch_gradient(batch_gradient)

# %% [markdown] tags=["solution"]
r"""
<details><summary>Solution</summary>

```python
def batch_gradient(W, b, x, y):
    delta = (x @ W.T + b - y) / len(x)
    return delta.T @ x, delta.sum(axis=0)
```

With a loop it is just as right: add up `np.outer(delta, x_i)` and `delta` over the batch, divide both by `len(x)`.

</details>
"""

# %% [markdown]
r"""
### Exercise 8: a letter that means two things

The optimiser's step in seed 2:

> $w'_k = w_k - \frac{n}{m} \sum_n \frac{\partial C_{x_n}}{\partial w_k}$

with two explanations: “$n$ iterates over all the training examples” and “$n$ is the learning rate”. Further, “$m$ is the total number
of training examples”.

One letter cannot be both; the factor in front of a sum cannot depend on what runs inside it. And with mini-batches, $m$ is the number of
examples *in the batch*, over which the sum runs. Mended, with $\eta$ for the learning rate and $i$ for the example:

$$w' = w - \frac{\eta}{m} \sum_{i \in \text{batch}} \frac{\partial C_i}{\partial w}.$$

In code: `gradients[i]` is $\partial C_i/\partial w$ for *every* training example, and `batch` holds the numbers of those that are in the batch.
"""


# %% tags=["exercise"]
def update(w, gradients, batch, eta):
    # return w after the step
    ...


check.update(update)

# %% [markdown] tags=["solution"]
r"""
<details><summary>Solution</summary>

```python
def update(w, gradients, batch, eta):
    return w - eta / len(batch) * gradients[batch].sum(axis=0)
```

If $C$ already is the mean over the batch, as in exercise 7, its gradient holds the $1/m$, and the step is
$w - \eta\, \partial C/\partial w$. Dividing by $m$ in both places makes every step $m$ times too short.

</details>
"""

# %% [markdown]
r"""
## What to take along

- $W^l$ is (out, in), with layers $l = 2 \dots L$, and a batch is `a @ W.T + b`.
- The forward pass keeps every $z^l$ and every $a^l$, the input included.
- $\delta^l = \partial C/\partial z^l$. It can be measured.
- A gradient changes nothing; an optimiser takes one step for one batch.
- When you read another book, look up what its $a$ and its $z$ are before you trust a formula.

Notebook 2 goes the way back. Notebook 3 checks whether a gradient is right.
"""
