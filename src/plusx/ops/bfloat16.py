"""bfloat16 in compiled loops: NumPy and Numba do not know it.

A bfloat16 is the upper half of a float32. Loops receive it as uint16; `wide` and `narrow` go there and back.
"""

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic


@intrinsic
def wide(_: Any, x: Any) -> Any:
    """The number itself; of a bfloat16, given as uint16, the float32."""
    if isinstance(x, types.Float):
        return x(x), lambda context, builder, signature, args: args[0]

    def widen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        bits = builder.shl(builder.zext(args[0], ir.IntType(32)), ir.Constant(ir.IntType(32), 16))
        return builder.bitcast(bits, ir.FloatType())

    return types.float32(types.uint16), widen


@intrinsic
def narrow(_: Any, x: Any, like: Any) -> Any:
    """x in the type of `like`: where that is uint16, the nearest bfloat16, ties to even."""
    if isinstance(like, types.Float):
        return like(like, like), lambda context, builder, signature, args: args[0]

    def round_to_even(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        integer = ir.IntType(32)
        bits = builder.bitcast(args[0], integer)
        odd = builder.and_(builder.lshr(bits, ir.Constant(integer, 16)), ir.Constant(integer, 1))
        rounded = builder.add(bits, builder.add(odd, ir.Constant(integer, 0x7FFF)))
        is_nan = builder.fcmp_unordered("uno", args[0], args[0])
        kept = builder.select(is_nan, ir.Constant(integer, 0x7FC00000), rounded)
        return builder.trunc(builder.lshr(kept, ir.Constant(integer, 16)), ir.IntType(16))

    return types.uint16(types.float32, types.uint16), round_to_even
