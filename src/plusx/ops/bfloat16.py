"""bfloat16 in compiled loops: NumPy and Numba do not know it.

A bfloat16 is the upper half of a float32. Loops receive it as uint16; `wide` and `narrow` go there and back.
"""

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic


def _like(shape: Any, element: Any) -> Any:
    """The LLVM type of as many elements as `shape` has: of one, or of a vector."""
    return ir.VectorType(element, shape.count) if isinstance(shape, ir.VectorType) else element


def _everywhere(kind: Any, number: int) -> Any:
    return ir.Constant(kind, [number] * kind.count if isinstance(kind, ir.VectorType) else number)


def widened(builder: Any, halves: Any) -> Any:
    """Generate the float32 of a bfloat16's bits; of one, or of each in a vector."""
    integer = _like(halves.type, ir.IntType(32))
    bits = builder.shl(builder.zext(halves, integer), _everywhere(integer, 16))
    return builder.bitcast(bits, _like(halves.type, ir.FloatType()))


def rounded_to_even(builder: Any, numbers: Any) -> Any:
    """Generate the bits of the nearest bfloat16, ties to even; of one float32, or of each in a vector."""
    integer = _like(numbers.type, ir.IntType(32))
    bits = builder.bitcast(numbers, integer)
    sixteen = _everywhere(integer, 16)
    odd = builder.and_(builder.lshr(bits, sixteen), _everywhere(integer, 1))
    rounded = builder.add(bits, builder.add(odd, _everywhere(integer, 0x7FFF)))
    is_nan = builder.fcmp_unordered("uno", numbers, numbers)
    kept = builder.select(is_nan, _everywhere(integer, 0x7FC00000), rounded)
    return builder.trunc(builder.lshr(kept, sixteen), _like(numbers.type, ir.IntType(16)))


@intrinsic
def wide(_: Any, x: Any) -> Any:
    """The number itself, or numbers side by side; of a bfloat16, given as uint16, the float32."""
    if not isinstance(x, types.Integer):
        return x(x), lambda context, builder, signature, args: args[0]

    return types.float32(types.uint16), lambda context, builder, signature, args: widened(builder, args[0])


@intrinsic
def narrow(_: Any, x: Any, like: Any) -> Any:
    """x in the type of `like`: of uint16 the nearest bfloat16, ties to even; of other whole ones that."""
    if isinstance(like, types.Float):
        return like(like, like), lambda context, builder, signature, args: args[0]
    if like != types.uint16:

        def generate_whole(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return builder.fptoui(args[0], ir.IntType(like.bitwidth))

        return like(x, like), generate_whole

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return rounded_to_even(builder, args[0])

    return types.uint16(types.float32, types.uint16), generate
