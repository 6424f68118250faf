"""Eight float32 numbers side by side, as compiled loops compute with them: one instruction for all eight.

Most loops leave it to the compiler to find such vectors. Where a loop has to say what stays in the
processor's registers, it says it with these:

    u = load(x, k)                          # x[k], …, x[k + 7]
    s = plus_product(s, spread(w, i), u)    # s + w[i] · u, rounded once where the processor can
    store(y, k, FOUR * u - s)

A processor with vectors of four takes two instructions each. Indices count from an array's first number, and
nothing checks them. Arrays are float32 and without gaps; others are refused when a loop is compiled.
"""

import operator
from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.errors import TypingError
from numba.extending import intrinsic, models, overload, register_model

WIDTH = 8
_VECTOR = ir.VectorType(ir.FloatType(), WIDTH)
_FLOAT_BYTES = 4


class Lanes(types.Type):
    """The type of eight numbers, inside compiled loops only."""

    def __init__(self) -> None:
        """Name it."""
        super().__init__(name="Lanes")


LANES = Lanes()


@register_model(Lanes)
class _LanesModel(models.PrimitiveModel):
    """They are one vector of the compiler's."""

    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, _VECTOR)


def _check(array: Any) -> None:
    if not (isinstance(array, types.Array) and array.dtype == types.float32 and array.layout == "C"):
        raise TypingError(f"lanes are read from and written to float32 arrays without gaps, not {array}")


def _place(context: Any, builder: Any, kind: Any, array: Any, index: Any) -> Any:
    """Where this number of an array lies."""
    return builder.gep(context.make_array(kind)(context, builder, array).data, [index])


def _eight(context: Any, builder: Any, kind: Any, array: Any, index: Any) -> Any:
    """Where eight numbers from this one on lie."""
    return builder.bitcast(_place(context, builder, kind, array, index), _VECTOR.as_pointer())


def _spread(builder: Any, number: Any) -> Any:
    undefined, first = ir.Constant(_VECTOR, ir.Undefined), ir.Constant(ir.IntType(32), 0)
    everywhere = ir.Constant(ir.VectorType(ir.IntType(32), WIDTH), [0] * WIDTH)
    return builder.shuffle_vector(builder.insert_element(undefined, number, first), undefined, everywhere)


@intrinsic
def noughts(_: Any) -> Any:
    """Eight zeros."""
    return LANES(), lambda context, builder, signature, args: ir.Constant(_VECTOR, None)


@intrinsic
def load(_: Any, array: Any, index: Any) -> Any:
    """Eight numbers of a float32 array."""
    _check(array)

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.load(_eight(context, builder, signature.args[0], *args), align=_FLOAT_BYTES)

    return LANES(array, types.intp), generate


@intrinsic
def store(_: Any, array: Any, index: Any, lanes: Any) -> Any:
    """Write eight numbers into a float32 array."""
    _check(array)

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        place = _eight(context, builder, signature.args[0], *args[:2])
        builder.store(args[2], place, align=_FLOAT_BYTES)
        return context.get_dummy_value()

    return types.void(array, types.intp, LANES), generate


@intrinsic
def spread(_: Any, array: Any, index: Any) -> Any:
    """One number of a float32 array, eight times."""
    _check(array)

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return _spread(builder, builder.load(_place(context, builder, signature.args[0], *args)))

    return LANES(array, types.intp), generate


@intrinsic
def plus_product(_: Any, s: Any, a: Any, b: Any) -> Any:
    """s + a · b."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kind = ir.FunctionType(_VECTOR, [_VECTOR] * 3)
        function = cgutils.get_or_insert_function(builder.module, kind, f"llvm.fmuladd.v{WIDTH}f32")
        return builder.call(function, [args[1], args[2], args[0]])

    return LANES(LANES, LANES, LANES), generate


def _operator(python: Callable[[Any, Any], Any], instruction: str) -> None:
    """Let the operator take lanes, or a float32 on its left, which then counts for every lane."""

    @intrinsic
    def calculate(_: Any, a: Any, b: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            left = args[0] if signature.args[0] == LANES else _spread(builder, args[0])
            return getattr(builder, instruction)(left, args[1], flags=("contract",))

        return LANES(a, LANES), generate

    @overload(python, inline="always")
    def _(a, b):  # type: ignore[no-untyped-def]  # Numba compares the names with the function's below
        if b == LANES and a in (LANES, types.float32):
            return lambda a, b: calculate(a, b)  # type: ignore[call-arg]
        return None


_operator(operator.add, "fadd")
_operator(operator.sub, "fsub")
_operator(operator.mul, "fmul")
