"""The kernels of a step with one token in each row, compiled by Triton for a GPU.

Reading the weights takes nearly all of such a step, so each kernel starts to load its weights at once. A
kernel may start while the one before it ends (`OVERLAPPED`: programmatic dependent launch, on Hopper and
later). Before `_wait` it then loads only what no step changes: the weights and the keys of earlier tokens.
After `_wait` it loads what the kernel before has written. Values that other processors of the GPU change are
loaded past the L1 cache (".cg"), which may hold older ones. Matrices are floats, or int8 with a scale for
each row; sums are float32.

Import this module only if Triton is installed, as it is with PyTorch for CUDA. Knows no network.
"""

# mypy: disable-error-code="no-untyped-def, no-untyped-call, untyped-decorator"

import triton
import triton.language as tl


@triton.jit
def _wait(OVERLAPPED: tl.constexpr):
    """Wait until the kernel before has written everything, then allow the next kernel to start."""
    if OVERLAPPED:
        tl.extra.cuda.gdc_wait()
        tl.extra.cuda.gdc_launch_dependents()


@triton.jit
def _moments(input_ptr, eps, SIZE: tl.constexpr, PADDED_SIZE: tl.constexpr, CENTERED: tl.constexpr):
    """Return the mean (zero for RMSNorm) and the reciprocal of the standard deviation."""
    i = tl.arange(0, PADDED_SIZE)
    values = tl.load(input_ptr + i, mask=i < SIZE, other=0.0).to(tl.float32)
    mean = 0.0
    if CENTERED:
        mean = tl.sum(values, axis=0) / SIZE
        values = tl.where(i < SIZE, values - mean, 0.0)
    return mean, tl.rsqrt(tl.sum(values * values, axis=0) / SIZE + eps)


@triton.jit
def _activated(values, ACTIVATION: tl.constexpr):
    if ACTIVATION == "gelu":
        values = 0.5 * values * (1.0 + tl.erf(values * 0.7071067811865476))
    elif ACTIVATION == "tanh_gelu":  # (1 + tanh(x)) / 2 is sigmoid(2 x)
        inner = values + 0.044715 * values * values * values
        values = values * tl.sigmoid(1.5957691216057308 * inner)
    return values


@triton.jit
def embed(
    token_ids_ptr,
    positions_ptr,
    weight_ptr,
    scale_ptr,
    table_ptr,
    hidden_ptr,
    factor,
    D: tl.constexpr,
    PADDED_D: tl.constexpr,
    OVERLAPPED: tl.constexpr,
):
    """Embed: the token's row of the weight times `factor`, plus the position's row of the table."""
    if OVERLAPPED:
        tl.extra.cuda.gdc_launch_dependents()
    row = tl.program_id(0)
    token_id = tl.load(token_ids_ptr + row).to(tl.int64)
    d = tl.arange(0, PADDED_D)
    values = tl.load(weight_ptr + token_id * D + d, mask=d < D, other=0.0).to(tl.float32)
    if scale_ptr is not None:
        values = values * tl.load(scale_ptr + token_id).to(tl.float32)
    values = values * factor
    if table_ptr is not None:
        position = tl.load(positions_ptr + row).to(tl.int64)
        values += tl.load(table_ptr + position * D + d, mask=d < D, other=0.0).to(tl.float32)
    tl.store(hidden_ptr + row * D + d, values, mask=d < D)


@triton.jit
def normalize(
    input_ptr,
    weight_ptr,
    bias_ptr,
    output_ptr,
    eps,
    D: tl.constexpr,
    PADDED_D: tl.constexpr,
    CENTERED: tl.constexpr,
    OVERLAPPED: tl.constexpr,
):
    """Apply RMSNorm or LayerNorm; one program per row."""
    row = tl.program_id(0)
    d = tl.arange(0, PADDED_D)
    weight = tl.load(weight_ptr + d, mask=d < D, other=0.0).to(tl.float32)
    _wait(OVERLAPPED)
    mean, rstd = _moments(input_ptr + row * D, eps, D, PADDED_D, CENTERED)
    values = tl.load(input_ptr + row * D + d, mask=d < D, other=0.0).to(tl.float32)
    values = (values - mean) * rstd * weight
    if bias_ptr is not None:
        values += tl.load(bias_ptr + d, mask=d < D, other=0.0).to(tl.float32)
    tl.store(output_ptr + row * D + d, values.to(output_ptr.dtype.element_ty), mask=d < D)


@triton.jit
def multiply_row(
    input_ptr,
    norm_weight_ptr,
    norm_bias_ptr,
    weight_ptr,
    scale_ptr,
    bias_ptr,
    output_ptr,
    eps,
    N: tl.constexpr,
    K: tl.constexpr,
    PADDED_K: tl.constexpr,
    CENTERED: tl.constexpr,
    ACTIVATION: tl.constexpr,
    ADDED: tl.constexpr,
    BLOCK_N: tl.constexpr,
    BLOCK_K: tl.constexpr,
    OVERLAPPED: tl.constexpr,
):
    """GEMV: multiply one row by a matrix of N rows. A norm is applied first; `ADDED` adds to the output.

    With "swiglu" the matrix has 2 · N rows: the gates of all outputs, then their factors.
    """
    GATED: tl.constexpr = ACTIVATION == "swiglu"
    n = tl.program_id(0) * BLOCK_N + tl.arange(0, BLOCK_N)
    n_N1 = n[:, None]
    k_1K = tl.arange(0, BLOCK_K)[None, :]
    weight_NK = weight_ptr + n_N1.to(tl.int64) * K + k_1K
    is_in_NK = (n_N1 < N) & (k_1K < K)
    block_NK = tl.load(weight_NK, mask=is_in_NK, other=0.0, eviction_policy="evict_first")
    sums_NK = tl.zeros((BLOCK_N, BLOCK_K), tl.float32)
    if GATED:
        up_NK = weight_NK + N * K
        up_block_NK = tl.load(up_NK, mask=is_in_NK, other=0.0, eviction_policy="evict_first")
        up_sums_NK = tl.zeros((BLOCK_N, BLOCK_K), tl.float32)
    if norm_weight_ptr is not None:
        norm_weight_1K = tl.load(norm_weight_ptr + k_1K, mask=k_1K < K, other=0.0)
    if norm_bias_ptr is not None:
        norm_bias_1K = tl.load(norm_bias_ptr + k_1K, mask=k_1K < K, other=0.0)
    _wait(OVERLAPPED)
    if norm_weight_ptr is not None:
        mean, rstd = _moments(input_ptr, eps, K, PADDED_K, CENTERED)
    for start in range(0, K, BLOCK_K):
        input_1K = tl.load(input_ptr + start + k_1K, mask=k_1K < K - start, other=0.0).to(tl.float32)
        if norm_weight_ptr is not None:
            input_1K = (input_1K - mean) * rstd * norm_weight_1K.to(tl.float32)
        if norm_bias_ptr is not None:
            input_1K += norm_bias_1K.to(tl.float32)
        last_block_NK = block_NK
        if GATED:
            last_up_block_NK = up_block_NK
        if BLOCK_K < K:  # the next block is loaded while this one is multiplied
            next_start = start + BLOCK_K
            is_next_1K = k_1K < K - next_start
            is_in_NK = (n_N1 < N) & is_next_1K
            block_NK = tl.load(
                weight_NK + next_start, mask=is_in_NK, other=0.0, eviction_policy="evict_first"
            )
            if GATED:
                up_block_NK = tl.load(
                    up_NK + next_start, mask=is_in_NK, other=0.0, eviction_policy="evict_first"
                )
            if norm_weight_ptr is not None:
                norm_weight_1K = tl.load(norm_weight_ptr + next_start + k_1K, mask=is_next_1K, other=0.0)
            if norm_bias_ptr is not None:
                norm_bias_1K = tl.load(norm_bias_ptr + next_start + k_1K, mask=is_next_1K, other=0.0)
        sums_NK += last_block_NK.to(tl.float32) * input_1K
        if GATED:
            up_sums_NK += last_up_block_NK.to(tl.float32) * input_1K
    output = tl.sum(sums_NK, axis=1)
    if scale_ptr is not None:
        output = output * tl.load(scale_ptr + n, mask=n < N, other=0.0).to(tl.float32)
    if bias_ptr is not None:
        output += tl.load(bias_ptr + n, mask=n < N, other=0.0).to(tl.float32)
    output = _activated(output, ACTIVATION)
    if GATED:
        up = tl.sum(up_sums_NK, axis=1)
        if scale_ptr is not None:
            up = up * tl.load(scale_ptr + N + n, mask=n < N, other=0.0).to(tl.float32)
        if bias_ptr is not None:
            up += tl.load(bias_ptr + N + n, mask=n < N, other=0.0).to(tl.float32)
        output = output * tl.sigmoid(output) * up
    if ADDED:
        output += tl.load(output_ptr + n, mask=n < N, other=0.0, cache_modifier=".cg")
    tl.store(output_ptr + n, output.to(output_ptr.dtype.element_ty), mask=n < N)


@triton.jit
def multiply_rows(
    input_ptr,
    weight_ptr,
    scale_ptr,
    bias_ptr,
    output_ptr,
    B: tl.constexpr,
    PADDED_B: tl.constexpr,
    N: tl.constexpr,
    K: tl.constexpr,
    ACTIVATION: tl.constexpr,
    ADDED: tl.constexpr,
    BLOCK_N: tl.constexpr,
    BLOCK_K: tl.constexpr,
    OVERLAPPED: tl.constexpr,
):
    """GEMM: multiply several rows, without a norm, by a matrix that is read once for all of them."""
    GATED: tl.constexpr = ACTIVATION == "swiglu"
    b = tl.arange(0, PADDED_B)
    n = tl.program_id(0) * BLOCK_N + tl.arange(0, BLOCK_N)
    k = tl.arange(0, BLOCK_K)
    input_BK = input_ptr + b[:, None] * K + k[None, :]
    weight_NK = weight_ptr + n[:, None].to(tl.int64) * K + k[None, :]
    sums_BN = tl.zeros((PADDED_B, BLOCK_N), tl.float32)
    if GATED:
        up_sums_BN = tl.zeros((PADDED_B, BLOCK_N), tl.float32)
    _wait(OVERLAPPED)
    for start in range(0, K, BLOCK_K):
        is_in_BK = (b[:, None] < B) & (k[None, :] < K - start)
        is_in_NK = (n[:, None] < N) & (k[None, :] < K - start)
        x_BK = tl.load(input_BK + start, mask=is_in_BK, other=0.0)
        w_NK = tl.load(weight_NK + start, mask=is_in_NK, other=0.0)
        sums_BN = tl.dot(x_BK, tl.trans(w_NK.to(x_BK.dtype)), sums_BN, input_precision="ieee")
        if GATED:
            up_w_NK = tl.load(weight_NK + N * K + start, mask=is_in_NK, other=0.0)
            up_sums_BN = tl.dot(x_BK, tl.trans(up_w_NK.to(x_BK.dtype)), up_sums_BN, input_precision="ieee")
    output_BN = sums_BN
    if scale_ptr is not None:
        output_BN = output_BN * tl.load(scale_ptr + n, mask=n < N, other=0.0).to(tl.float32)[None, :]
    if bias_ptr is not None:
        output_BN += tl.load(bias_ptr + n, mask=n < N, other=0.0).to(tl.float32)[None, :]
    output_BN = _activated(output_BN, ACTIVATION)
    if GATED:
        up_BN = up_sums_BN
        if scale_ptr is not None:
            up_BN = up_BN * tl.load(scale_ptr + N + n, mask=n < N, other=0.0).to(tl.float32)[None, :]
        if bias_ptr is not None:
            up_BN += tl.load(bias_ptr + N + n, mask=n < N, other=0.0).to(tl.float32)[None, :]
        output_BN = output_BN * tl.sigmoid(output_BN) * up_BN
    places_BN = output_ptr + b[:, None] * N + n[None, :]
    is_in_BN = (b[:, None] < B) & (n[None, :] < N)
    if ADDED:
        output_BN += tl.load(places_BN, mask=is_in_BN, other=0.0, cache_modifier=".cg")
    tl.store(places_BN, output_BN.to(output_ptr.dtype.element_ty), mask=is_in_BN)


@triton.jit
def _head(head_ptr, d, cosines, sines, D: tl.constexpr):
    """Load a query or a key, rotated by its position's angles if there are any."""
    values = tl.load(head_ptr + d, mask=d < D, other=0.0).to(tl.float32)
    if cosines is not None:
        partner = tl.where(d < D // 2, d + D // 2, d - D // 2)
        others = tl.load(head_ptr + partner, mask=d < D, other=0.0).to(tl.float32)
        values = values * cosines + tl.where(d < D // 2, -others, others) * sines
    return values


@triton.jit
def attend(
    qkv_ptr,
    positions_ptr,
    num_before_ptr,
    slots_ptr,
    angles_ptr,
    keys_ptr,
    values_ptr,
    parts_ptr,
    tops_ptr,
    sums_ptr,
    num_done_ptr,
    output_ptr,
    head_stride,
    sine_offset,
    scale,
    H: tl.constexpr,
    KV: tl.constexpr,
    D: tl.constexpr,
    PADDED_D: tl.constexpr,
    L: tl.constexpr,
    PART: tl.constexpr,
    NUM_PARTS: tl.constexpr,
    BLOCK_L: tl.constexpr,
    OVERLAPPED: tl.constexpr,
):
    """Write the new key and value, then attend to one part of the slots; one program per row, head and part.

    The `num_before` rows before this one have tokens of the same sequence, which other programs are writing
    at the same time. Their keys and values are recomputed here, in the part that has the row's own token.
    The last program of a head to finish merges the parts. Slots after the tokens of earlier steps may never
    have been written and may hold NaN, so they are not read.
    """
    row, head, part = tl.program_id(0), tl.program_id(1), tl.program_id(2)
    position = tl.load(positions_ptr + row)
    num_before = tl.load(num_before_ptr + row)
    first = part * PART
    if first > position:
        return
    kv_head = head // (H // KV)
    d = tl.arange(0, PADDED_D)
    l = tl.arange(0, BLOCK_L)  # noqa: E741
    end = tl.minimum(first + PART, position - num_before)
    keys_ptr += kv_head.to(tl.int64) * head_stride
    values_ptr += kv_head.to(tl.int64) * head_stride
    slots_ptr += row * L

    is_read = first + l < end
    slots = tl.load(slots_ptr + first + l, mask=is_read, other=0).to(tl.int64)
    places_Ld = slots[:, None] * D + d[None, :]
    is_read_Ld = is_read[:, None] & (d[None, :] < D)
    keys_Ld = tl.load(keys_ptr + places_Ld, mask=is_read_Ld, other=0.0)
    values_Ld = tl.load(values_ptr + places_Ld, mask=is_read_Ld, other=0.0)
    new_slot = tl.load(slots_ptr + position).to(tl.int64)
    cosines, sines = None, None
    if angles_ptr is not None:
        angle = position * (D // 2) + d % (D // 2)
        cosines = tl.load(angles_ptr + angle, mask=d < D, other=0.0).to(tl.float32)
        sines = tl.load(angles_ptr + sine_offset + angle, mask=d < D, other=0.0).to(tl.float32)
    _wait(OVERLAPPED)

    qkv_ptr += row * (H + 2 * KV) * D
    query = _head(qkv_ptr + head * D, d, cosines, sines, D) * scale
    new_key = _head(qkv_ptr + (H + kv_head) * D, d, cosines, sines, D).to(keys_ptr.dtype.element_ty)
    new_value = tl.load(qkv_ptr + (H + KV + kv_head) * D + d, mask=d < D, other=0.0)
    has_new = position < first + PART
    is_stored = (d < D) & has_new & (head % (H // KV) == 0)
    tl.store(keys_ptr + new_slot * D + d, new_key, mask=is_stored)
    tl.store(values_ptr + new_slot * D + d, new_value.to(values_ptr.dtype.element_ty), mask=is_stored)
    top = tl.where(has_new, tl.sum(query * new_key.to(tl.float32), axis=0), -1e30)
    total = tl.where(has_new, 1.0, 0.0)
    mixed = new_value.to(tl.float32) * total

    num_left = tl.where(has_new, num_before, 0)
    while num_left > 0:
        before_ptr = qkv_ptr - num_left * (H + 2 * KV) * D
        before_cosines, before_sines = None, None
        if angles_ptr is not None:
            before_angle = (position - num_left) * (D // 2) + d % (D // 2)
            before_cosines = tl.load(angles_ptr + before_angle, mask=d < D, other=0.0).to(tl.float32)
            before_sines = tl.load(angles_ptr + sine_offset + before_angle, mask=d < D, other=0.0)
            before_sines = before_sines.to(tl.float32)
        key = _head(before_ptr + (H + kv_head) * D, d, before_cosines, before_sines, D)
        key = key.to(keys_ptr.dtype.element_ty).to(tl.float32)
        value = tl.load(before_ptr + (H + KV + kv_head) * D + d, mask=d < D, other=0.0).to(tl.float32)
        score = tl.sum(query * key, axis=0)
        new_top = tl.maximum(top, score)
        weight = tl.exp(score - new_top)
        shrunk = tl.exp(top - new_top)
        total = total * shrunk + weight
        mixed = mixed * shrunk + value * weight
        top = new_top
        num_left -= 1

    start = first
    while start < end:
        next_start = start + BLOCK_L
        is_next = next_start + l < end
        next_slots = tl.load(slots_ptr + next_start + l, mask=is_next, other=0).to(tl.int64)
        places_Ld = next_slots[:, None] * D + d[None, :]
        is_next_Ld = is_next[:, None] & (d[None, :] < D)
        next_keys_Ld = tl.load(keys_ptr + places_Ld, mask=is_next_Ld, other=0.0)
        next_values_Ld = tl.load(values_ptr + places_Ld, mask=is_next_Ld, other=0.0)
        scores = tl.sum(keys_Ld.to(tl.float32) * query[None, :], axis=1)
        scores = tl.where(start + l < end, scores, float("-inf"))
        new_top = tl.maximum(top, tl.max(scores, axis=0))
        weights = tl.exp(scores - new_top)
        shrunk = tl.exp(top - new_top)
        total = total * shrunk + tl.sum(weights, axis=0)
        mixed = mixed * shrunk + tl.sum(values_Ld.to(tl.float32) * weights[:, None], axis=0)
        top = new_top
        keys_Ld, values_Ld, start = next_keys_Ld, next_values_Ld, next_start

    output_ptr += (row * H + head) * D
    if NUM_PARTS == 1:
        tl.store(output_ptr + d, (mixed / total).to(output_ptr.dtype.element_ty), mask=d < D)
    else:
        place = (row * H + head) * NUM_PARTS
        tl.store(parts_ptr + (place + part) * D + d, mixed, mask=d < D)
        tl.store(tops_ptr + place + part, top)
        tl.store(sums_ptr + place + part, total)
        tl.debug_barrier()  # all threads have written their part before the counter says so
        num_parts = position // PART + 1
        num_done_ptr += row * H + head
        if tl.atomic_add(num_done_ptr, 1, sem="acq_rel", scope="gpu") == num_parts - 1:
            s = tl.arange(0, NUM_PARTS)
            # Other processors of the GPU wrote these: read them past this one's L1 cache.
            tops = tl.load(tops_ptr + place + s, mask=s < num_parts, other=-1e30, cache_modifier=".cg")
            sums = tl.load(sums_ptr + place + s, mask=s < num_parts, other=0.0, cache_modifier=".cg")
            parts_Sd = tl.load(
                parts_ptr + (place + s[:, None]) * D + d[None, :],
                mask=(s[:, None] < num_parts) & (d[None, :] < D),
                other=0.0,
                cache_modifier=".cg",
            )
            weights = tl.exp(tops - tl.max(tops, axis=0))
            joined = tl.sum(parts_Sd * weights[:, None], axis=0) / tl.sum(sums * weights, axis=0)
            tl.store(output_ptr + d, joined.to(output_ptr.dtype.element_ty), mask=d < D)
            tl.store(num_done_ptr, 0)
