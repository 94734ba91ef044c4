from bench import limit
from bench.gpu import batches
from bench.subject import BenchSubject
from bench.workloads import Workload
from tests.unit.server import tiny

BGE = {"hidden_size": 1024, "num_hidden_layers": 24, "intermediate_size": 4096}


def test_no_text_is_longer_than_the_model_reads(subject: BenchSubject) -> None:
    medium, long, mixed = batches.make(subject.vocabulary, tiny.MAX_TOKENS, "cpu")
    assert (medium.longest, long.longest, mixed.longest) == (tiny.MAX_TOKENS,) * 3
    assert len(mixed.sequences) == 2 * len(long.sequences)
    assert mixed.tokens < long.tokens * 2


def test_on_a_gpu_batches_are_of_full_length(subject: BenchSubject) -> None:
    medium, long, mixed = batches.make(subject.vocabulary, 512, "cuda")
    assert (medium.tokens, long.tokens) == (128 * 128, 128 * 512)
    assert (mixed.longest, mixed.tokens) == (512, 256 * 128)


def test_operations_count_tokens_and_the_pairs_of_each_text() -> None:
    work = Workload("two", "two texts", ((1,) * 3, (1,) * 4))
    assert batches.operations(work, BGE) == 7 * limit.operations_per_token(BGE) + (9 + 16) * 4 * 24 * 1024
