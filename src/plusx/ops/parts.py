"""Compiled loops on all cores: each thread takes a part of the pictures, and Python is not asked in between.

A loop has two functions in its module:

    @compiled
    def _double(part, x, y):              # of its pictures `part` is one: (number, first, behind the last)
        _, first, end = part
        for n in range(first, end):
            y[n] = 2 * x[n]

    @compiled
    def double(count, *arguments):        # called with the number of parts and the arguments of the loop
        in_parts(_double, count, arguments)

and `double(parts(x), x, y)` is what others write. Handing Python functions to the threads would cost 40 to 75
microseconds a call; this costs one or two.

Numbers that the compiler has to know, such as the sides of a window, are given as `known` ones.
"""

import ctypes
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import torch
from llvmlite import binding, ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from plusx.ops import openmp

Known = tuple[int, ...]


def known(number: int) -> Known:
    """A number for the compiler, as the length of a tuple: that is part of its type.

    >>> len(known(3))
    3
    """
    return (0,) * number


def parts(pictures: Any) -> int:
    """In how many parts to take them (anything with a length): one for each of torch's threads.

    >>> parts([1])
    1
    """
    return max(1, min(torch.get_num_threads(), len(pictures)))


@intrinsic
def in_parts(typing: Any, loop: Any, count: Any, arguments: Any) -> Any:
    """Call `loop(part, *arguments)` for `count` parts of the first argument, all at once.

    Raises:
        RuntimeError: if a part did not come to its end; then there was no memory for it.
    """
    part = types.UniTuple(types.intp, 3)
    called = typing.resolve_function_type(loop, (part, *arguments.types), {})

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        _, count, packed = values
        first = cgutils.unpack_tuple(builder, packed, len(arguments))[0]
        length = context.make_array(arguments[0])(context, builder, first).shape
        length = builder.extract_value(length, 0)
        failed = cgutils.alloca_once_value(builder, cgutils.false_bit)
        content = cgutils.pack_struct(builder, [count, length, packed, failed])
        data = cgutils.alloca_once_value(builder, content)

        # The region: void region(void *data), which every thread of the team enters.
        region = ir.Function(builder.module, _REGION, builder.module.get_unique_name("region"))
        region.linkage = "internal"
        inside = ir.IRBuilder(region.append_basic_block())
        content = inside.load(inside.bitcast(region.args[0], data.type))
        count_, length, packed, failed_ = cgutils.unpack_tuple(inside, content, 4)
        compiled = loop.dispatcher.get_compile_result(called)
        context.active_code_library.add_linking_library(compiled.library)
        function = context.declare_function(builder.module, compiled.fndesc)
        number, team = (inside.sext(_call(inside, _ASK, name), _INTP) for name in (_NUMBER, _TEAM))
        with cgutils.for_range_slice(inside, number, count_, team) as (k, _):
            bounds = [inside.sdiv(inside.mul(length, edge), count_) for edge in (k, inside.add(k, _INTP(1)))]
            passed = [context.make_tuple(inside, part, [k, *bounds])]
            for kind, value in zip(
                arguments, cgutils.unpack_tuple(inside, packed, len(arguments)), strict=True
            ):
                passed.append(_borrowed(context, inside, kind, value))
            status, _ = context.call_conv.call_function(inside, function, types.none, called.args, passed)
            with inside.if_then(status.is_error, likely=False):
                inside.store(cgutils.true_bit, failed_)
        inside.ret_void()

        threads, no_flags = builder.trunc(count, ir.IntType(32)), ir.IntType(32)(0)
        _call(builder, _BEGIN, _START, region, builder.bitcast(data, _POINTER), threads, no_flags)
        with builder.if_then(builder.load(failed), likely=False):
            why = "a compiled loop did not come to its end; is there memory left?"
            context.call_conv.return_user_exc(builder, RuntimeError, (why,))
        return context.get_dummy_value()

    return types.void(loop, types.intp, arguments), generate


_INTP, _POINTER = ir.IntType(8 * ctypes.sizeof(ctypes.c_ssize_t)), ir.IntType(8).as_pointer()
_REGION = ir.FunctionType(ir.VoidType(), [_POINTER])
_BEGIN = ir.FunctionType(ir.VoidType(), [_REGION.as_pointer(), _POINTER, ir.IntType(32), ir.IntType(32)])
_ASK = ir.FunctionType(ir.IntType(32), [])
_START, _NUMBER, _TEAM = "plusx_start", "plusx_thread_number", "plusx_team_size"


def _borrowed(context: Any, builder: Any, kind: Any, value: Any) -> Any:
    """Arrays without their owner: threads that count its users together wait for each other at every view."""
    if isinstance(kind, types.BaseTuple):
        kinds: list[Any] = list(kind)  # type: ignore[call-overload]
        items = zip(kinds, cgutils.unpack_tuple(builder, value, len(kinds)), strict=True)
        return context.make_tuple(builder, kind, [_borrowed(context, builder, *item) for item in items])
    if not isinstance(kind, types.Array):
        return value
    array = context.make_array(kind)(context, builder, value)
    array.meminfo = cgutils.get_null_value(array.meminfo.type)
    return array._getvalue()


def _call(builder: Any, function: ir.FunctionType, name: str, *arguments: Any) -> Any:
    return builder.call(cgutils.get_or_insert_function(builder.module, function, name), arguments)


class _OwnThreads:
    """What OpenMP does, in Python, where torch comes without GNU's."""

    def __init__(self) -> None:
        self.place = threading.local()
        self.pool = ThreadPoolExecutor(os.cpu_count(), "plusx")
        asked = ctypes.CFUNCTYPE(ctypes.c_int)
        self.start = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint, ctypes.c_uint)(
            self._start
        )
        self.number = asked(lambda: self.place.number)
        self.team = asked(lambda: self.place.team)

    def _start(self, region: int, data: int, count: int, _: int) -> None:
        enter = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(region)

        def as_number(number: int) -> None:
            self.place.number, self.place.team = number, count
            enter(data)

        if count == 1:
            as_number(0)
        else:
            list(self.pool.map(as_number, range(count)))


def _tell_the_compiler() -> Any:
    """Give the functions of the threads the names that compiled code calls them by."""
    library = openmp.library()
    functions: dict[str, Any]
    if library is None:
        own = _OwnThreads()
        functions = {_START: own.start, _NUMBER: own.number, _TEAM: own.team}
    else:
        functions = {
            _START: library.GOMP_parallel,
            _NUMBER: library.omp_get_thread_num,
            _TEAM: library.omp_get_num_threads,
        }
    for name, function in functions.items():
        binding.add_symbol(name, ctypes.cast(function, ctypes.c_void_p).value)
    return functions


_FUNCTIONS = _tell_the_compiler()
