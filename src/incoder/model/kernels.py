"""A decoding step with few tokens on a CPU, compiled by numba (the extra `fast`), in float32.

Matrix products read the weights at the speed of memory. Between them a step of one token has so little to
compute that calling PyTorch takes longer than computing, so one call here computes a whole block. A matrix is
float32, bfloat16 (seen as uint16), int8 with a scale for each row, or int4 (packing.py); the cache is float32
or bfloat16; sums are float32.

Import this module only if numba is installed. The reference implementation is PyTorch's forward pass. All
kernels are in one file, because numba's cache of compiled code is valid until the file of the called function
changes.
"""

# mypy: disable-error-code="no-untyped-def, no-untyped-call, untyped-decorator"

import contextlib
import functools
import math

import numba
import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.core.registry import cpu_target
from numba.extending import intrinsic, overload

from incoder.model.packing import GROUP_SIZE, PACKED_LANES, PACKED_STEP

# Sums are vectorised only if they may be reordered; the other flags of "fast math" would break NaN.
_FAST_MATH = {"reassoc", "contract"}
_serial = numba.njit(fastmath=_FAST_MATH, boundscheck=False)
_parallel = numba.njit(parallel=True, fastmath=_FAST_MATH, boundscheck=False, cache=True)
_entry = numba.njit(boundscheck=False, cache=True)

# From this number of multiplications on, which take one thread 50 to 150 µs, all threads take part. With
# fewer, threads that wait for each other on a busy machine can cost many times the time that they save.
_MIN_PARALLEL_WORK = 1_000_000

# The number of floats in a vector: a register of AVX-512; otherwise one of AVX2, or two of NEON.
_WIDTH = 16 if "+avx512f" in cpu_target.target_context.codegen().magic_tuple()[2] else 8
_STEP = 64  # numbers multiplied per loop iteration; in int8 a cache line
_CACHE_LINE = 64  # bytes
_AHEAD, _PACKED_AHEAD = 2048, 8192  # prefetch distance in bytes
# Rows of at least this many numbers of two bytes or one are read one after the other: two rows at once are
# two streams, which the hardware prefetcher does not follow. Shorter rows gain by sharing the input's loads.
_LONG_ROW = 2048
_INDEX, _NUM_BYTES = ir.IntType(64), {ir.IntType(8): 1, ir.IntType(16): 2, ir.FloatType(): 4}
_FLOATS, _BITS = ir.VectorType(ir.FloatType(), _WIDTH), ir.VectorType(ir.IntType(32), _WIDTH)

SWIGLU, GELU, TANH_GELU = 0, 1, 2  # the activation of a feed-forward layer
ACTIVATIONS = {"swiglu": SWIGLU, "gelu": GELU, "tanh_gelu": TANH_GELU}


def _number(weight):
    """Return a weight as float32."""
    raise NotImplementedError("only where it is compiled")


@overload(_number, inline="always")
def _(weight):
    if weight == numba.uint16:
        return lambda weight: np.uint32(np.uint32(weight) << np.uint32(16)).view(np.float32)
    return lambda weight: np.float32(weight)


def _store(floats_d, places_d):
    """Write floats to the cache; bfloat16 is rounded to nearest."""
    raise NotImplementedError("only where it is compiled")


@overload(_store)
def _(floats_d, places_d):
    def copy(floats_d, places_d):
        places_d[:] = floats_d

    def round_to_nearest(floats_d, places_d):
        for i in range(len(floats_d)):
            bits = np.float32(floats_d[i]).view(np.uint32)
            is_odd = bits >> np.uint32(16) & np.uint32(1)
            places_d[i] = np.uint16((bits + np.uint32(0x7FFF) + is_odd) >> np.uint32(16))

    return copy if floats_d.dtype == places_d.dtype else round_to_nearest


def _tile(num_inputs, num_rows):
    """Return a function that multiplies `num_inputs` inputs, from `b` on, by `num_rows` rows, from `o` on.

    The function leaves out the numbers at the end that do not fill a step. It emits LLVM's vector
    instructions, which exist for every processor, because automatic vectorisation used half the width and no
    prefetching.
    """
    # Each product has several sums, used in turn, so that no addition waits for the previous one.
    num_sums = max(1, 4 // (num_inputs * num_rows))

    @intrinsic
    def multiply_tile(_typing, input_BI, weight_OI, scale, output_BO, b, o):
        def emit(context, builder, signature, arguments):
            input_array, weight_array, scale_array, output_array = _arrays(
                context, builder, signature.args[:4], arguments[:4]
            )
            first_input, first_row = arguments[4:]
            inputs = _rows(builder, input_array, first_input, num_inputs)
            weights = _rows(builder, weight_array, first_row, num_rows)
            outputs = _rows(builder, output_array, first_input, num_inputs)
            sums = [
                [
                    [cgutils.alloca_once_value(builder, _constant(_FLOATS, 0.0)) for _ in range(num_sums)]
                    for _ in weights
                ]
                for _ in inputs
            ]
            length = cgutils.unpack_tuple(builder, input_array.shape)[1]
            if scale.ndim == 2:
                scales = _rows(builder, scale_array, first_row, num_rows)
                with _steps(builder, length, PACKED_STEP) as start:
                    _emit_packed_step(builder, inputs, weights, scales, sums, start)
            else:
                with _steps(builder, length, _STEP) as start:
                    _emit_step(builder, inputs, weights, sums, start)
            for output, sums_of_input in zip(outputs, sums, strict=True):
                for row, places in enumerate(sums_of_input):
                    total = functools.reduce(builder.fadd, map(builder.load, places))
                    place = builder.gep(output, [builder.add(first_row, _INDEX(row))])
                    builder.store(_sum_up(builder, total), place)
            return context.get_dummy_value()

        return types.void(input_BI, weight_OI, scale, output_BO, b, o), emit

    return multiply_tile


@contextlib.contextmanager
def _steps(builder, length, step):
    """Yield a loop over the start indices of the whole steps."""
    whole = builder.and_(length, _INDEX(-step))
    with cgutils.for_range_slice(builder, _INDEX(0), whole, _INDEX(step), _INDEX) as (start, _):
        yield start


def _emit_step(builder, inputs, weights, sums, start):
    """Emit code that adds the products of `_STEP` numbers to the sums."""
    for weight in weights:
        # Float32 is left to the hardware prefetcher, which is far enough ahead by itself.
        if weight.type.pointee != ir.FloatType():
            num_bytes = _STEP * _NUM_BYTES[weight.type.pointee]
            _fetch_ahead(builder, builder.gep(weight, [start]), num_bytes, _AHEAD)
    for part in range(_STEP // _WIDTH):
        i = builder.add(start, _INDEX(part * _WIDTH))
        weight_floats = [_load_floats(builder, weight, i) for weight in weights]
        for values, sums_of_input in zip(inputs, sums, strict=True):
            input_floats = _load_floats(builder, values, i)
            for floats, places in zip(weight_floats, sums_of_input, strict=True):
                place = places[part % len(places)]
                total = _multiply_add(builder, input_floats, floats, builder.load(place))
                builder.store(total, place)


def _emit_packed_step(builder, inputs, weights, scales, sums, start):
    """Emit the same for `PACKED_STEP` int4 numbers, in groups with a scale each."""
    first_bytes = _packed_bytes(builder, weights, start)
    for first_byte in first_bytes:
        _fetch_ahead(builder, first_byte, PACKED_STEP // 2, _PACKED_AHEAD)
    for group, vectors in enumerate(_packed_groups(builder, first_bytes, start)):
        totals = [[None] * len(weights) for _ in inputs]
        for i, weight_floats in vectors:
            for values, totals_of_input in zip(inputs, totals, strict=True):
                input_floats = _load_floats(builder, values, i)
                for row, floats in enumerate(weight_floats):
                    total = totals_of_input[row]
                    totals_of_input[row] = _multiply_add(builder, input_floats, floats, total)
        for row, scale in enumerate(scales):
            factor = _group_scale(builder, scale, start, group)
            for totals_of_input, sums_of_input in zip(totals, sums, strict=True):
                place = sums_of_input[row][group % len(sums_of_input[row])]
                total = _multiply_add(builder, totals_of_input[row], factor, builder.load(place))
                builder.store(total, place)


def _packed_bytes(builder, weights, start):
    """Return pointers to the start of a step in each row; a byte holds two numbers."""
    return [builder.gep(weight, [builder.lshr(start, _INDEX(1))]) for weight in weights]


def _packed_groups(builder, first_bytes, start):
    """Yield the vectors of each group in a step: the index of the first number, and the floats by row."""
    words = []
    for first_byte in first_bytes:
        pointer = builder.bitcast(first_byte, ir.IntType(32).as_pointer())
        words.append([_load(builder, pointer, _INDEX(column)) for column in range(0, PACKED_LANES, _WIDTH)])
    nibbles_of_group = GROUP_SIZE // PACKED_LANES
    for first_nibble in range(0, 8, nibbles_of_group):
        yield [
            (
                builder.add(start, _INDEX(nibble * PACKED_LANES + part * _WIDTH)),
                [_unpack_floats(builder, words_of_row[part], nibble) for words_of_row in words],
            )
            for part in range(PACKED_LANES // _WIDTH)
            for nibble in range(first_nibble, first_nibble + nibbles_of_group)
        ]


def _group_scale(builder, scale, start, group):
    """Return a vector with the scale of a group in all lanes."""
    index = builder.add(builder.udiv(start, _INDEX(GROUP_SIZE)), _INDEX(group))
    undefined = ir.Constant(_FLOATS, ir.Undefined)
    first = builder.insert_element(undefined, builder.load(builder.gep(scale, [index])), ir.IntType(32)(0))
    return builder.shuffle_vector(first, undefined, _constant(_BITS, 0))


@intrinsic
def _unpack_row(_typing, weight_OP, scale_OG, output_OI, o):
    def emit(context, builder, signature, arguments):
        arrays = _arrays(context, builder, signature.args[:3], arguments[:3])
        (weight,), (scale,), (output,) = (_rows(builder, array, arguments[3], 1) for array in arrays)
        length = cgutils.unpack_tuple(builder, arrays[2].shape)[1]
        with _steps(builder, length, PACKED_STEP) as start:
            first_bytes = _packed_bytes(builder, [weight], start)
            for group, vectors in enumerate(_packed_groups(builder, first_bytes, start)):
                factor = _group_scale(builder, scale, start, group)
                for i, (floats,) in vectors:
                    place = builder.bitcast(builder.gep(output, [i]), _FLOATS.as_pointer())
                    builder.store(builder.fmul(floats, factor), place, align=4)
        return context.get_dummy_value()

    return types.void(weight_OP, scale_OG, output_OI, o), emit


def _arrays(context, builder, kinds, values):
    return [
        context.make_array(kind)(context, builder, value) for kind, value in zip(kinds, values, strict=True)
    ]


def _rows(builder, array, first, num_rows):
    """Return pointers to the starts of rows."""
    stride = cgutils.unpack_tuple(builder, array.strides)[0]  # in bytes
    return [
        cgutils.pointer_add(builder, array.data, builder.mul(stride, builder.add(first, _INDEX(row))))
        for row in range(num_rows)
    ]


def _fetch_ahead(builder, place, num_bytes, distance):
    """Prefetch `num_bytes` at `distance` bytes after `place`. Past the end of the memory nothing happens."""
    pointer, flag = ir.IntType(8).as_pointer(), ir.IntType(32)
    fetch = builder.module.declare_intrinsic(
        "llvm.prefetch", [pointer], ir.FunctionType(ir.VoidType(), [pointer, flag, flag, flag])
    )
    place = builder.bitcast(place, pointer)
    for offset in range(0, num_bytes, _CACHE_LINE):
        ahead = builder.gep(place, [_INDEX(distance + offset)])
        builder.call(fetch, [ahead, flag(0), flag(3), flag(1)])  # to read, into the nearest cache, data


def _load(builder, row, i):
    """Return a vector of a row's numbers from index `i` on."""
    kind = row.type.pointee
    place = builder.bitcast(builder.gep(row, [i]), ir.VectorType(kind, _WIDTH).as_pointer())
    return builder.load(place, align=1)


def _load_floats(builder, row, i):
    """The same as float32."""
    numbers, kind = _load(builder, row, i), row.type.pointee
    if kind == ir.IntType(8):
        return builder.sitofp(numbers, _FLOATS)
    if kind == ir.IntType(16):
        return builder.bitcast(builder.shl(builder.zext(numbers, _BITS), _constant(_BITS, 16)), _FLOATS)
    return numbers


def _unpack_floats(builder, words, nibble):
    """(number - 8) / 16 for one of the eight numbers in each word.

    The number becomes the upper four bits of the mantissa of a float with exponent 0: 1 + number / 16.
    """
    shift = 19 - 4 * nibble
    move = builder.shl if shift > 0 else builder.lshr
    bits = builder.and_(move(words, _constant(_BITS, abs(shift))), _constant(_BITS, 0x780000))
    floats = builder.bitcast(builder.or_(bits, _constant(_BITS, 0x3F800000)), _FLOATS)
    return builder.fsub(floats, _constant(_FLOATS, 1.5))


def _multiply_add(builder, a, b, total):
    product = builder.fmul(a, b, flags=("contract",))
    return product if total is None else builder.fadd(total, product, flags=("contract",))


def _constant(vector_type, number):
    return ir.Constant(vector_type, [number] * _WIDTH)


def _sum_up(builder, vector):
    function_type = ir.FunctionType(ir.FloatType(), [ir.FloatType(), _FLOATS])
    name = f"llvm.vector.reduce.fadd.v{_WIDTH}f32"
    function = cgutils.get_or_insert_function(builder.module, function_type, name)
    return builder.call(function, [ir.FloatType()(0.0), vector], fastmath=("reassoc",))


_one_by_one, _one_by_two, _two_by_two = _tile(1, 1), _tile(1, 2), _tile(2, 2)
_four_by_two, _eight_by_two = _tile(4, 2), _tile(8, 2)


@_serial
def _multiply_two_rows(input_BI, weight_OI, scale, output_BO, o):
    """Compute the outputs of the matrix rows `o` and, if there is one, `o` + 1."""
    b, num_inputs = 0, len(input_BI)
    if o + 1 < len(weight_OI):
        while _WIDTH == 16 and b + 8 <= num_inputs:  # AVX2 and NEON have too few registers for the sums
            _eight_by_two(input_BI, weight_OI, scale, output_BO, b, o)
            b += 8
        while b + 4 <= num_inputs:
            _four_by_two(input_BI, weight_OI, scale, output_BO, b, o)
            b += 4
        while b + 2 <= num_inputs:
            _two_by_two(input_BI, weight_OI, scale, output_BO, b, o)
            b += 2
        is_packed = scale.ndim == 2
        while b < num_inputs and (is_packed or weight_OI.itemsize == 4 or input_BI.shape[1] < _LONG_ROW):
            _one_by_two(input_BI, weight_OI, scale, output_BO, b, o)
            b += 1
    while b < num_inputs:
        for k in range(o, min(o + 2, len(weight_OI))):
            _one_by_one(input_BI, weight_OI, scale, output_BO, b, k)
        b += 1


@_parallel
def _multiply_on_all_threads(input_BI, weight_OI, scale, output_BO):
    for pair in numba.prange((len(weight_OI) + 1) // 2):
        _multiply_two_rows(input_BI, weight_OI, scale, output_BO, 2 * np.int64(pair))


@_entry
def multiply(input_BI, weight_OI, scale, bias_O, output_BO):
    """input @ (weight * scale).T + bias; `scale` and `bias_O` are empty if there are none.

    `scale` is that of each row [O], or of each group [O, G] for int4 (packing.py). Each row of the matrix is
    read from memory once for all inputs. Tiles of two rows and up to eight inputs use each loaded number
    several times.
    """
    num_outputs, length = len(weight_OI), input_BI.shape[1]
    if num_outputs * length >= _MIN_PARALLEL_WORK:
        _multiply_on_all_threads(input_BI, weight_OI, scale, output_BO)
    else:
        for o in range(0, num_outputs, 2):
            _multiply_two_rows(input_BI, weight_OI, scale, output_BO, o)
    for b in range(len(input_BI)):
        if scale.ndim == 1:
            if length % _STEP:
                for o in range(num_outputs):
                    for i in range(length // _STEP * _STEP, length):
                        output_BO[b, o] += input_BI[b, i] * _number(weight_OI[o, i])
            for o in range(len(scale)):
                output_BO[b, o] *= scale[o]
        for o in range(len(bias_O)):
            output_BO[b, o] += bias_O[o]


@_parallel
def unpack(weight_OP, scale_OG, output_OI):
    """Unpack an int4 matrix to float32. The reference implementation is `packing.unpack`."""
    for o in numba.prange(len(weight_OP)):
        _unpack_row(weight_OP, scale_OG, output_OI, np.int64(o))  # type: ignore[call-arg] # numba's first


@_serial
def exp(x):
    """Compute e^x to almost float32's precision, without a call, so that loops over it are vectorised.

    e^x is 2^n · e^r with |r| ≤ ln 2 / 2: the power of two is made from its bits, e^r by its Taylor series.
    """
    x = min(max(x, np.float32(-87.0)), np.float32(88.0))
    n = np.floor(x * np.float32(1.4426950408889634) + np.float32(0.5))
    r = x - n * np.float32(0.693359375) + n * np.float32(2.12194440e-4)  # ln 2 in two parts
    series = np.float32(1 / 5040)
    series = series * r + np.float32(1 / 720)
    series = series * r + np.float32(1 / 120)
    series = series * r + np.float32(1 / 24)
    series = series * r + np.float32(1 / 6)
    series = series * r + np.float32(1 / 2)
    series = series * r + np.float32(1.0)
    series = series * r + np.float32(1.0)
    return series * np.int32((np.int32(n) + np.int32(127)) << np.int32(23)).view(np.float32)


@_serial
def erf(x):
    """Compute the error function to 4e-7 by a rational approximation on [-4, 4] (Eigen's, as in XLA)."""
    x = min(max(x, np.float32(-4.0)), np.float32(4.0))
    square = x * x
    above = np.float32(-2.72614225801306e-10)
    above = above * square + np.float32(2.77068142495902e-08)
    above = above * square + np.float32(-2.10102402082508e-06)
    above = above * square + np.float32(-5.69250639462346e-05)
    above = above * square + np.float32(-7.34990630326855e-04)
    above = above * square + np.float32(-2.95459980854025e-03)
    above = above * square + np.float32(-1.60960333262415e-02)
    below = np.float32(-1.45660718464996e-05)
    below = below * square + np.float32(-2.13374055278905e-04)
    below = below * square + np.float32(-1.68282697438203e-03)
    below = below * square + np.float32(-7.37332916720468e-03)
    below = below * square + np.float32(-1.42647390514189e-02)
    return x * above / below


@_serial
def _activate(inner_BU, activation, output_BI):
    """Apply SwiGLU to the halves [gate | up], or GELU."""
    num_rows, size = output_BI.shape
    for b in range(num_rows):
        inner, output = inner_BU[b], output_BI[b]
        if activation == SWIGLU:
            for i in range(size):
                output[i] = inner[i] / (np.float32(1.0) + exp(-inner[i])) * inner[size + i]
        elif activation == GELU:
            for i in range(size):
                x = inner[i]
                output[i] = np.float32(0.5) * x * (np.float32(1.0) + erf(x * np.float32(0.7071067811865476)))
        else:
            for i in range(size):
                x = inner[i]
                twice = np.float32(1.5957691216057308) * (x + np.float32(0.044715) * x * x * x)
                output[i] = x / (np.float32(1.0) + exp(-twice))  # (1 + tanh(y)) / 2 = 1 / (1 + e^-2y)


@_serial
def _normalise(hidden_BD, norm, eps, output_BD):
    """Apply RMSNorm, or LayerNorm if there is a bias."""
    weight_D, bias_D = norm
    num_rows, size = hidden_BD.shape
    for b in range(num_rows):
        hidden, output = hidden_BD[b], output_BD[b]
        mean = np.float32(0.0)
        if len(bias_D):
            for i in range(size):
                mean += hidden[i]
            mean /= np.float32(size)
        squares = np.float32(0.0)
        for i in range(size):
            squares += (hidden[i] - mean) * (hidden[i] - mean)
        scale = np.float32(1.0) / np.float32(math.sqrt(squares / np.float32(size) + np.float32(eps)))
        if len(bias_D):
            for i in range(size):
                output[i] = (hidden[i] - mean) * scale * weight_D[i] + bias_D[i]
        else:
            for i in range(size):
                output[i] = hidden[i] * scale * weight_D[i]


@_serial
def _rotate(heads_Nd, cosines_d, sines_d):
    """Rotate the pairs (i, i + d / 2) in place; the first half of the sines is negative (layers.py)."""
    num_heads, size = heads_Nd.shape
    half = size // 2
    for n in range(num_heads):
        head = heads_Nd[n]
        for i in range(half):
            first, second = head[i], head[half + i]
            head[i] = first * cosines_d[i] + second * sines_d[i]
            head[half + i] = second * cosines_d[half + i] + first * sines_d[half + i]


@_serial
def _attend_with_head(query_d, keys_Sd, values_Sd, extents_R2, num_keys, mixed_d):
    """Attend from one query of one head to the first `num_keys` slots of these extents."""
    size = len(query_d)
    scale = np.float32(1.0 / math.sqrt(size))
    scores = np.empty(num_keys, np.float32)
    place = 0
    for start, end in extents_R2:
        for slot in range(start, min(end, start + num_keys - place)):
            key = keys_Sd[slot]
            score = np.float32(0.0)
            for i in range(size):
                score += query_d[i] * _number(key[i])
            scores[place] = score * scale
            place += 1
    highest = scores.max()
    total = np.float32(0.0)
    for j in range(num_keys):
        scores[j] = exp(scores[j] - highest)
        total += scores[j]
    mixed_d[:] = np.float32(0.0)
    place = 0
    for start, end in extents_R2:
        for slot in range(start, min(end, start + num_keys - place)):
            value, weight = values_Sd[slot], scores[place] / total
            for i in range(size):
                mixed_d[i] += weight * _number(value[i])
            place += 1


@_serial
def _attend_group(qkv_BHd, keys_KSd, values_KSd, extents_R2, row_extents_B2, num_keys_B, mixed_BHd, part):
    """Attend from one row's heads that share a key/value head.

    `part` counts the rows of the first key/value head, then the rows of the next: rows may share keys too.
    """
    num_sharing = mixed_BHd.shape[1] // len(keys_KSd)
    k, b = divmod(part, len(mixed_BHd))
    extents = extents_R2[row_extents_B2[b, 0] : row_extents_B2[b, 1]]
    for h in range(k * num_sharing, (k + 1) * num_sharing):
        _attend_with_head(qkv_BHd[b, h], keys_KSd[k], values_KSd[k], extents, num_keys_B[b], mixed_BHd[b, h])


@_parallel
def _attend_on_all_threads(qkv_BHd, keys_KSd, values_KSd, extents_R2, row_extents_B2, num_keys_B, mixed_BHd):
    for part in numba.prange(len(keys_KSd) * len(mixed_BHd)):
        _attend_group(
            qkv_BHd, keys_KSd, values_KSd, extents_R2, row_extents_B2, num_keys_B, mixed_BHd, np.int64(part)
        )


@_serial
def _attend(qkv_BHd, keys_KSd, values_KSd, extents_R2, row_extents_B2, num_keys_B, mixed_BHd):
    num_rows, num_heads, size = mixed_BHd.shape
    if num_keys_B.sum() * num_heads * size >= _MIN_PARALLEL_WORK:
        _attend_on_all_threads(
            qkv_BHd, keys_KSd, values_KSd, extents_R2, row_extents_B2, num_keys_B, mixed_BHd
        )
    else:
        for part in range(len(keys_KSd) * num_rows):
            _attend_group(
                qkv_BHd, keys_KSd, values_KSd, extents_R2, row_extents_B2, num_keys_B, mixed_BHd, part
            )


@_entry
def compute_block(hidden_BD, norms, eps, matrices, activation, rotation, cache, slots):
    """Compute one block of the network for one token per row; change `hidden_BD` in place.

    `norms`: weight and bias of the norm before attention, and of the norm before the feed-forward layer.
    `matrices`: weight, scale and bias of q/k/v, output, up (SwiGLU: gate, then up) and down. `rotation`:
    cosines and sines [P, d], empty without rotary positions. `cache`: this block's keys and values [K, S, d];
    the kernel writes the new ones. `slots`: position and new slot of each row, the extents [R, 2], the range
    of extents of each row [B, 2], and the number of keys of each row.
    """
    (qkv_weight, qkv_scale, qkv_bias), (out_weight, out_scale, out_bias) = matrices[0], matrices[1]
    (up_weight, up_scale, up_bias), (down_weight, down_scale, down_bias) = matrices[2], matrices[3]
    keys_KSd, values_KSd = cache
    cosines_Pd, sines_Pd = rotation
    positions_B, new_slots_B, extents_R2, row_extents_B2, num_keys_B = slots
    num_rows, num_kv_heads, size = len(hidden_BD), len(keys_KSd), keys_KSd.shape[2]
    num_heads = len(qkv_weight) // size - 2 * num_kv_heads

    normed_BD = np.empty_like(hidden_BD)
    _normalise(hidden_BD, norms[0], eps, normed_BD)
    qkv_BQ = np.empty((num_rows, len(qkv_weight)), np.float32)
    multiply(normed_BD, qkv_weight, qkv_scale, qkv_bias, qkv_BQ)
    qkv_BHd = qkv_BQ.reshape(num_rows, -1, size)
    for b in range(num_rows):
        if len(cosines_Pd):
            _rotate(
                qkv_BHd[b, : num_heads + num_kv_heads], cosines_Pd[positions_B[b]], sines_Pd[positions_B[b]]
            )
        for k in range(num_kv_heads):
            _store(qkv_BHd[b, num_heads + k], keys_KSd[k, new_slots_B[b]])
            _store(qkv_BHd[b, num_heads + num_kv_heads + k], values_KSd[k, new_slots_B[b]])
    mixed_BHd = np.empty((num_rows, num_heads, size), np.float32)
    _attend(qkv_BHd, keys_KSd, values_KSd, extents_R2, row_extents_B2, num_keys_B, mixed_BHd)
    multiply(mixed_BHd.reshape(num_rows, -1), out_weight, out_scale, out_bias, normed_BD)
    hidden_BD += normed_BD

    _normalise(hidden_BD, norms[1], eps, normed_BD)
    inner_BU = np.empty((num_rows, len(up_weight)), np.float32)
    multiply(normed_BD, up_weight, up_scale, up_bias, inner_BU)
    active_BI = np.empty((num_rows, len(up_weight) // (2 if activation == SWIGLU else 1)), np.float32)
    _activate(inner_BU, activation, active_BI)
    multiply(active_BI, down_weight, down_scale, down_bias, normed_BD)
    hidden_BD += normed_BD
