import copy
import json

import pytest
import torch
import torch.ao.nn.quantized.dynamic as torch_quantized
import torch.nn.functional as F
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import nn

from niwaki.errors import ModelError
from niwaki.measure.cost import ROOT, Cost, count
from niwaki.models.lenet5 import LeNet5


class Residual(nn.Module):
    """Convolution, batch norm, depthwise and grouped convolution, a shortcut, a linear layer."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1, bias=False)
        self.bn = nn.BatchNorm2d(8)
        self.depthwise = nn.Conv2d(8, 8, 3, padding=1, groups=8)
        self.grouped = nn.Conv2d(8, 4, 3, stride=2, padding=1, groups=2)
        self.fc = nn.Linear(36, 5)

    def forward(self, x):
        x = F.relu(self.bn(self.stem(x)))
        x = x + self.depthwise(x)
        return self.fc(self.grouped(x).flatten(1))


class Functional(nn.Module):
    """A convolution that is no module: torch-pruning does not see it."""

    def __init__(self):
        super().__init__()
        self.kernel = nn.Parameter(torch.zeros(2, 1, 3, 3))
        self.act = nn.ReLU()

    def forward(self, x):
        return self.act(F.conv2d(x, self.kernel))


def adds_up(cost: Cost) -> bool:
    return (
        sum(layer.params for layer in cost.layers) == cost.params
        and sum(layer.macs for layer in cost.layers) == cost.macs
        and sum(layer.bytes for layer in cost.layers) == sum(cost.bytes.values())
    )


def by_name(cost: Cost, field: str) -> dict:
    return {layer.name: getattr(layer, field) for layer in cost.layers}


@pytest.mark.parametrize(
    ("widths", "params", "macs", "macs_tp"),
    [
        ((6, 16, 120, 84), 61_706, 416_520, 429_342),
        ((3, 8, 60, 42), 15_738, 133_740, 140_156),
        ((2, 6, 48, 33), 9_563, 78_314, 82_741),
        ((1, 1, 11, 8), 524, 22_543, 24_340),
    ],
)
def test_lenet5_of_the_source_study(widths, params, macs, macs_tp):
    c1, c2, f1, f2 = widths
    assert macs == 28 * 28 * c1 * 25 + 10 * 10 * c2 * c1 * 25 + c2 * 25 * f1 + f1 * f2 + f2 * 10
    cost = count(LeNet5(widths), (1, 32, 32))
    assert (cost.params, cost.macs, cost.macs_tp) == (params, macs, macs_tp)
    assert cost.bytes == {"float32": 4 * params}
    assert adds_up(cost)


def test_lenet5_layer_by_layer():
    cost = count(LeNet5(), (1, 32, 32))
    rows = [(x.name, x.kind, x.output_shape, x.params, x.macs, x.dtype, x.bytes) for x in cost.layers]
    assert rows == [
        ("conv1", "Conv2d", (6, 28, 28), 156, 117_600, "float32", 624),
        ("pool1", "MaxPool2d", (6, 14, 14), 0, 0, "float32", 0),
        ("conv2", "Conv2d", (16, 10, 10), 2_416, 240_000, "float32", 9_664),
        ("pool2", "MaxPool2d", (16, 5, 5), 0, 0, "float32", 0),
        ("fc1", "Linear", (120,), 48_120, 48_000, "float32", 192_480),
        ("fc2", "Linear", (84,), 10_164, 10_080, "float32", 40_656),
        ("fc3", "Linear", (10,), 850, 840, "float32", 3_400),
    ]


def test_residual_depthwise_and_grouped_by_hand():
    cost = count(Residual(), (3, 6, 6))
    assert by_name(cost, "macs") == {
        "stem": 36 * 8 * 27,
        "bn": 0,
        "depthwise": 36 * 8 * 9,
        "grouped": 9 * 4 * 4 * 9,
        "fc": 36 * 5,
    }
    assert by_name(cost, "params") == {"stem": 216, "bn": 16, "depthwise": 80, "grouped": 148, "fc": 185}
    assert cost.params == 645
    # batch norm: two running statistics of 8 floats, and an int64 counter of batches
    assert cost.bytes == {"float32": 4 * (645 + 16), "int64": 8}
    assert by_name(cost, "bytes")["bn"] == 4 * 32 + 8
    # with biases, and batch norm at twice its input
    assert cost.macs_tp == cost.macs + 2 * 288 + 36 * 8 + 9 * 4 + 5
    assert adds_up(cost)


@settings(max_examples=40, deadline=None)
@given(
    groups=st.integers(1, 3),
    ins=st.integers(1, 3),
    outs=st.integers(1, 3),
    kernel=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    stride=st.integers(1, 3),
    padding=st.integers(0, 2),
    dilation=st.integers(1, 2),
    image=st.tuples(st.integers(1, 9), st.integers(1, 9)),
)
def test_convolution_agrees_with_its_formula(*, groups, ins, outs, kernel, stride, padding, dilation, image):
    sides = [(i + 2 * padding - dilation * (k - 1) - 1) // stride + 1 for i, k in zip(image, kernel, strict=True)]
    assume(all(i + 2 * padding > dilation * (k - 1) for i, k in zip(image, kernel, strict=True)))
    c_in, c_out = groups * ins, groups * outs
    cost = count(nn.Conv2d(c_in, c_out, kernel, stride, padding, dilation, groups), (c_in, *image))
    assert cost.macs == sides[0] * sides[1] * c_out * ins * kernel[0] * kernel[1]
    assert cost.layers[0].output_shape == (c_out, *sides)
    assert cost.layers[0].name == ROOT
    assert cost.macs_tp == cost.macs + c_out * sides[0] * sides[1]


@settings(max_examples=20, deadline=None)
@given(shape=st.tuples(st.integers(1, 3), st.integers(1, 4), st.integers(1, 5)), outs=st.integers(1, 7))
def test_linear_layer_is_counted_at_every_position(shape, outs):
    assert count(nn.Linear(shape[2], outs), shape).macs == shape[0] * shape[1] * shape[2] * outs


def test_attention_is_counted_where_torch_would_fuse_it():
    encoder = nn.Sequential(nn.Flatten(2), nn.TransformerEncoderLayer(16, 4, 32, batch_first=True))
    cost = count(encoder, (5, 4, 4))
    tokens, width = 5, 16
    attention = tokens * width * 4 * width + 2 * tokens * tokens * width
    assert by_name(cost, "macs")["1.self_attn"] == attention
    assert cost.macs == attention + 2 * tokens * width * 32
    assert adds_up(cost)


def test_layer_used_twice_has_one_row_and_its_weights_count_once():
    conv = nn.Conv2d(2, 2, 3, padding=1, bias=False)
    cost = count(nn.Sequential(conv, nn.ReLU(), conv), (2, 4, 4))
    assert by_name(cost, "macs") == {"0": 2 * 16 * 2 * 2 * 9, "1": 0}
    assert (cost.params, cost.bytes) == (36, {"float32": 144})


def test_layer_used_at_two_sizes_shows_its_first_output():
    conv = nn.Conv2d(1, 1, 3)
    cost = count(nn.Sequential(conv, conv), (1, 7, 7))
    assert [(x.output_shape, x.macs) for x in cost.layers] == [((1, 5, 5), 9 * (25 + 9))]


def test_weight_shared_by_two_layers_counts_with_the_first():
    first, second = nn.Linear(4, 4, bias=False), nn.Linear(4, 4, bias=False)
    second.weight = first.weight
    cost = count(nn.Sequential(first, second), (1, 1, 4))
    assert by_name(cost, "params") == {"0": 16, "1": 0}
    assert by_name(cost, "bytes") == {"0": 64, "1": 0}
    assert (cost.params, cost.macs) == (16, 32)


def test_layer_that_never_runs_comes_last_with_its_weights():
    class Spare(nn.Module):
        def __init__(self):
            super().__init__()
            self.spare, self.used = nn.Linear(2, 2), nn.Linear(3, 1)

        def forward(self, x):
            return self.used(x)

    cost = count(Spare(), (1, 1, 3))
    assert [(x.name, x.output_shape, x.macs, x.params) for x in cost.layers] == [
        ("used", (1, 1, 1), 3, 4),
        ("spare", (), 0, 6),
    ]


def test_work_outside_layers_is_the_models_own_and_unknown_to_torch_pruning():
    cost = count(Functional(), (1, 5, 5))
    assert by_name(cost, "macs") == {ROOT: 9 * 2 * 9, "act": 0}
    assert by_name(cost, "params") == {ROOT: 18, "act": 0}
    assert cost.macs_tp is None


def test_macs_tp_is_none_where_torch_pruning_fails(monkeypatch):
    def fails(*_args, **_kwargs):
        raise RuntimeError("no such hook")

    monkeypatch.setattr("torch_pruning.utils.count_ops_and_params", fails)
    cost = count(LeNet5(), (1, 32, 32))
    assert (cost.macs, cost.macs_tp) == (416_520, None)


def test_model_that_returns_no_tensor_has_no_output_shape():
    class Sizes(nn.Module):
        def forward(self, x):
            return x.shape[1]

    assert [(x.output_shape, x.dtype) for x in count(Sizes(), (1, 2, 2)).layers] == [((), "")]


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_other_data_types_count_their_own_bytes(dtype):
    cost = count(nn.Linear(4, 2).to(dtype), (1, 1, 4))
    name = str(dtype).removeprefix("torch.")
    assert cost.bytes == {name: 10 * dtype.itemsize}
    assert cost.layers[0].dtype == name


def test_model_on_a_device_without_data_is_counted_there():
    cost = count(LeNet5().to("meta"), (1, 32, 32))
    assert (cost.macs, cost.macs_tp, cost.bytes) == (416_520, 429_342, {"float32": 246_824})


class Restless(nn.Module):
    """Changes whatever a forward can change."""

    def __init__(self):
        super().__init__()
        self.conv, self.bn = nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2)
        self.register_buffer("calls", torch.zeros(1))
        self.seen = []

    def forward(self, x):
        self.calls += 1
        self.seen.append(torch.rand(1))
        self.bn.train()
        return self.bn(F.dropout(self.conv(x), 0.5, training=True))


def test_count_leaves_no_trace_in_the_model():
    net = Restless()
    net(torch.ones(2, 1, 5, 5)).sum().backward()
    net.conv.eval()
    net.conv.bias.requires_grad_(False)
    before, gradient = copy.deepcopy(net.state_dict()), net.conv.weight.grad.clone()
    random_state = torch.get_rng_state()
    fast = torch.backends.mha.get_fastpath_enabled()
    count(net, (1, 5, 5))
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert [module.training for module in (net, net.conv, net.bn)] == [True, False, True]
    assert [p.requires_grad for p in net.conv.parameters()] == [True, False]
    assert torch.equal(net.conv.weight.grad, gradient)
    assert torch.equal(torch.get_rng_state(), random_state)
    assert len(net.seen) == 1
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in net.modules())
    assert torch.backends.mha.get_fastpath_enabled() == fast


def test_input_that_does_not_fit_is_named():
    with pytest.raises(ModelError, match=r"^LeNet5: .*shape \(3, 32, 32\): .*check the input shape[^\n]*$") as caught:
        count(LeNet5(), (3, 32, 32))
    assert caught.value.__cause__ is not None


def test_failure_without_words_is_named_by_its_class():
    class Silent(nn.Module):
        def forward(self, x):
            raise NotImplementedError

    with pytest.raises(ModelError, match=r"Silent: cannot run .*: NotImplementedError; "):
        count(Silent(), (1, 2, 2))


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_torch_quantized_layers_are_refused_rather_than_counted_as_nothing():
    net = nn.Sequential(nn.Flatten(), torch_quantized.Linear(4, 2))
    with pytest.raises(ModelError, match=r"^1: .*hides its weights and MACs"):
        count(net, (1, 2, 2))


def test_to_dict_is_plain_json():
    values = json.loads(json.dumps(count(LeNet5(), (1, 32, 32)).to_dict()))
    assert values["macs"] == 416_520
    assert values["layers"][0] == {
        "name": "conv1",
        "kind": "Conv2d",
        "output_shape": [6, 28, 28],
        "params": 156,
        "macs": 117_600,
        "dtype": "float32",
        "bytes": 624,
    }


class Sequences(nn.Module):
    """Takes the rows of an image (8 of 16 numbers) for the steps of a sequence."""

    def __init__(self, layer):
        super().__init__()
        self.layer = layer

    def forward(self, x):
        return self.layer(x.squeeze(1))[0]


class OneStep(Sequences):
    def forward(self, x):
        found = self.layer(x[:, 0, 0])
        return found if isinstance(found, torch.Tensor) else found[0]


class Written(nn.Module):
    """A function of the image and a weight."""

    def __init__(self, function, *shape):
        super().__init__()
        self.weight, self.function = nn.Parameter(torch.ones(shape)), function

    def forward(self, x):
        return self.function(x, self.weight)


def batched(cls, *args, **kwargs):
    return Sequences(cls(*args, batch_first=True, **kwargs))


@pytest.mark.parametrize(
    ("model", "macs"),
    [
        (Written(lambda x, w: F.bilinear(x[:, 0, 0], x[:, 0, 1], w), 5, 16, 16), 5 * 16 * 16),
        (Written(lambda x, w: F.bilinear(x, x, w), 5, 16, 16), 8 * 5 * 16 * 16),  # at every position
        (batched(nn.LSTM, 16, 24), 8 * 4 * 24 * (16 + 24)),
        (batched(nn.LSTM, 16, 24, bidirectional=True), 2 * 8 * 4 * 24 * (16 + 24)),
        (batched(nn.LSTM, 16, 24, num_layers=2, bias=False), 8 * 4 * 24 * (16 + 24 + 24 + 24)),
        (batched(nn.LSTM, 16, 24, proj_size=5), 8 * (4 * 24 * (16 + 5) + 24 * 5)),
        (Sequences(nn.LSTM(16, 24)), 8 * 4 * 24 * (16 + 24)),  # 8 images of one step
        (batched(nn.GRU, 16, 24), 8 * 3 * 24 * (16 + 24)),
        (batched(nn.RNN, 16, 24), 8 * 24 * (16 + 24)),
        (OneStep(nn.LSTMCell(16, 24)), 4 * 24 * (16 + 24)),
        (OneStep(nn.GRUCell(16, 24)), 3 * 24 * (16 + 24)),
        (OneStep(nn.RNNCell(16, 24)), 24 * (16 + 24)),
        (Written(lambda x, w: torch.einsum("bchw,wo->bcho", x, w), 16, 5), 8 * 16 * 5),
        (Written(lambda x, w: torch.einsum("bchw,chw->b", x, w), 1, 8, 16), 8 * 16),
        (Written(lambda x, w: w @ F.unfold(x, 3), 5, 9), 6 * 14 * 9 * 5),
        (Written(lambda x, w: F.conv_transpose2d(x, w, stride=2), 1, 4, 3, 3), 8 * 16 * 4 * 9),
        (Written(lambda x, w: torch.mv(w, x[0, 0, 0]), 5, 16), 5 * 16),
        (Written(lambda x, w: torch.addmv(torch.zeros(5), w, x[0, 0, 0]), 5, 16), 5 * 16),
        (Written(lambda x, w: torch.dot(w, x[0, 0, 0]), 16), 16),
        (Written(lambda x, w: torch.addr(torch.zeros(16, 5), x[0, 0, 0], w), 5), 16 * 5),
        (Written(lambda x, w: torch.addbmm(torch.zeros(8, 5), x[0], w[None]), 16, 5), 8 * 16 * 5),
        (Written(lambda x, w: F.scaled_dot_product_attention(x, x, x) * w, 1), 2 * 8 * 8 * 16),
    ],
)
def test_products_that_are_no_layers_of_their_own_by_hand(model, macs):
    cost = count(model, (1, 8, 16))
    assert cost.macs == macs
    assert cost.uncounted == ()
    assert adds_up(cost)


def test_multihead_attention_by_hand():
    class Attention(nn.Module):
        def __init__(self):
            super().__init__()
            self.attend = nn.MultiheadAttention(16, 4, batch_first=True)

        def forward(self, x):
            return self.attend(x[:, 0], x[:, 0], x[:, 0])[0]

    cost = count(Attention(), (1, 8, 16))
    assert cost.macs == 4 * 8 * 16 * 16 + 2 * 8 * 8 * 16  # three projections in, one out; scores and values
    assert cost.uncounted == ()


@torch.library.custom_op("niwaki_tests::times", mutates_args=())
def times(x: torch.Tensor, w: torch.Tensor) -> torch.Tensor:
    return torch.matmul(x, w)


@pytest.mark.parametrize(
    ("function", "shape", "operator"),
    [
        (lambda x, w: times(x, w), (16, 5), "niwaki_tests::times"),  # noqa: PLW0108 (it cannot be copied)
        (lambda x, w: torch.cdist(x[:, 0], w), (5, 16), "_cdist_forward"),
        (lambda x, w: torch.fft.rfft2(x).abs() * w, (1,), "_fft_r2c"),
        (lambda x, w: (x.unsqueeze(-2) * w).sum(-1), (5, 16), "mul and sum"),  # a linear layer
        (lambda x, w: (w * F.unfold(x, 3)).sum(1), (9, 1), "mul and sum"),  # a convolution
        (lambda x, w: (F.unfold(x, 3) * w).view(1, 3, 3, -1).clone().mean((1, 2)), (9, 1), "mul and sum"),
        (lambda x, w: (x * w).sum(), (8, 16), "mul and sum"),
    ],
)
def test_work_that_cannot_be_counted_is_named(function, shape, operator):
    cost = count(nn.Sequential(nn.Identity(), Written(function, *shape)), (1, 8, 16))
    assert cost.macs == 0
    assert cost.uncounted == (f"1 (Written): {operator}",)
    assert cost.to_dict()["uncounted"] == cost.uncounted


def test_what_only_scales_norms_or_looks_up_is_not_named():
    """A gain for every channel and then the mean over the map: no two weights meet in a sum."""

    class Quiet(nn.Module):
        def __init__(self):
            super().__init__()
            self.norms = nn.Sequential(
                nn.BatchNorm2d(4), nn.GroupNorm(2, 4), nn.LayerNorm(16), nn.PReLU(4), nn.InstanceNorm2d(4, affine=True)
            )
            self.gain, self.token = nn.Parameter(torch.ones(4, 1, 1)), nn.Parameter(torch.ones(1, 1, 8, 16))
            self.table = nn.Embedding(3, 2)
            self.kernel = nn.Parameter(torch.ones(2, 4, 3, 3))

        def forward(self, x):
            x = self.norms(torch.cat([x, self.token.expand(len(x), 3, 8, 16)], 1)) * self.gain + self.token
            weight = self.kernel - (self.kernel * self.kernel).mean((1, 2, 3), keepdim=True)  # of weights alone
            looked = self.table((x[:, 0, 0] > 0).long())
            return F.conv2d(x, weight).mean((2, 3)) + (x * self.gain).mean((2, 3))[:, :2] + looked.sum(1)

    cost = count(Quiet(), (1, 8, 16))
    assert cost.uncounted == ()
    assert cost.macs == 6 * 14 * 2 * 4 * 9
