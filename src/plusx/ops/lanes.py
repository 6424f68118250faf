"""Several float32 numbers side by side, as compiled loops compute with them: one instruction for all of them.

Most loops leave it to the compiler to find such vectors. Where a loop has to say what stays in the
processor's registers, it says it with these:

    u = load(x, k, EIGHT_LANES)                           # x[k], …, x[k + 7]
    s = plus_product(s, broadcast(w, i, EIGHT_LANES), u)  # s + w[i] · u, rounded once where the processor can
    store(y, k, FOUR * u - s)

How many there are the compiler has to know (`plusx.ops.parts.known`). A processor with shorter vectors takes
several instructions each. Indices count from an array's first number, and nothing checks them. Arrays are
without gaps and float32, or bfloat16 given as uint16 (see `plusx.ops.bfloat16`), which `load` widens and
`store` rounds; others are refused when a loop is compiled.
"""

import operator
from collections.abc import Callable
from typing import Any

from llvmlite import binding, ir
from numba import types
from numba.core import cgutils
from numba.core.errors import TypingError
from numba.extending import intrinsic, models, overload, register_model

from plusx.ops.bfloat16 import rounded_to_even, widened
from plusx.ops.parts import known

EIGHT_LANES, SIXTEEN_LANES = known(8), known(16)
MOST_LANES = SIXTEEN_LANES if binding.get_host_cpu_features().get("avx512f") else EIGHT_LANES
"""The processor's longest vectors, or eight numbers in two of them."""
_FLOAT_BYTES, _BFLOAT16_BYTES = 4, 2


class Lanes(types.Type):
    """The type of so many numbers, inside compiled loops only."""

    def __init__(self, width: int) -> None:
        """Name it."""
        self.width = width
        super().__init__(name=f"Lanes({width})")


@register_model(Lanes)
class _LanesModel(models.PrimitiveModel):
    """They are one vector of the compiler's."""

    def __init__(self, manager: Any, kind: Lanes) -> None:
        super().__init__(manager, kind, _vector(kind.width))


def _vector(width: int) -> Any:
    return ir.VectorType(ir.FloatType(), width)


def _lanes(width: Any) -> Lanes:
    """The type for a known width."""
    if not isinstance(width, types.BaseTuple):
        raise TypingError(f"how many lanes there are must be `known`, not {width}")
    return Lanes(len(width))


def _check(array: Any, *dtypes: Any) -> None:
    if not (isinstance(array, types.Array) and array.dtype in dtypes and array.layout == "C"):
        raise TypingError(f"lanes are read from and written to float32 arrays without gaps, not {array}")


def _place(context: Any, builder: Any, kind: Any, array: Any, index: Any) -> Any:
    """Where this number of an array lies."""
    return builder.gep(context.make_array(kind)(context, builder, array).data, [index])


def _places(vector: Any, context: Any, builder: Any, kind: Any, array: Any, index: Any) -> Any:
    """Where so many numbers from this one on lie."""
    return builder.bitcast(_place(context, builder, kind, array, index), vector.as_pointer())


def _broadcast(builder: Any, number: Any, width: int) -> Any:
    undefined, first = ir.Constant(_vector(width), ir.Undefined), ir.Constant(ir.IntType(32), 0)
    everywhere = ir.Constant(ir.VectorType(ir.IntType(32), width), [0] * width)
    return builder.shuffle_vector(builder.insert_element(undefined, number, first), undefined, everywhere)


@intrinsic
def noughts(_: Any, width: Any) -> Any:
    """Zeros."""
    lanes = _lanes(width)
    return lanes(width), lambda context, builder, signature, args: ir.Constant(_vector(lanes.width), None)


@intrinsic
def load(_: Any, array: Any, index: Any, width: Any) -> Any:
    """So many numbers of a float32 array, or of bfloat16 as uint16."""
    _check(array, types.float32, types.uint16)
    lanes = _lanes(width)

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        place = _places(_vector(lanes.width), context, builder, signature.args[0], *args[:2])
        return builder.load(place, align=_FLOAT_BYTES)

    def generate_wide(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        halves = ir.VectorType(ir.IntType(16), lanes.width)
        place = _places(halves, context, builder, signature.args[0], *args[:2])
        return widened(builder, builder.load(place, align=_BFLOAT16_BYTES))

    is_wide = array.dtype == types.float32
    return lanes(array, types.intp, width), generate if is_wide else generate_wide


@intrinsic
def store(_: Any, array: Any, index: Any, lanes: Any) -> Any:
    """Write them into a float32 array, or into one of uint16 the nearest bfloat16, ties to even."""
    _check(array, types.float32, types.uint16)
    if not array.mutable:
        raise TypingError("lanes can't be written to an array that is for reading only")

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        place = _places(_vector(lanes.width), context, builder, signature.args[0], *args[:2])
        builder.store(args[2], place, align=_FLOAT_BYTES)
        return context.get_dummy_value()

    def generate_narrow(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        halves = rounded_to_even(builder, args[2])
        place = _places(halves.type, context, builder, signature.args[0], *args[:2])
        builder.store(halves, place, align=_BFLOAT16_BYTES)
        return context.get_dummy_value()

    is_wide = array.dtype == types.float32
    return types.void(array, types.intp, lanes), generate if is_wide else generate_narrow


@intrinsic
def broadcast(_: Any, array: Any, index: Any, width: Any) -> Any:
    """One number of a float32 array, so many times."""
    _check(array, types.float32)
    lanes = _lanes(width)

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        number = builder.load(_place(context, builder, signature.args[0], *args[:2]))
        return _broadcast(builder, number, lanes.width)

    return lanes(array, types.intp, width), generate


@intrinsic
def plus_product(_: Any, s: Lanes, a: Lanes, b: Lanes) -> Any:
    """s + a · b."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kind = ir.FunctionType(_vector(s.width), [_vector(s.width)] * 3)
        function = cgutils.get_or_insert_function(builder.module, kind, f"llvm.fmuladd.v{s.width}f32")
        return builder.call(function, [args[1], args[2], args[0]])

    return s(s, a, b), generate


def _operator(python: Callable[[Any, Any], Any], instruction: str) -> None:
    """Let the operator take lanes, or a float32 on its left, which then counts for every lane."""

    @intrinsic
    def calculate(_: Any, a: Any, b: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            left = args[0] if a == b else _broadcast(builder, args[0], b.width)
            return getattr(builder, instruction)(left, args[1], flags=("contract",))

        return b(a, b), generate

    @overload(python, inline="always")
    def _(a, b):  # type: ignore[no-untyped-def]  # Numba compares the names with the function's below
        if isinstance(b, Lanes) and a in (b, types.float32):
            return lambda a, b: calculate(a, b)  # type: ignore[call-arg]
        return None


_operator(operator.add, "fadd")
_operator(operator.sub, "fsub")
_operator(operator.mul, "fmul")
