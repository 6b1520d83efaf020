import pytest

from incoder.errors import IncoderError
from incoder.model.sizes import config_for
from incoder.model.transformer import Shape, Transformer

# The paper's names, in millions; the 125m and 350m follow GPT-3's table.
NAMED = {"125m": 125, "350m": 350, "1.3b": 1300, "6.7b": 6700}


@pytest.mark.parametrize("shape", ["llama", "xglm"])
@pytest.mark.parametrize("size", NAMED)
def test_a_size_has_about_as_many_parameters_as_its_name_says(size: str, shape: Shape) -> None:
    millions = config_for(size, shape, vocab_size=50_518).num_parameters / 1e6
    assert millions == pytest.approx(NAMED[size], rel=0.02)


def test_the_published_sizes_are_those_of_the_paper() -> None:
    small = config_for("1.3b", "xglm", vocab_size=50_518)
    assert (small.hidden_size, small.inner_size, small.num_layers, small.num_heads) == (2048, 8192, 24, 32)
    large = config_for("6.7b", "xglm", vocab_size=50_518)
    assert (large.hidden_size, large.inner_size, large.num_layers, large.num_heads) == (4096, 16384, 32, 32)


def test_parameters_are_counted_as_they_are_allocated() -> None:
    config = config_for("mini", "llama", vocab_size=1000)
    assert config.num_parameters == sum(p.numel() for p in Transformer(config).parameters())


def test_single_fields_can_be_replaced() -> None:
    config = config_for("mini", "llama", vocab_size=1000, num_layers=3, hidden_size=128)
    assert (config.num_layers, config.hidden_size, config.head_dim) == (3, 128, 32)


@pytest.mark.parametrize(
    ("shape", "override", "message"),
    [
        ("llama", {"num_layers": 0}, "num_layers must be a whole number of at least 1, got 0"),
        ("llama", {"num_heads": 3}, "num_heads must be a multiple of num_kv_heads"),
        ("llama", {"head_dim": 31}, "head_dim must be even"),
        ("starcoder2", {"head_dim": 32}, r"num_heads \* head_dim = hidden_size"),
        ("xglm", {"num_kv_heads": 2}, "the xglm shape needs num_kv_heads = num_heads"),
        ("xglm", {"head_dim": 32}, r"num_heads \* head_dim = hidden_size"),
        ("xglm", {"hidden_size": 255, "num_heads": 5, "num_kv_heads": 5}, "must be even"),
    ],
)
def test_sizes_that_no_network_can_have_are_refused(
    shape: Shape, override: dict[str, int], message: str
) -> None:
    with pytest.raises(IncoderError, match=message):
        config_for("mini", shape, vocab_size=1000, **override)


def test_an_unknown_size_names_the_known_ones() -> None:
    with pytest.raises(IncoderError, match=r"'7b'; the sizes are mini, 125m, 350m, 1\.3b, 6\.7b"):
        config_for("7b", "llama", vocab_size=1000)
