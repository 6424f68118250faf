"""Several numbers side by side, as compiled loops compute with them: one instruction for all of them.

Most loops leave it to the compiler to find such vectors. Where a loop has to say what stays in the
processor's registers, it says it with these:

    u = load(x, k, EIGHT_LANES)                           # x[k], …, x[k + 7]
    s = plus_product(s, broadcast(w, i, EIGHT_LANES), u)  # s + w[i] · u, rounded once where the processor can
    store(y, k, FOUR * u - s)
    u = choose(s > u, s, u)                               # the larger one of each pair

How many there are the compiler has to know (`plusx.ops.parts.known`). A processor with shorter vectors takes
several instructions each. Indices count from an array's first number, and nothing checks them. Arrays are
without gaps and float32 or float64, or bfloat16 given as uint16 (see `plusx.ops.bfloat16`), which `load`
widens and `store` rounds; `store` also writes whole numbers. Others are refused when a loop is compiled.
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
_ELEMENTS: dict[Any, Any] = {
    types.float32: ir.FloatType(),
    types.float64: ir.DoubleType(),
    types.boolean: ir.IntType(1),
}
_REAL = (types.float32, types.float64)
_WHOLE = {types.uint8: ir.IntType(8), types.int32: ir.IntType(32)}


class Lanes(types.Type):
    """The type of so many numbers, or answers, inside compiled loops only."""

    def __init__(self, width: int, element: Any = types.float32) -> None:
        """Name it."""
        self.width, self.element = width, element
        super().__init__(name=f"Lanes({width}, {element})")

    @property
    def vector(self) -> Any:
        """What it is for LLVM."""
        return ir.VectorType(_ELEMENTS[self.element], self.width)


@register_model(Lanes)
class _LanesModel(models.PrimitiveModel):
    """They are one vector of the compiler's."""

    def __init__(self, manager: Any, kind: Lanes) -> None:
        super().__init__(manager, kind, kind.vector)


def _lanes(width: Any, element: Any = types.float32) -> Lanes:
    """The type for a known width."""
    if not isinstance(width, types.BaseTuple):
        raise TypingError(f"how many lanes there are must be `known`, not {width}")
    return Lanes(len(width), element)


def _check(array: Any, *dtypes: Any) -> None:
    if not (isinstance(array, types.Array) and array.dtype in dtypes and array.layout == "C"):
        raise TypingError(f"lanes are read from and written to arrays of {dtypes} without gaps, not {array}")


def _place(context: Any, builder: Any, kind: Any, array: Any, index: Any) -> Any:
    """Where this number of an array lies."""
    return builder.gep(context.make_array(kind)(context, builder, array).data, [index])


def _places(vector: Any, context: Any, builder: Any, kind: Any, array: Any, index: Any) -> Any:
    """Where so many numbers from this one on lie."""
    return builder.bitcast(_place(context, builder, kind, array, index), vector.as_pointer())


def _spread(builder: Any, number: Any, width: int) -> Any:
    """One number, so many times."""
    undefined, first = ir.Constant(ir.VectorType(number.type, width), ir.Undefined), ir.IntType(32)(0)
    everywhere = ir.Constant(ir.VectorType(ir.IntType(32), width), [0] * width)
    return builder.shuffle_vector(builder.insert_element(undefined, number, first), undefined, everywhere)


@intrinsic
def noughts(_: Any, width: Any) -> Any:
    """Zeros."""
    lanes = _lanes(width)
    return lanes(width), lambda context, builder, signature, args: ir.Constant(lanes.vector, None)


@intrinsic
def alike(_: Any, lanes: Any, number: Any) -> Any:
    """One number, whole or real, in each of such lanes."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return _spread(builder, context.cast(builder, args[1], number, lanes.element), lanes.width)

    return lanes(lanes, number), generate


@intrinsic
def load(_: Any, array: Any, index: Any, width: Any) -> Any:
    """So many numbers of an array."""
    _check(array, *_REAL, types.uint16)
    lanes = _lanes(width, types.float32 if array.dtype == types.uint16 else array.dtype)

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        place = _places(lanes.vector, context, builder, signature.args[0], *args[:2])
        return builder.load(place, align=array.dtype.bitwidth // 8)

    def generate_wide(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        halves = ir.VectorType(ir.IntType(16), lanes.width)
        place = _places(halves, context, builder, signature.args[0], *args[:2])
        return widened(builder, builder.load(place, align=2))

    return lanes(array, types.intp, width), generate if array.dtype in _REAL else generate_wide


@intrinsic
def store(_: Any, array: Any, index: Any, lanes: Any) -> Any:
    """Write them into an array: of uint16 the nearest bfloat16, ties to even; of other whole ones those."""
    _check(array, lanes.element, *_WHOLE, *([types.uint16] if lanes.element == types.float32 else []))
    if not array.mutable:
        raise TypingError("lanes can't be written to an array that is for reading only")

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        numbers = args[2]
        if array.dtype == types.uint16:
            numbers = rounded_to_even(builder, numbers)
        elif array.dtype in _WHOLE:
            numbers = builder.fptoui(numbers, ir.VectorType(_WHOLE[array.dtype], lanes.width))
        place = _places(numbers.type, context, builder, signature.args[0], *args[:2])
        builder.store(numbers, place, align=array.dtype.bitwidth // 8)
        return context.get_dummy_value()

    return types.void(array, types.intp, lanes), generate


@intrinsic
def prefetch(_: Any, array: Any, index: Any) -> Any:
    """Ask the memory for the number, which is read later, and its neighbours; it may lie behind the end."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        place = builder.bitcast(_place(context, builder, signature.args[0], *args), _BYTES)
        function = cgutils.get_or_insert_function(builder.module, _PREFETCH, "llvm.prefetch.p0i8")
        builder.call(function, [place, *(ir.IntType(32)(number) for number in _TO_READ_SOON)])
        return context.get_dummy_value()

    return types.void(array, types.intp), generate


_BYTES = ir.IntType(8).as_pointer()
_PREFETCH = ir.FunctionType(ir.VoidType(), [_BYTES, *[ir.IntType(32)] * 3])
_TO_READ_SOON = 0, 3, 1  # not to write; into the nearest cache; data


@intrinsic
def broadcast(_: Any, array: Any, index: Any, width: Any) -> Any:
    """One number of an array, so many times."""
    _check(array, *_REAL)
    lanes = _lanes(width, array.dtype)

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        number = builder.load(_place(context, builder, signature.args[0], *args[:2]))
        return _spread(builder, number, lanes.width)

    return lanes(array, types.intp, width), generate


@intrinsic
def plus_product(_: Any, s: Lanes, a: Lanes, b: Lanes) -> Any:
    """s + a · b."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kind = ir.FunctionType(s.vector, [s.vector] * 3)
        name = f"llvm.fmuladd.v{s.width}f{s.element.bitwidth}"
        return builder.call(cgutils.get_or_insert_function(builder.module, kind, name), [*args[1:], args[0]])

    return s(s, a, b), generate


@intrinsic
def choose(_: Any, answers: Any, a: Any, b: Any) -> Any:
    """a where the answer is yes, else b; a may be one number for all lanes. Or one number of two."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        yes = args[1]
        if a != b:
            yes = _spread(builder, context.cast(builder, yes, a, b.element), b.width)
        return builder.select(args[0], yes, args[2])

    return b(answers, a, b), generate


@intrinsic
def turned(_: Any, rows: Any) -> Any:
    """Turn a square of eight rows of eight lanes over: its columns.

    Squares of one by one, then of two by two and four by four, that lie beside a diagonal change places.
    """

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        square = cgutils.unpack_tuple(builder, args[0], 8)
        for d in (1, 2, 4):
            upper = [k if k & d == 0 else 8 + k - d for k in range(8)]
            lower = [k + d if k & d == 0 else 8 + k for k in range(8)]
            for i in (i for i in range(8) if i & d == 0):
                pair = square[i], square[i + d]
                square[i], square[i + d] = (
                    builder.shuffle_vector(*pair, ir.Constant(ir.VectorType(ir.IntType(32), 8), order))
                    for order in (upper, lower)
                )
        return context.make_tuple(builder, rows, square)

    return rows(rows), generate


def _operator(
    python: Callable[[Any, Any], Any], generate: Callable[[Any, Any, Any], Any], answers: bool = False
) -> None:
    """Let the operator take lanes, or a number on its left, which then counts for every lane."""

    @intrinsic
    def calculate(_: Any, a: Any, b: Any) -> Any:
        def generate_lanes(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            left = args[0] if a == b else _spread(builder, args[0], b.width)
            return generate(builder, left, args[1])

        return (Lanes(b.width, types.boolean) if answers else b)(a, b), generate_lanes

    @overload(python, inline="always")
    def _(a, b):  # type: ignore[no-untyped-def]  # Numba compares the names with the function's below
        if isinstance(b, Lanes) and a in (b, b.element):
            return lambda a, b: calculate(a, b)  # type: ignore[call-arg]
        return None


_FUSED = ("contract",)
_operator(operator.add, lambda builder, a, b: builder.fadd(a, b, flags=_FUSED))
_operator(operator.sub, lambda builder, a, b: builder.fsub(a, b, flags=_FUSED))
_operator(operator.mul, lambda builder, a, b: builder.fmul(a, b, flags=_FUSED))
_operator(operator.truediv, lambda builder, a, b: builder.fdiv(a, b))
_operator(operator.gt, lambda builder, a, b: builder.fcmp_ordered(">", a, b), answers=True)
_operator(operator.ne, lambda builder, a, b: builder.fcmp_unordered("!=", a, b), answers=True)
_operator(operator.or_, lambda builder, a, b: builder.or_(a, b))
