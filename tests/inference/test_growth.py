import gc

from incoder.inference.engine.cached_sequences import TransformerModel
from incoder.inference.infill_model import InfillModel


def num_objects_after(model: InfillModel, calls: range) -> int:
    for number in calls:
        model.infill([f"value_{number} = ", f"\nprint(value_{number})\n"], max_new_tokens=3, seed=number)
    gc.collect()
    return len(gc.get_objects())


def test_many_calls_leave_no_objects_and_hold_no_blocks(fast: InfillModel) -> None:
    """Every text is another one, so that nothing that was read can be used again."""
    assert isinstance(fast.language_model, TransformerModel)
    pool = fast.language_model.runner.pool
    before = num_objects_after(fast, range(20))
    after = num_objects_after(fast, range(20, 80))
    assert after - before < 60  # not one for each call
    assert pool.num_free == pool.num_blocks
