"""The computations of a step with few tokens, compiled by numba (the extra `fast`), on a CPU in float32.

Between the products, which read the weights at the speed of the memory, a step with one token has so little
to compute that PyTorch's calls take longer than what they call. So all of a block is one call here. Numbers
of a matrix are float32, bfloat16 seen as uint16, or int8 with a scale for each row; sums are float32.

Import this module only where numba is installed. The slow twin in the tests is PyTorch's forward pass.
"""

# mypy: disable-error-code="no-untyped-def, no-untyped-call, untyped-decorator"

import math

import numba
import numpy as np
from numba.extending import overload

# Without leave to reorder the sums nothing is vectorised; the rest of "fast math" would change NaNs.
_FAST_MATH = {"reassoc", "contract"}
_serial = numba.njit(fastmath=_FAST_MATH, boundscheck=False)
_parallel = numba.njit(parallel=True, fastmath=_FAST_MATH, boundscheck=False, cache=True)
_entry = numba.njit(boundscheck=False, cache=True)

# From so many products of two numbers on, all threads take part: one takes some 200 µs for them. For less,
# threads that wait for each other on busy processors can cost many times what they gain.
_LEAST_WORK = 1_000_000
# From longer inputs four rows of a matrix share what is read of them, since they fill more than half of a
# processor's first cache; shorter ones are at hand all the same, and a row alone is read in one stream.
_LONG_INPUT = 4096


SWIGLU, GELU, TANH_GELU = 0, 1, 2  # what a feed-forward layer has between its matrices


def _number(weight):
    """A weight as float32."""
    raise NotImplementedError("only where it is compiled")


@overload(_number, inline="always")
def _(weight):
    if weight == numba.uint16:
        return lambda weight: np.uint32(np.uint32(weight) << np.uint32(16)).view(np.float32)
    return lambda weight: np.float32(weight)


@_serial
def _four_by_four(input_4I, weight_4I, output_44):
    x0, x1, x2, x3 = input_4I[0], input_4I[1], input_4I[2], input_4I[3]
    w0, w1, w2, w3 = weight_4I[0], weight_4I[1], weight_4I[2], weight_4I[3]
    s00 = s01 = s02 = s03 = s10 = s11 = s12 = s13 = np.float32(0.0)
    s20 = s21 = s22 = s23 = s30 = s31 = s32 = s33 = np.float32(0.0)
    for i in range(w0.shape[0]):
        a0, a1, a2, a3 = x0[i], x1[i], x2[i], x3[i]
        b0, b1, b2, b3 = _number(w0[i]), _number(w1[i]), _number(w2[i]), _number(w3[i])
        s00, s01, s02, s03 = s00 + a0 * b0, s01 + a0 * b1, s02 + a0 * b2, s03 + a0 * b3
        s10, s11, s12, s13 = s10 + a1 * b0, s11 + a1 * b1, s12 + a1 * b2, s13 + a1 * b3
        s20, s21, s22, s23 = s20 + a2 * b0, s21 + a2 * b1, s22 + a2 * b2, s23 + a2 * b3
        s30, s31, s32, s33 = s30 + a3 * b0, s31 + a3 * b1, s32 + a3 * b2, s33 + a3 * b3
    output_44[0, 0], output_44[0, 1], output_44[0, 2], output_44[0, 3] = s00, s01, s02, s03
    output_44[1, 0], output_44[1, 1], output_44[1, 2], output_44[1, 3] = s10, s11, s12, s13
    output_44[2, 0], output_44[2, 1], output_44[2, 2], output_44[2, 3] = s20, s21, s22, s23
    output_44[3, 0], output_44[3, 1], output_44[3, 2], output_44[3, 3] = s30, s31, s32, s33


@_serial
def _one_by_one(x, w):
    total = np.float32(0.0)
    for i in range(w.shape[0]):
        total += x[i] * _number(w[i])
    return total


@_serial
def _multiply_rows(input_BI, weight_OI, scale_O, bias_O, output_BO, o):
    """The outputs of up to four rows of the matrix, from `o` on."""
    num_inputs, num_outputs = output_BO.shape
    end = min(o + 4, num_outputs)
    b = 0
    while end - o == 4 and b + 4 <= num_inputs:
        _four_by_four(input_BI[b : b + 4], weight_OI[o:end], output_BO[b : b + 4, o:end])
        b += 4
    while b < num_inputs:
        for k in range(o, end):
            output_BO[b, k] = _one_by_one(input_BI[b], weight_OI[k])
        b += 1
    for k in range(o, end):
        for b in range(num_inputs):
            if len(scale_O):
                output_BO[b, k] *= scale_O[k]
            if len(bias_O):
                output_BO[b, k] += bias_O[k]


@_serial
def _one_by_four(x, weight_4I, output_4):
    w0, w1, w2, w3 = weight_4I[0], weight_4I[1], weight_4I[2], weight_4I[3]
    s0 = s1 = s2 = s3 = np.float32(0.0)
    for i in range(w0.shape[0]):
        a = x[i]
        s0 += a * _number(w0[i])
        s1 += a * _number(w1[i])
        s2 += a * _number(w2[i])
        s3 += a * _number(w3[i])
    output_4[0], output_4[1], output_4[2], output_4[3] = s0, s1, s2, s3


@_parallel
def _multiply_on_all_threads(input_BI, weight_OI, scale_O, bias_O, output_BO):
    for block in numba.prange((len(weight_OI) + 3) // 4):
        _multiply_rows(input_BI, weight_OI, scale_O, bias_O, output_BO, 4 * np.int64(block))


@_parallel
def _multiply_long_input_on_all_threads(input_I, weight_OI, output_O):
    num_blocks = len(weight_OI) // 4
    for block in numba.prange(num_blocks):
        o = 4 * np.int64(block)
        _one_by_four(input_I, weight_OI[o : o + 4], output_O[o : o + 4])
    for last in range(4 * num_blocks, len(weight_OI)):
        output_O[last] = _one_by_one(input_I, weight_OI[last])


@_entry
def multiply(input_BI, weight_OI, scale_O, bias_O, output_BO):
    """input @ (weight * scale).T + bias; without scales or biases these are empty.

    Each row of the matrix is read once for all input rows, and four rows meet four inputs at a time, so that
    a number is used more often than loaded; a long input alone meets four rows at a time.
    """
    if weight_OI.size >= _LEAST_WORK and len(input_BI) == 1 and weight_OI.shape[1] > _LONG_INPUT:
        _multiply_long_input_on_all_threads(input_BI[0], weight_OI, output_BO[0])
        for o in range(len(scale_O)):
            output_BO[0, o] *= scale_O[o]
        for o in range(len(bias_O)):
            output_BO[0, o] += bias_O[o]
    elif weight_OI.size >= _LEAST_WORK:
        _multiply_on_all_threads(input_BI, weight_OI, scale_O, bias_O, output_BO)
    else:
        for o in range(0, len(weight_OI), 4):
            _multiply_rows(input_BI, weight_OI, scale_O, bias_O, output_BO, o)


@_serial
def exp(x):
    """e^x to the last bits, without a call, so that loops over it are vectorised.

    2^n · e^r with |r| ≤ ln 2 / 2: the power of two put together from its bits, the rest by its series.
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
    """The error function to 4e-7 by a rational approximation on [-4, 4] (Eigen's, as in XLA)."""
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
    """SwiGLU of the halves [gate | up], or GELU."""
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
    """RMSNorm, or with a bias LayerNorm."""
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
    """Rotate the pairs (i, i + d / 2) in place; the first half of the sines is negative (TokenStep)."""
    num_heads, size = heads_Nd.shape
    half = size // 2
    for n in range(num_heads):
        head = heads_Nd[n]
        for i in range(half):
            first, second = head[i], head[half + i]
            head[i] = first * cosines_d[i] + second * sines_d[i]
            head[half + i] = second * cosines_d[half + i] + first * sines_d[half + i]


@_serial
def _attend_alone(query_d, keys_Sd, values_Sd, runs_R2, num_keys, mixed_d):
    """One query of one head to the first `num_keys` slots of these runs."""
    size = len(query_d)
    scale = np.float32(1.0 / math.sqrt(size))
    scores = np.empty(num_keys, np.float32)
    place = 0
    for start, end in runs_R2:
        for slot in range(start, min(end, start + num_keys - place)):
            key = keys_Sd[slot]
            score = np.float32(0.0)
            for i in range(size):
                score += query_d[i] * key[i]
            scores[place] = score * scale
            place += 1
    highest = scores.max()
    total = np.float32(0.0)
    for j in range(num_keys):
        scores[j] = exp(scores[j] - highest)
        total += scores[j]
    mixed_d[:] = np.float32(0.0)
    place = 0
    for start, end in runs_R2:
        for slot in range(start, min(end, start + num_keys - place)):
            value, weight = values_Sd[slot], scores[place] / total
            for i in range(size):
                mixed_d[i] += weight * value[i]
            place += 1


@_serial
def _attend_group(qkv_BHd, keys_KSd, values_KSd, runs_R2, row_runs_B2, num_keys_B, mixed_BHd, part):
    """The heads of one row that share keys. Parts count through the rows first, which may share them too."""
    num_sharing = mixed_BHd.shape[1] // len(keys_KSd)
    k, b = divmod(part, len(mixed_BHd))
    runs = runs_R2[row_runs_B2[b, 0] : row_runs_B2[b, 1]]
    for h in range(k * num_sharing, (k + 1) * num_sharing):
        _attend_alone(qkv_BHd[b, h], keys_KSd[k], values_KSd[k], runs, num_keys_B[b], mixed_BHd[b, h])


@_parallel
def _attend_on_all_threads(qkv_BHd, keys_KSd, values_KSd, runs_R2, row_runs_B2, num_keys_B, mixed_BHd):
    for part in numba.prange(len(keys_KSd) * len(mixed_BHd)):
        _attend_group(
            qkv_BHd, keys_KSd, values_KSd, runs_R2, row_runs_B2, num_keys_B, mixed_BHd, np.int64(part)
        )


@_serial
def _attend(qkv_BHd, keys_KSd, values_KSd, runs_R2, row_runs_B2, num_keys_B, mixed_BHd):
    num_rows, num_heads, size = mixed_BHd.shape
    if num_keys_B.sum() * num_heads * size >= _LEAST_WORK:
        _attend_on_all_threads(qkv_BHd, keys_KSd, values_KSd, runs_R2, row_runs_B2, num_keys_B, mixed_BHd)
    else:
        for part in range(len(keys_KSd) * num_rows):
            _attend_group(qkv_BHd, keys_KSd, values_KSd, runs_R2, row_runs_B2, num_keys_B, mixed_BHd, part)


@_entry
def run_block(hidden_BD, norms, eps, matrices, activation, rotation, cache, places):
    """One block of the network, for one new token a row; `hidden_BD` is changed in place.

    `norms`: a weight and a bias each, before attention and before the feed-forward layer. `matrices`: weight,
    scale and bias each of q/k/v, out, up (gate and up side by side in SwiGLU) and down. `rotation`: cosines
    and sines [P, d], empty for a network without. `cache`: this block's keys and values [K, S, d], into which
    those of the new tokens are written. `places`: position and new slot of each row, the runs of slots
    [R, 2], which of these each row reads [B, 2], and how many keys.
    """
    (qkv_weight, qkv_scale, qkv_bias), (out_weight, out_scale, out_bias) = matrices[0], matrices[1]
    (up_weight, up_scale, up_bias), (down_weight, down_scale, down_bias) = matrices[2], matrices[3]
    keys_KSd, values_KSd = cache
    cosines_Pd, sines_Pd = rotation
    positions_B, new_slots_B, runs_R2, row_runs_B2, num_keys_B = places
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
            keys_KSd[k, new_slots_B[b]] = qkv_BHd[b, num_heads + k]
            values_KSd[k, new_slots_B[b]] = qkv_BHd[b, num_heads + num_kv_heads + k]
    mixed_BHd = np.empty((num_rows, num_heads, size), np.float32)
    _attend(qkv_BHd, keys_KSd, values_KSd, runs_R2, row_runs_B2, num_keys_B, mixed_BHd)
    multiply(mixed_BHd.reshape(num_rows, -1), out_weight, out_scale, out_bias, normed_BD)
    hidden_BD += normed_BD

    _normalise(hidden_BD, norms[1], eps, normed_BD)
    inner_BU = np.empty((num_rows, len(up_weight)), np.float32)
    multiply(normed_BD, up_weight, up_scale, up_bias, inner_BU)
    active_BI = np.empty((num_rows, down_weight.shape[1]), np.float32)
    _activate(inner_BU, activation, active_BI)
    multiply(active_BI, down_weight, down_scale, down_bias, normed_BD)
    hidden_BD += normed_BD
