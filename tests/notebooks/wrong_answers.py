"""A plausible wrong answer to every exercise, and words that its refusal must hold."""

WRONG = {
    "unit": ("def unit(W, a, b, j):\n    return W[:, j] @ a + b[j]", "W[:, j]"),
    "layer": ("def layer(W, a, b):\n    z = W @ a\n    return z, np.tanh(z)", "bias is missing"),
    "shapes": (
        "def shapes(widths):\n    return [((i, o), (o,)) for i, o in zip(widths, widths[1:])]",
        "transposed",
    ),
    "forward": (
        "def forward(params, x):\n    zs, activations = [], [x]\n    for p in params:\n"
        "        zs.append(activations[-1] @ p['weight'].T + p['bias'])\n"
        "        activations.append(np.tanh(zs[-1]))\n    return zs, activations",
        "output layer is linear",
    ),
    "passport": (
        "def to_cs231n(W, b):\n    return W, b\n\n\ndef to_bishop(W, b):\n    return np.column_stack([W, b])",
        "W.T",
    ),
    "error_is_difference": (
        "prediction = {pair: True for pair in [('identity', 'half_mse'), ('identity', 'mse'), "
        "('sigmoid', 'half_mse'), ('sigmoid', 'binary_cross_entropy'), ('softmax', 'half_mse'), "
        "('softmax', 'cross_entropy')]}",
        "3 of 6 predictions hold",
    ),
    "batch_gradient": (
        "def batch_gradient(W, b, x, y):\n    delta = x @ W.T + b - y\n    return delta.T @ x, delta.sum(axis=0)",
        "mean over the batch is missing",
    ),
    "update": (
        "def update(w, gradients, batch, eta):\n    return w - eta * gradients.mean(axis=0)",
        "all training examples",
    ),
    "central_gradient": (
        "def central_gradient(f, x, h):\n    steps = h * np.eye(x.size).reshape(-1, *x.shape)\n"
        "    return np.array([(f(x + s) - f(x - s)) / h for s in steps]).reshape(x.shape)",
        "2h apart",
    ),
    "best_steps": ("def best_steps(value, second, third, u):\n    return np.sqrt(u), np.cbrt(u)", "sizes"),
    "mended_step": ("def checker(f, gradient, x):\n    return True", "yes to everything"),
    "mended_tolerance": (
        "def tolerant_checker(f, gradient, x):\n    return bool(np.allclose(gradient(x), check.differences(f, x, 1e-6)))",
        "It passes a gradient of zeros",
    ),
    "wrong_entry": ("found = (\"params[0]['bias']\", (0,))", "Every entry"),
}
