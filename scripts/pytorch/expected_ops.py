"""Makes test/expected/ops.json and ops.safetensors: what PyTorch says every op and its gradients are.

Each case is drawn from a generator seeded by its own name, so adding a case leaves the others as they were. Inputs and
cotangents are rounded to float32 first; PyTorch then computes with exactly these numbers in float64.
"""

import json
import zlib
from pathlib import Path

import torch
import torch.nn.functional as F

import safetensors_io

EXPECTED = Path(__file__).resolve().parents[2] / "test" / "expected"
KINK_MARGIN = 1e-4  # no ReLU input may lie so near zero that float32 rounding decides its gradient

# --- inputs: each returns a function of the generator ----------------------------------------------------------------


def normal(*shape):
    return lambda generator: torch.randn(shape, generator=generator, dtype=torch.float64)


def positive(*shape):
    """Uniform in [0.3, 2.3]: arguments of log and sqrt, divisors, variances."""
    return lambda generator: 0.3 + 2 * torch.rand(shape, generator=generator, dtype=torch.float64)


def distinct(*shape, low=-2.0, high=2.0):
    """Evenly spaced values in random order: no two are equal, so a maximum is unique."""
    count = torch.Size(shape).numel()
    return lambda generator: torch.linspace(low, high, count, dtype=torch.float64)[
        torch.randperm(count, generator=generator)
    ].reshape(shape)


def binary(*shape):
    return lambda generator: torch.randint(0, 2, shape, generator=generator).double()


def values(numbers):
    return lambda _: torch.tensor(numbers, dtype=torch.float64)


# --- ops: keyword arguments are the attributes, spelt as the library spells them -------------------------------------


def conv2d(x, weight, bias=None, residual=None, *, stride, padding, dilation, groups, activation):
    y = F.conv2d(x, weight, bias, stride, padding, dilation, groups)
    if residual is not None:
        y = y + residual
    if activation == "none":
        return y
    assert y.abs().min() > KINK_MARGIN, "a pre-activation is too close to zero: rename the case to draw again"
    return F.relu(y)


def batch_norm(x, mean, variance, weight=None, bias=None, *, eps):
    """By its formula, because F.batch_norm gives no gradients for the mean and the variance."""
    channel = lambda parameter: parameter.reshape(1, -1, 1, 1)
    y = (x - channel(mean)) / torch.sqrt(channel(variance) + eps)
    if weight is not None:
        y = y * channel(weight) + channel(bias)
    with torch.inference_mode():
        torch.testing.assert_close(y, F.batch_norm(x, mean, variance, weight, bias, training=False, eps=eps))
    return y


def batch_norm_training(x, mean, variance, weight=None, bias=None, *, eps, momentum):
    running_mean, running_variance = mean.detach().clone(), variance.detach().clone()
    y = F.batch_norm(x, running_mean, running_variance, weight, bias, True, momentum, eps)
    return y, running_mean, running_variance


def pad(x, *, before, after, value):
    last_axis_first = [amount for pair in reversed(list(zip(before, after))) for amount in pair]
    return F.pad(x, last_axis_first, value=value)


def resize(x, *, size, mode, alignCorners):
    return F.interpolate(x, size, mode=mode, align_corners=None if mode == "nearest" else alignCorners)


OPS = {
    "conv2d": conv2d,
    "linear": F.linear,
    "matmul": torch.matmul,
    "batchNorm": batch_norm,
    "batchNormTraining": batch_norm_training,
    "add": torch.add,
    "sub": torch.sub,
    "mul": torch.mul,
    "div": torch.div,
    "relu": F.relu,
    "elu": F.elu,
    "gelu": F.gelu,
    "sigmoid": torch.sigmoid,
    "exp": torch.exp,
    "log": torch.log,
    "sqrt": torch.sqrt,
    "neg": torch.neg,
    "softmax": lambda x, *, axis: F.softmax(x, axis),
    "logSoftmax": lambda x, *, axis: F.log_softmax(x, axis),
    "maxPool2d": lambda x, *, kernel, stride, padding, dilation, ceilMode: F.max_pool2d(
        x, kernel, stride, padding, dilation, ceilMode
    ),
    "avgPool2d": lambda x, *, kernel, stride, padding, ceilMode, countIncludePad: F.avg_pool2d(
        x, kernel, stride, padding, ceilMode, countIncludePad
    ),
    "adaptiveAvgPool2d": lambda x, *, size: F.adaptive_avg_pool2d(x, size),
    "globalAvgPool2d": lambda x: x.mean((2, 3)),
    "sum": lambda x, *, axes, keepDims: x.sum(axes, keepDims),
    "mean": lambda x, *, axes, keepDims: x.mean(axes, keepDims),
    "max": lambda x, *, axes, keepDims: x.amax(axes, keepDims),
    "argmax": lambda x, *, axis, keepDims: x.argmax(axis, keepDims),
    "topk": lambda x, *, k, axis: x.topk(k, axis),
    "concat": lambda *parts, axis: torch.cat(parts, axis),
    "slice": lambda x, *, starts, ends, steps: x[tuple(map(slice, starts, ends, steps))],
    "pad": pad,
    "reshape": lambda x, *, shape: x.reshape(shape),
    "transpose": lambda x, *, permutation: x.permute(permutation),
    "where": lambda condition, a, b: torch.where(condition != 0, a, b),
    "resize": resize,
}
OUTPUTS = {"topk": ["values", "indices"], "batchNormTraining": ["output", "newMean", "newVariance"]}
NOT_DIFFERENTIABLE = {"where": ["condition"], "argmax": ["x"], "batchNormTraining": ["mean", "variance"]}

# --- cases -----------------------------------------------------------------------------------------------------------

CASES = []
TENSORS = {}


def case(name, inputs, cotangents=2, **attributes):
    """Runs the op before the slash of `name`; records its outputs and its vjp for each of `cotangents` cotangents."""
    op = name.split("/")[0]
    generator = torch.Generator().manual_seed(zlib.crc32(name.encode()))
    drawn = {key: draw(generator).float().double().requires_grad_() for key, draw in inputs.items()}
    results = OPS[op](*_positional(op, drawn), **_keywords(op, drawn), **attributes)
    outputs = dict(zip(OUTPUTS.get(op, ["output"]), results if isinstance(results, tuple) else [results]))
    differentiable = [key for key in inputs if key not in NOT_DIFFERENTIABLE.get(op, [])]
    cotangents = cotangents if differentiable else 0

    record = {f"{name}/{key}": tensor for key, tensor in drawn.items()}
    record |= {
        f"{name}/{key}": tensor if tensor.is_floating_point() else tensor.int() for key, tensor in outputs.items()
    }
    if differentiable:
        root = next(iter(outputs.values()))
        cotangent = torch.randn((cotangents, *root.shape), generator=generator, dtype=torch.float64).float().double()
        sources = [drawn[key] for key in differentiable]
        vjps = [torch.autograd.grad(root, sources, one, retain_graph=True) for one in cotangent]
        record[f"{name}/cotangent"] = cotangent
        record |= {f"{name}/grad/{key}": torch.stack(rows) for key, rows in zip(differentiable, zip(*vjps))}

    assert not record.keys() & TENSORS.keys(), f"{name} is there twice"
    assert all(tensor.float().isfinite().all() for tensor in record.values()), f"{name} is not finite in float32"
    TENSORS.update(record)
    CASES.append(
        {
            "name": name,
            "op": op,
            "inputs": list(inputs),
            "attributes": attributes,
            "outputs": list(outputs),
            "differentiable": differentiable,
            "cotangents": cotangents,
        }
    )


def _keywords(op, drawn):
    """Inputs that may be left out go by name: a convolution may have a residual without a bias."""
    return drawn if op in ("conv2d", "batchNorm", "batchNormTraining") else {}


def _positional(op, drawn):
    return [] if _keywords(op, drawn) else drawn.values()


def conv_case(
    name, x, weight, *, bias=False, residual=None, stride=(1, 1), padding=(0, 0), dilation=(1, 1), groups=1,
    activation="none", cotangents=2,
):
    inputs = {"x": normal(*x), "weight": normal(*weight)}
    if bias:
        inputs["bias"] = normal(weight[0])
    if residual:
        inputs["residual"] = normal(*residual)
    case(
        f"conv2d/{name}", inputs, cotangents,
        stride=list(stride), padding=list(padding), dilation=list(dilation), groups=groups, activation=activation,
    )


def conv_cases():
    conv_case("1x1", [2, 5, 7, 6], [3, 5, 1, 1])
    conv_case("1x1-bias", [1, 3, 5, 4], [6, 3, 1, 1], bias=True)
    conv_case("1x1-stride2", [2, 5, 7, 6], [4, 5, 1, 1], stride=(2, 2))
    conv_case("1x1-pad2", [1, 2, 3, 4], [3, 2, 1, 1], padding=(2, 2), bias=True)
    conv_case("3x3", [2, 3, 7, 6], [4, 3, 3, 3])
    conv_case("3x3-pad1", [2, 5, 7, 6], [3, 5, 3, 3], padding=(1, 1))
    conv_case("3x3-pad1-bias", [1, 4, 6, 5], [8, 4, 3, 3], padding=(1, 1), bias=True)
    conv_case("5x3-pad2x1", [1, 3, 7, 6], [2, 3, 5, 3], padding=(2, 1))
    conv_case("2x2", [1, 3, 5, 4], [3, 3, 2, 2])
    conv_case("4x4-stride2-pad1", [1, 3, 8, 7], [2, 3, 4, 4], stride=(2, 2), padding=(1, 1))
    conv_case("7x7-stride2-pad3", [1, 3, 15, 14], [4, 3, 7, 7], stride=(2, 2), padding=(3, 3))
    conv_case("stride2-pad1-bias", [2, 5, 7, 6], [3, 5, 3, 3], stride=(2, 2), padding=(1, 1), bias=True)
    conv_case("stride2x1-pad0x2", [1, 3, 7, 6], [5, 3, 3, 3], stride=(2, 1), padding=(0, 2))
    conv_case("stride1x3-pad2x1-5x3", [2, 2, 6, 8], [3, 2, 5, 3], stride=(1, 3), padding=(2, 1))
    conv_case("stride-larger-than-kernel", [1, 3, 8, 7], [4, 3, 2, 2], stride=(3, 3), bias=True)
    conv_case("stride3-1x1", [2, 3, 7, 8], [2, 3, 1, 1], stride=(3, 3))
    conv_case("padding-equals-kernel", [1, 2, 4, 5], [3, 2, 3, 3], padding=(3, 3))
    conv_case("padding-larger-than-kernel", [1, 2, 4, 3], [3, 2, 2, 2], stride=(2, 2), padding=(3, 3), bias=True)
    conv_case("kernel-larger-than-input", [1, 2, 3, 2], [3, 2, 5, 5], padding=(2, 2))
    conv_case("output-1x1", [3, 5, 4, 3], [6, 5, 4, 3], bias=True)
    conv_case("input-1x1-pad1", [2, 5, 1, 1], [3, 5, 3, 3], padding=(1, 1))
    conv_case("one-channel", [1, 1, 5, 6], [1, 1, 3, 3], padding=(1, 1), cotangents=1)
    conv_case("batch3-three-cotangents", [3, 5, 5, 4], [3, 5, 3, 3], padding=(1, 1), bias=True, cotangents=3)
    conv_case("channels-17-to-35", [1, 17, 6, 5], [35, 17, 3, 3], padding=(1, 1), cotangents=1)
    conv_case("1x1-channels-70-to-33", [2, 70, 5, 3], [33, 70, 1, 1], bias=True)
    conv_case("channels-8-to-16", [1, 8, 9, 8], [16, 8, 3, 3], padding=(1, 1), stride=(2, 2))
    conv_case("dilation2", [1, 3, 8, 7], [4, 3, 3, 3], dilation=(2, 2))
    conv_case("dilation2x3-pad2x3-bias", [2, 2, 7, 8], [3, 2, 3, 3], dilation=(2, 3), padding=(2, 3), bias=True)
    conv_case("dilation2-stride2-pad2", [1, 3, 9, 8], [2, 3, 3, 3], dilation=(2, 2), stride=(2, 2), padding=(2, 2))
    conv_case("groups2", [2, 6, 5, 4], [4, 3, 3, 3], groups=2, padding=(1, 1))
    conv_case("groups3-stride2-bias", [1, 9, 7, 6], [6, 3, 3, 3], groups=3, stride=(2, 2), padding=(1, 1), bias=True)
    conv_case("groups2-1x1", [1, 10, 4, 3], [6, 5, 1, 1], groups=2)
    conv_case(
        "groups2-channels-of-4-bias-relu", [1, 8, 5, 4], [16, 4, 3, 3], groups=2, padding=(1, 1), bias=True,
        activation="relu",
    )
    conv_case("depthwise", [2, 5, 7, 6], [5, 1, 3, 3], groups=5, padding=(1, 1))
    conv_case("depthwise-multiplier2-bias", [1, 3, 6, 5], [6, 1, 3, 3], groups=3, padding=(1, 1), bias=True)
    conv_case("depthwise-stride2-5x5", [1, 6, 8, 7], [6, 1, 5, 5], groups=6, stride=(2, 2), padding=(2, 2))
    conv_case("depthwise-dilation2", [1, 4, 7, 6], [4, 1, 3, 3], groups=4, dilation=(2, 2), padding=(2, 2))
    conv_case("relu", [2, 3, 6, 5], [5, 3, 3, 3], padding=(1, 1), activation="relu")
    conv_case("bias-relu", [2, 5, 7, 6], [6, 5, 3, 3], stride=(2, 2), padding=(1, 1), bias=True, activation="relu")
    conv_case("1x1-bias-relu", [2, 6, 5, 4], [7, 6, 1, 1], bias=True, activation="relu")
    conv_case("residual", [2, 3, 6, 5], [5, 3, 3, 3], padding=(1, 1), residual=[2, 5, 6, 5])
    conv_case("bias-residual", [1, 5, 4, 5], [4, 5, 1, 1], bias=True, residual=[1, 4, 4, 5])
    conv_case("residual-relu", [1, 4, 6, 5], [8, 4, 3, 3], padding=(1, 1), residual=[1, 8, 6, 5], activation="relu")
    conv_case(
        "bias-residual-relu", [2, 5, 7, 6], [3, 5, 3, 3], padding=(1, 1), bias=True, residual=[2, 3, 7, 6],
        activation="relu",
    )
    conv_case("1x1-bias-residual-relu", [2, 6, 5, 4], [7, 6, 1, 1], bias=True, residual=[2, 7, 5, 4], activation="relu")
    conv_case(
        "depthwise-bias-residual-relu", [1, 5, 6, 5], [5, 1, 3, 3], groups=5, padding=(1, 1), bias=True,
        residual=[1, 5, 6, 5], activation="relu",
    )


def product_cases():
    case("linear/2d", {"x": normal(3, 7), "weight": normal(5, 7)})
    case("linear/2d-bias", {"x": normal(2, 9), "weight": normal(6, 9), "bias": normal(6)}, 3)
    case("linear/one-row", {"x": normal(1, 70), "weight": normal(33, 70), "bias": normal(33)})
    case("linear/3d", {"x": normal(2, 3, 5), "weight": normal(4, 5)})
    case("linear/3d-bias", {"x": normal(2, 3, 5), "weight": normal(7, 5), "bias": normal(7)})

    case("matmul/2d", {"a": normal(5, 7), "b": normal(7, 3)})
    case("matmul/row-by-column", {"a": normal(1, 6), "b": normal(6, 1)})
    case("matmul/outer", {"a": normal(5, 1), "b": normal(1, 4)})
    case("matmul/multiples-of-4", {"a": normal(8, 16), "b": normal(16, 12)})
    case("matmul/larger-than-a-tile", {"a": normal(37, 67), "b": normal(67, 41)}, 1)
    case("matmul/batched", {"a": normal(3, 4, 5), "b": normal(3, 5, 2)})
    case("matmul/2d-times-batch", {"a": normal(4, 5), "b": normal(3, 5, 2)})
    case("matmul/batch-times-2d", {"a": normal(3, 4, 5), "b": normal(5, 2)})
    case("matmul/batch-of-one", {"a": normal(1, 4, 5), "b": normal(3, 5, 2)})
    case("matmul/broadcast-both", {"a": normal(2, 1, 3, 4), "b": normal(5, 4, 6)})


def batch_norm_cases():
    def inputs(*shape, affine=True):
        channels = shape[1]
        drawn = {"x": normal(*shape), "mean": normal(channels), "variance": positive(channels)}
        return drawn | ({"weight": normal(channels), "bias": normal(channels)} if affine else {})

    case("batchNorm/affine", inputs(2, 5, 7, 6), eps=1e-5)
    case("batchNorm/channels-of-4", inputs(1, 8, 3, 4), eps=1e-5)
    case("batchNorm/1x1", inputs(3, 6, 1, 1), eps=1e-5)
    case("batchNorm/without-weight-and-bias", inputs(2, 3, 4, 5, affine=False), eps=1e-5)
    case("batchNorm/large-eps", inputs(2, 3, 4, 5), eps=0.1)
    zero_variance = inputs(1, 3, 4, 2) | {"variance": values([0.0, 1.0, 0.0])}
    case("batchNorm/zero-variance", zero_variance, eps=1e-3)

    case("batchNormTraining/affine", inputs(2, 5, 7, 6), eps=1e-5, momentum=0.1)
    case("batchNormTraining/channels-of-4", inputs(3, 8, 3, 4), 3, eps=1e-5, momentum=0.1)
    case("batchNormTraining/without-weight-and-bias", inputs(2, 3, 4, 5, affine=False), eps=0.1, momentum=0.3)
    case("batchNormTraining/two-values", inputs(2, 4, 1, 1), eps=1e-3, momentum=1.0)
    case("batchNormTraining/vectors", inputs(6, 5), eps=1e-5, momentum=0.1)
    far = inputs(2, 3, 6, 5) | {"x": lambda generator: 50 + normal(2, 3, 6, 5)(generator)}
    case("batchNormTraining/far-from-zero", far, eps=1e-5, momentum=0.1)


def elementwise_cases():
    shapes = {
        "same-shape": ([2, 5, 7, 6], [2, 5, 7, 6]),
        "per-channel": ([2, 3, 4, 5], [3, 1, 1]),
        "per-channel-first": ([3, 1, 1], [2, 3, 4, 5]),
        "scalar": ([2, 3, 5], []),
        "two-scalars": ([], []),
        "last-axis": ([4, 3, 7], [7]),
        "both-broadcast": ([2, 1, 4, 1], [1, 3, 1, 5]),
        "rank5": ([2, 1, 3, 2, 1], [1, 4, 3, 1, 5]),
    }
    for op in ["add", "sub", "mul", "div"]:
        for label, (a, b) in shapes.items():
            case(f"{op}/{label}", {"a": normal(*a), "b": positive(*b) if op == "div" else normal(*b)})
    case("div/negative-divisor", {"a": normal(2, 5), "b": values([-0.5, 3.0, -7.0, 0.25, -1.0])})

    def unary(name, x, **attributes):
        case(name, {"x": x}, **attributes)

    # `distinct` where there is a kink at zero: an even number of evenly spaced values keeps away from it.
    unary("relu/4d", distinct(1, 5, 7, 6))
    unary("relu/zeros", values([-1.0, 0.0, 2.0, -0.0, 0.5]))
    for alpha in [1.0, 0.3]:
        unary(f"elu/alpha{alpha}", distinct(1, 5, 7, 6), alpha=alpha)
    unary("elu/large", values([-50.0, -100.0, -20.0, 50.0, 1e-4, -1e-4]), alpha=1.0)
    unary("gelu/4d", normal(1, 5, 7, 6))
    unary("gelu/large", values([-10.0, -5.0, -3.0, 3.0, 5.0, 10.0, 0.0, 1e-3, -1e-3]))
    unary("sigmoid/4d", normal(1, 5, 7, 6))
    unary("sigmoid/large", values([-100.0, -30.0, -10.0, 0.0, 10.0, 30.0, 100.0]))
    unary("exp/4d", normal(1, 5, 7, 6))
    unary("exp/large", values([-80.0, -20.0, 0.0, 20.0]))
    unary("exp/huge", values([60.0, 80.0, 88.0]))
    unary("log/4d", positive(1, 5, 7, 6))
    unary("log/small-and-large", values([1e-4, 1e-2, 1.0, 1e10, 1e30]))
    unary("sqrt/4d", positive(1, 5, 7, 6))
    unary("sqrt/small-and-large", values([1e-6, 1e-2, 4.0, 1e10, 1e30]))
    unary("neg/4d", normal(1, 5, 7, 6))
    unary("neg/scalar", normal())


def softmax_cases():
    for op in ["softmax", "logSoftmax"]:
        case(f"{op}/2d", {"x": normal(3, 7)}, axis=1)
        case(f"{op}/axis0", {"x": normal(5, 4)}, axis=0)
        case(f"{op}/channels", {"x": normal(2, 5, 3, 4)}, axis=1)
        case(f"{op}/last-of-4d", {"x": normal(2, 3, 2, 6)}, axis=3)
        case(f"{op}/thousand-classes", {"x": normal(2, 1000)}, 1, axis=1)
        case(f"{op}/one-class", {"x": normal(3, 1)}, axis=1)
        large = values([[1000.0, 999.0, 0.0, -1000.0], [-1000.0, -1001.0, -999.5, -1003.0], [0.0, 90.0, 89.0, 90.5]])
        case(f"{op}/large-logits", {"x": large}, axis=1)


def pooling_cases():
    def max_pool(name, x, kernel, stride, padding=(0, 0), dilation=(1, 1), ceil_mode=False, high=2.0):
        case(
            f"maxPool2d/{name}", {"x": distinct(*x, high=high)},
            kernel=kernel, stride=stride, padding=list(padding), dilation=list(dilation), ceilMode=ceil_mode,
        )

    max_pool("2x2-stride2", [2, 5, 7, 6], [2, 2], [2, 2])
    max_pool("3x3-stride2-pad1", [2, 5, 7, 6], [3, 3], [2, 2], padding=(1, 1))
    max_pool("3x3-stride2-pad1-channels-of-4", [1, 8, 6, 8], [3, 3], [2, 2], padding=(1, 1))
    max_pool("3x3-stride1-pad1", [1, 3, 5, 4], [3, 3], [1, 1], padding=(1, 1))
    max_pool("all-negative-pad1", [1, 3, 5, 4], [3, 3], [2, 2], padding=(1, 1), high=-0.5)
    max_pool("2x3-stride1x2-pad1x0", [2, 3, 6, 7], [2, 3], [1, 2], padding=(1, 0))
    max_pool("dilation2", [1, 3, 7, 6], [3, 2], [1, 1], dilation=(2, 2))
    max_pool("dilation2x1-stride2-pad1", [1, 3, 8, 7], [3, 3], [2, 2], padding=(1, 1), dilation=(2, 1))
    max_pool("ceil-mode", [2, 3, 7, 6], [2, 2], [2, 2], ceil_mode=True)
    max_pool("ceil-mode-pad1", [1, 3, 6, 8], [3, 3], [2, 2], padding=(1, 1), ceil_mode=True)
    max_pool("ceil-mode-drops-last-window", [1, 2, 4, 5], [2, 2], [3, 3], padding=(1, 1), ceil_mode=True)
    max_pool("stride-larger-than-kernel", [1, 3, 8, 7], [2, 2], [3, 3])
    max_pool("whole-image", [2, 3, 5, 4], [5, 4], [1, 1])

    def avg_pool(name, x, kernel, stride, padding=(0, 0), ceil_mode=False, count_include_pad=True):
        case(
            f"avgPool2d/{name}", {"x": normal(*x)},
            kernel=kernel, stride=stride, padding=list(padding), ceilMode=ceil_mode, countIncludePad=count_include_pad,
        )

    avg_pool("2x2-stride2", [2, 5, 7, 6], [2, 2], [2, 2])
    avg_pool("2x2-stride2-channels-of-4", [1, 8, 6, 4], [2, 2], [2, 2])
    avg_pool("3x3-stride1", [1, 3, 5, 4], [3, 3], [1, 1])
    avg_pool("pad1-counted", [2, 3, 7, 6], [3, 3], [2, 2], padding=(1, 1))
    avg_pool("pad1-not-counted", [2, 3, 7, 6], [3, 3], [2, 2], padding=(1, 1), count_include_pad=False)
    avg_pool("2x3-stride1x2-pad1x0", [1, 3, 5, 7], [2, 3], [1, 2], padding=(1, 0))
    avg_pool("ceil-mode", [1, 3, 7, 6], [2, 2], [2, 2], ceil_mode=True)
    avg_pool("ceil-mode-pad1-counted", [1, 3, 6, 8], [3, 3], [2, 2], padding=(1, 1), ceil_mode=True)
    avg_pool("ceil-mode-pad1-not-counted", [1, 3, 6, 8], [3, 3], [2, 2], (1, 1), True, False)
    avg_pool("whole-image", [2, 3, 5, 4], [5, 4], [5, 4])

    for name, shape, size in [
        ("7x5-to-3x2", [2, 3, 7, 5], [3, 2]),
        ("7x5-to-1x1", [2, 5, 7, 5], [1, 1]),
        ("2x3-to-5x4", [1, 3, 2, 3], [5, 4]),
        ("same-size", [1, 4, 3, 2], [3, 2]),
        ("8x6-to-4x3", [1, 4, 8, 6], [4, 3]),
        ("1x1-to-3x2", [2, 3, 1, 1], [3, 2]),
    ]:
        case(f"adaptiveAvgPool2d/{name}", {"x": normal(*shape)}, size=size)

    case("globalAvgPool2d/7x6", {"x": normal(2, 5, 7, 6)})
    case("globalAvgPool2d/channels-of-4", {"x": normal(3, 8, 4, 4)})
    case("globalAvgPool2d/1x1", {"x": normal(2, 3, 1, 1)})


def reduction_cases():
    for op, draw in [("sum", normal), ("mean", normal), ("max", distinct)]:
        def reduce(name, shape, axes, keep_dims=False):
            case(f"{op}/{name}", {"x": draw(*shape)}, axes=axes, keepDims=keep_dims)

        reduce("all", [2, 3, 4, 5], [0, 1, 2, 3])
        reduce("all-keep", [2, 3, 4], [0, 1, 2], True)
        reduce("first", [5, 3, 4], [0])
        reduce("middle-keep", [3, 7, 4], [1], True)
        reduce("last", [2, 3, 33], [2])
        reduce("spatial", [2, 5, 7, 6], [2, 3])
        reduce("not-adjacent", [3, 4, 5, 2], [0, 2])
        reduce("vector-of-1000", [1000], [0])
    ties = values([[1.0, 3.0, 3.0], [2.0, 2.0, 2.0], [-1.0, -1.0, -4.0], [0.5, 0.0, 5.0]])
    case("max/ties", {"x": ties}, axes=[1], keepDims=False)
    case("max/ties-keep-all", {"x": values([[4.0, 1.0], [4.0, 4.0]])}, axes=[0, 1], keepDims=True)

    case("argmax/last", {"x": distinct(3, 7)}, axis=1, keepDims=False)
    case("argmax/channels-keep", {"x": distinct(2, 5, 3, 4)}, axis=1, keepDims=True)
    case("argmax/first", {"x": distinct(5, 3, 4)}, axis=0, keepDims=False)
    case("argmax/negative", {"x": distinct(2, 9, high=-1.0)}, axis=1, keepDims=False)
    case("argmax/ties-go-to-the-first", {"x": ties}, axis=1, keepDims=False)

    case("topk/classes", {"x": distinct(2, 10)}, k=5, axis=1)
    case("topk/thousand-classes", {"x": distinct(1, 1000)}, k=7, axis=1)
    case("topk/all", {"x": distinct(3, 4)}, k=4, axis=1)
    case("topk/first-axis", {"x": distinct(6, 3)}, k=2, axis=0)
    case("topk/middle-axis", {"x": distinct(2, 5, 3)}, k=3, axis=1)
    case("topk/one-of-a-vector", {"x": distinct(9, high=-1.0)}, k=1, axis=0)


def shape_cases():
    def concat(name, shapes, axis):
        case(f"concat/{name}", {key: normal(*shape) for key, shape in zip("abc", shapes)}, axis=axis)

    concat("channels", [[2, 3, 4, 5], [2, 1, 4, 5], [2, 5, 4, 5]], 1)
    concat("channels-of-4", [[1, 4, 3, 2], [1, 8, 3, 2], [1, 4, 3, 2]], 1)
    concat("batch", [[1, 3, 4], [2, 3, 4], [3, 3, 4]], 0)
    concat("last", [[3, 2], [3, 5], [3, 1]], 1)
    concat("height", [[2, 3, 1, 4], [2, 3, 4, 4], [2, 3, 2, 4]], 2)

    def slice_(name, shape, starts, ends, steps):
        case(f"slice/{name}", {"x": normal(*shape)}, starts=starts, ends=ends, steps=steps)

    slice_("whole", [2, 3, 4], [0, 0, 0], [2, 3, 4], [1, 1, 1])
    slice_("crop", [2, 3, 7, 6], [0, 1, 2, 1], [2, 3, 6, 4], [1, 1, 1, 1])
    slice_("steps", [2, 3, 7, 6], [0, 0, 0, 1], [2, 3, 7, 6], [1, 2, 2, 3])
    slice_("subsample-by-2", [1, 5, 8, 7], [0, 0, 0, 0], [1, 5, 8, 7], [1, 1, 2, 2])
    slice_("one-element", [4, 5], [2, 3], [3, 4], [1, 1])
    slice_("vector", [11], [2], [10], [3])

    def pad_(name, shape, before, after, value=0.0):
        case(f"pad/{name}", {"x": normal(*shape)}, before=before, after=after, value=value)

    pad_("spatial", [2, 3, 4, 5], [0, 0, 1, 2], [0, 0, 3, 0])
    pad_("channels", [1, 4, 3, 2], [0, 2, 0, 0], [0, 2, 0, 0])
    pad_("every-axis", [2, 3, 2], [1, 0, 2], [0, 2, 1])
    pad_("value", [2, 3, 4], [0, 1, 1], [0, 1, 2], -1.5)
    pad_("nothing", [2, 3], [0, 0], [0, 0])

    for name, shape, target in [
        ("flatten", [2, 3, 4, 5], [2, 60]),
        ("vector", [2, 3, 4], [24]),
        ("split-channels", [2, 6, 3, 2], [2, 3, 2, 3, 2]),
        ("add-ones", [3, 4], [1, 3, 1, 4]),
        ("scalar", [1, 1], []),
    ]:
        case(f"reshape/{name}", {"x": normal(*shape)}, shape=target)

    for name, shape, permutation in [
        ("2d", [3, 5], [1, 0]),
        ("to-channels-last", [2, 5, 3, 4], [0, 2, 3, 1]),
        ("to-channels-first", [2, 3, 4, 5], [0, 3, 1, 2]),
        ("reverse", [2, 3, 4, 5], [3, 2, 1, 0]),
        ("identity", [2, 3, 4], [0, 1, 2]),
        ("rank5", [2, 3, 1, 4, 2], [4, 0, 3, 1, 2]),
    ]:
        case(f"transpose/{name}", {"x": normal(*shape)}, permutation=permutation)

    for name, condition, a, b in [
        ("same-shape", binary(2, 5, 4), [2, 5, 4], [2, 5, 4]),
        ("scalar-b", binary(2, 5, 4), [2, 5, 4], []),
        ("broadcast-condition", values([[1.0], [0.0], [1.0]]), [2, 3, 4], [2, 3, 4]),
        ("broadcast-all", binary(2, 1, 4), [3, 1], [1, 1, 4]),
    ]:
        case(f"where/{name}", {"condition": condition, "a": normal(*a), "b": normal(*b)})


def resize_cases():
    sizes = [
        ("up-by-2", [1, 3, 3, 4], [6, 8]),
        ("up-uneven", [2, 2, 4, 3], [7, 10]),
        ("down-uneven", [1, 3, 9, 8], [4, 5]),
        ("down-by-2", [1, 2, 8, 6], [4, 3]),
        ("up-and-down", [1, 2, 7, 3], [4, 5]),
        ("to-1x1", [2, 3, 5, 4], [1, 1]),
        ("from-1x1", [1, 3, 1, 1], [3, 4]),
        ("same-size", [1, 2, 3, 4], [3, 4]),
        ("7x7-to-24x24", [1, 2, 7, 7], [24, 24]),
    ]
    modes = [("nearest", False), ("bilinear", False), ("bilinear", True), ("bicubic", False), ("bicubic", True)]
    for mode, align_corners in modes:
        for label, shape, size in sizes:
            name = f"resize/{mode}{'-align-corners' if align_corners else ''}-{label}"
            case(name, {"x": normal(*shape)}, 1, size=size, mode=mode, alignCorners=align_corners)


def main():
    torch.set_num_threads(1)  # one order of summation, on every machine
    for add_cases in [
        conv_cases, product_cases, batch_norm_cases, elementwise_cases, softmax_cases, pooling_cases, reduction_cases,
        shape_cases, resize_cases,
    ]:
        add_cases()
    EXPECTED.mkdir(parents=True, exist_ok=True)
    lines = ",\n".join(json.dumps(entry) for entry in CASES)
    (EXPECTED / "ops.json").write_text(f"[\n{lines}\n]\n")
    safetensors_io.save(TENSORS, EXPECTED / "ops.safetensors")


if __name__ == "__main__":
    main()
