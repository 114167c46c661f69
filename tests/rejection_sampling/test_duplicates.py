"""Near duplicates: by hand, and the quick search beside comparing everything with everything."""

import random

from tasks.rejection_sampling.duplicates import _alike, _runs, without_duplicates


def test_likeness_is_the_share_of_common_runs():
    # Runs: abc bcd cde and abc bcd cdf; two of four are common.
    texts = ["a b c d e", "a b c d f", "a b"]
    assert without_duplicates(texts, texts, [1, 2, 3], 0.5) == ["a b c d f", "a b"]
    assert without_duplicates(texts, texts, [2, 1, 3], 0.5) == ["a b c d e", "a b"]
    assert without_duplicates(texts, texts, [1, 2, 3], 0.51) == texts


def test_at_a_threshold_of_one_texts_are_equal_or_different():
    texts = ["a a a a", "a a a a a", "a a  a a"]  # one kind of run in all three
    assert without_duplicates(texts, texts, [0, 0, 0], 1.0) == texts[:2]
    assert without_duplicates(texts, texts, [0, 0, 0], 0.99) == texts[:1]


def test_the_prefix_filter_misses_nothing():
    rng = random.Random(0)
    texts = [" ".join(rng.choice("abc") for _ in range(rng.randrange(1, 12))) for _ in range(150)]
    scores = [rng.random() for _ in texts]
    items = list(range(len(texts)))
    for threshold in (0.3, 0.5, 0.7, 0.9):
        taken = []
        for place in sorted(items, key=lambda place: -scores[place]):
            runs = _runs(texts[place], whole=False)
            if all(_alike(runs, _runs(texts[t], whole=False)) < threshold for t in taken):
                taken.append(place)
        assert without_duplicates(items, texts, scores, threshold) == sorted(taken)
        assert len(taken) < len(texts)
