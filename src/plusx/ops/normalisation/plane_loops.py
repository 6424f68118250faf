"""The loops of `plusx.ops.normalisation.pixel_loops` for contiguous pictures, plane by plane: x (N·C, H·W).

All of a plane is of one channel, whose factors are (…, C) and stay in registers. Sums of a plane are taken in
the numbers' own precision, in the order that suits the processor, and added up in float64.
"""

from plusx.ops.bfloat16 import narrow, wide
from plusx.ops.compiling import compiled, reordering
from plusx.ops.normalisation.pixel_loops import f, through_f
from plusx.ops.parts import in_parts


@reordering
def _sums(part, x, origin, total):
    number, start, end = part
    C = len(origin)
    for n in range(start, end):
        plane, middle = x[n], origin[n % C]
        first = second = middle - middle
        for k in range(len(plane)):
            d = wide(plane[k]) - middle
            first += d
            second += d * d
        total[number, 0, n % C] += first
        total[number, 1, n % C] += second


@compiled
def sums(count, *arguments):
    """Fill total (parts, 2, C) with Σ (x − origin) and Σ (x − origin)² of each channel."""
    in_parts(_sums, count, arguments)


@compiled
def _transform(part, x, added, activation, factors, y):
    _, start, end = part
    C = factors.shape[1]
    for n in range(start, end):
        plane, out = x[n], y[n]
        other = plane if added is None else added[n]
        scale, shift = factors[0, n % C], factors[1, n % C]
        for k in range(len(plane)):
            v = wide(plane[k]) * scale + shift
            if added is not None:
                v += wide(other[k])
            out[k] = narrow(f(v, len(activation)), plane[k])


@compiled
def transform(count, *arguments):
    """Fill y; factors are (scale, shift)."""
    in_parts(_transform, count, arguments)


@reordering
def _gradient_sums(part, x, grad, added, activation, factors, total):
    number, start, end = part
    C = factors.shape[1]
    for n in range(start, end):
        plane, g = x[n], grad[n]
        other = plane if added is None else added[n]
        scale, shift, mean = factors[0, n % C], factors[1, n % C], factors[2, n % C]
        first = second = scale - scale
        for k in range(len(plane)):
            given, value = wide(g[k]), wide(plane[k])
            v = value * scale + shift
            if added is not None:
                v += wide(other[k])
            G = through_f(given, v, len(activation))
            first += G
            second += G * (value - mean)
        total[number, 0, n % C] += first
        total[number, 1, n % C] += second


@compiled
def gradient_sums(count, *arguments):
    """Fill total (parts, 2, C) with Σ G and Σ G · (x − mean); factors are (scale, shift, mean)."""
    in_parts(_gradient_sums, count, arguments)


@compiled
def _input_gradient(part, x, grad, added, activation, factors, dx, passed):
    _, start, end = part
    C = factors.shape[1]
    for n in range(start, end):
        plane, g, d = x[n], grad[n], dx[n]
        other, p = (plane, d) if added is None else (added[n], passed[n])
        scale, shift = factors[0, n % C], factors[1, n % C]
        slope, constant = factors[2, n % C], factors[3, n % C]
        for k in range(len(plane)):
            given, value = wide(g[k]), wide(plane[k])
            v = value * scale + shift
            if added is not None:
                v += wide(other[k])
            G = through_f(given, v, len(activation))
            d[k] = narrow(scale * G - slope * value + constant, plane[k])
            if added is not None:
                p[k] = narrow(G, plane[k])


@compiled
def input_gradient(count, *arguments):
    """Fill dx, and passed if there is anything added; factors are (scale, shift, slope, constant)."""
    in_parts(_input_gradient, count, arguments)
