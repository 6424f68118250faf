"""Which engine computes: named, surrounding, default; threads, compile, a backward elsewhere."""

import threading

import pytest
import torch

from plusx import ops
from plusx.ops.engines import resolve


def _backward(y: torch.Tensor) -> str:
    return type(y.grad_fn).__name__


def test_named_before_surrounding_before_default() -> None:
    assert resolve(None, "native") == "native"
    with ops.engine("handmade"):
        assert resolve(None, "native") == "handmade"
        assert resolve("reference", "native") == "reference"
        with ops.engine("native"):
            assert resolve(None, "handmade") == "native"
        assert resolve(None, "native") == "handmade"
    assert resolve(None, "native") == "native"


def test_an_error_inside_restores_the_choice() -> None:
    with pytest.raises(KeyError), ops.engine("reference"):
        raise KeyError
    assert resolve(None, "native") == "native"


def test_auto_is_the_operations_own_choice_whatever_surrounds_it() -> None:
    for default in ops.ENGINES:
        with ops.engine("reference"):
            assert resolve("auto", default) == default
            with ops.engine("auto"):
                assert resolve(None, default) == default
                assert resolve("native", default) == "native"
            assert resolve(None, default) == "reference"
    x = torch.randn(1, 2, 4, 4, requires_grad=True)
    with ops.engine("reference"):  # which would refuse to be differentiated
        assert _backward(ops.conv2d(x, torch.ones(3, 2, 3, 3), engine="auto")) == "ConvolutionBackward0"


def test_unknown_names_list_the_known_ones() -> None:
    message = r"one of reference, handmade, native, auto; got 'fast'"
    with pytest.raises(ValueError, match=message), ops.engine("fast"):
        pass
    with pytest.raises(ValueError, match=message):
        ops.relu(torch.ones(1), engine="fast")


def test_threads_choose_for_themselves() -> None:
    seen = []
    with ops.engine("handmade"):
        thread = threading.Thread(target=lambda: seen.append(resolve(None, "native")))
        thread.start()
        thread.join()
    assert seen == ["native"]


def test_the_choice_reaches_the_operation_and_its_backward_may_run_outside() -> None:
    x = torch.randn(1, 2, 4, 4, requires_grad=True)
    w = torch.randn(3, 2, 3, 3, requires_grad=True)
    with ops.engine("handmade"):
        y = ops.conv2d(x, w)
    assert _backward(y) == "ConvolutionBackward"
    assert _backward(ops.conv2d(x, w)) == "ConvolutionBackward0"
    with ops.engine("native"):
        handmade = torch.autograd.grad(y.square().sum(), (x, w))
    native = torch.autograd.grad(ops.conv2d(x, w, engine="native").square().sum(), (x, w))
    torch.testing.assert_close(handmade, native)


def test_compiled_code_follows_the_choice() -> None:
    compiled = torch.compile(lambda x: ops.conv2d(x, torch.ones(1, 1, 1, 1)), backend="eager", fullgraph=True)
    x = torch.ones(1, 1, 2, 2, requires_grad=True)
    assert _backward(compiled(x)) == "ConvolutionBackward0"
    with ops.engine("handmade"):
        assert _backward(compiled(x)) != "ConvolutionBackward0"
    assert _backward(compiled(x)) == "ConvolutionBackward0"
    torch._dynamo.reset()


def test_a_whole_network_compiles_in_one_graph() -> None:
    x, weight = (torch.randn(n, 5, requires_grad=True) for n in (4, 3))
    bias = torch.zeros(3)
    target = torch.tensor([0, 1, 2, 0])

    def network(x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        with ops.engine("handmade"):
            y = ops.relu(ops.linear(x, weight, bias))
            y = ops.batch_norm(y, None, None, bias + 1, bias, True)
            return ops.cross_entropy(y, target, 0.1)

    compiled = torch.compile(network, backend="aot_eager", fullgraph=True)
    torch.testing.assert_close(
        torch.autograd.grad(compiled(x, weight), (x, weight)),
        torch.autograd.grad(network(x, weight), (x, weight)),
    )
