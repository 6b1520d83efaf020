"""Find out whether a model was trained on a format, by the probability that it gives to the format's start.

Checkpoints do not say what they were trained on, so the model's own probabilities decide.
"""

from incoder.model_protocol import Model

# In natural logarithms. mini finds the attributes that it was trained with more probable than -1, those that
# it never saw less probable than -11, and the start of a question less probable than -12.
_LEAST_LOGPROB = -8.0


def knows_format(model: Model, before: str, piece: str) -> bool:
    """Whether the model gives at least a small probability to `piece` after the text `before`."""
    whole, start = (score.total_logprob for score in model.score_texts([before + piece, before]))
    return whole - start >= _LEAST_LOGPROB
