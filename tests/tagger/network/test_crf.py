"""The CRF against the enumeration of every tag sequence."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchcrf import CRF

from ner_elmo.tagger.network.crf import ConstrainedCrf
from ner_elmo.text.tag_scheme import TOKEN, Span, spans, tag_set, tags
from tests.support.lattices import all_sequences, is_legal, path_score
from tests.support.marginals import token_marginals

SCHEMES = ["bioes", "iob2", "bmes"]


def make_crf(scheme: str, labels: tuple[str, ...] = ("A", "B"), seed: int = 0) -> ConstrainedCrf:
    torch.manual_seed(seed)
    crf = ConstrainedCrf(tag_set(list(labels), scheme), scheme).double()
    for parameter in crf.parameters():
        torch.nn.init.normal_(parameter)
    return crf


def enumerate_paths(crf: ConstrainedCrf, emissions: torch.Tensor) -> dict[tuple[int, ...], float]:
    """Probability of every legal sequence, and under the key () log Z."""
    scores = {ids: path_score(crf, emissions, ids) for ids in all_sequences(crf, len(emissions))}
    top = max(scores.values())
    log_z = top + math.log(sum(math.exp(score - top) for score in scores.values()))
    return {(): log_z} | {ids: math.exp(score - log_z) for ids, score in scores.items()}


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("length", [1, 2, 3, 4])
def test_everything_equals_enumeration(scheme: str, length: int) -> None:
    crf = make_crf(scheme, seed=length)
    emissions = 2 * torch.randn(1, length, len(crf.tag_set), dtype=torch.double)
    mask = torch.ones(1, length, dtype=torch.bool)
    paths = enumerate_paths(crf, emissions[0])
    log_z = paths.pop(())

    assert float(crf.log_partition(emissions, mask).detach()) == pytest.approx(log_z, abs=1e-9)
    best = max(paths, key=lambda ids: paths[ids])
    assert crf.decode(emissions, mask) == [list(best)]
    loss = crf.neg_log_likelihood(emissions, torch.tensor([best]), mask)
    assert float(loss.detach()) == pytest.approx(-math.log(paths[best]))

    marginals = token_marginals(crf, emissions, mask)[0]
    for t, tag in itertools.product(range(length), range(len(crf.tag_set))):
        expected = sum(p for ids, p in paths.items() if ids[t] == tag)
        assert float(marginals[t, tag]) == pytest.approx(expected, abs=1e-9)

    every_span = [Span(a, b, x) for a in range(length) for b in range(a + 1, length + 1) for x in ("A", "B")]
    found = crf.span_log_probabilities(emissions, mask, [every_span])[0]
    for span, log_p in zip(every_span, found, strict=True):
        expected = sum(p for ids, p in paths.items() if span in spans([crf.tag_set[i] for i in ids]))
        assert math.exp(log_p) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_span_probabilities_at_a_temperature_equal_enumeration(scheme: str, temperature: float) -> None:
    """Every sequence's score divided by the temperature, then normalised over all of them again."""
    length, crf = 4, make_crf(scheme, seed=5)
    emissions = 2 * torch.randn(1, length, len(crf.tag_set), dtype=torch.double)
    mask = torch.ones(1, length, dtype=torch.bool)
    scaled = {ids: path_score(crf, emissions[0], ids) / temperature for ids in all_sequences(crf, length)}
    log_z = torch.logsumexp(torch.tensor(list(scaled.values()), dtype=torch.double), dim=0).item()
    every_span = [Span(a, b, x) for a in range(length) for b in range(a + 1, length + 1) for x in ("A", "B")]
    found = crf.span_log_probabilities(emissions, mask, [every_span], temperature)[0]
    for span, log_p in zip(every_span, found, strict=True):
        containing = [ids for ids in scaled if span in spans([crf.tag_set[i] for i in ids])]
        expected = sum(math.exp(scaled[ids] - log_z) for ids in containing)
        assert math.exp(log_p) == pytest.approx(expected, abs=1e-9)
    if temperature == 1.0:
        assert found == crf.span_log_probabilities(emissions, mask, [every_span])[0]


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("size", [1.0, 7.0, 50.0])
def test_span_probabilities_are_the_same_by_products_and_by_sums(
    scheme: str, size: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    crf = make_crf(scheme)
    mask = torch.arange(12) < torch.tensor([12, 1, 7])[:, None]
    emissions = size * torch.rand(3, 12, len(crf.tag_set), dtype=torch.double)
    wanted = [[Span(a, b, x) for a in range(n) for b in range(a + 1, n + 1) for x in ("A", "B")] for n in (12, 1, 7)]
    by_products = crf.span_log_probabilities(emissions, mask, wanted)
    monkeypatch.setattr(ConstrainedCrf, "_are_small", lambda *_: False)
    by_sums = crf.span_log_probabilities(emissions, mask, wanted)
    for one, other in zip(by_products, by_sums, strict=True):
        assert one == pytest.approx(other, abs=1e-9)


@pytest.mark.parametrize("scheme", [*SCHEMES, "token"])
@pytest.mark.parametrize("size", [1.0, 60.0], ids=["products", "sums"])
def test_likelihood_and_gradient_are_those_of_pytorch_crf(scheme: str, size: float) -> None:
    """Which records every step and lets torch find the gradient; sentences of several lengths, one of them empty."""
    crf = make_crf(scheme)
    lengths = [9, 0, 1, 5]
    mask = torch.arange(9) < torch.tensor(lengths)[:, None]
    emissions = (size * torch.randn(4, 9, len(crf.tag_set), dtype=torch.double)).requires_grad_()
    tag_ids = torch.randint(0, len(crf.tag_set), mask.shape)  # mostly illegal sequences: they have their weight, too
    share = torch.rand(4, dtype=torch.double)
    leaves = [emissions, *crf.parameters()]

    ours = crf.neg_log_likelihood(emissions.masked_fill(~mask.unsqueeze(2), torch.nan), tag_ids, mask)
    found = torch.autograd.grad((share * ours).sum(), leaves)

    plain = CRF(len(crf.tag_set), batch_first=True)
    penalties = {"start_transitions": "start_penalties", "end_transitions": "end_penalties", "transitions": "penalties"}
    legal = {name: getattr(crf.crf, name) + getattr(crf, penalty) for name, penalty in penalties.items()}
    real = mask.any(dim=1)
    theirs = -torch.func.functional_call(
        plain, legal, (emissions[real], tag_ids[real], mask[real]), {"reduction": "none"}
    )
    expected = torch.autograd.grad((share[real] * theirs).sum(), leaves)

    assert ours[1] == 0
    torch.testing.assert_close(ours[real], theirs, rtol=1e-9, atol=1e-9)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-7, atol=1e-8)


@pytest.mark.parametrize("n_labels", [1, 12, 150])
def test_sequences_are_those_of_pytorch_crf(n_labels: int) -> None:
    """Which has the algorithm the other way round."""
    torch.manual_seed(n_labels)
    names = tag_set([f"L{number}" for number in range(n_labels)], "iob2")
    crf, twin = ConstrainedCrf(names, "iob2"), CRF(len(names), batch_first=True)
    lengths = torch.tensor([9, 1, 4, 7])
    emissions, mask = 2 * torch.randn(4, 9, len(names)), torch.arange(9) < lengths.unsqueeze(1)
    for parameter in crf.parameters():
        torch.nn.init.normal_(parameter)
    twin.start_transitions.data = crf.crf.start_transitions + crf.start_penalties
    twin.end_transitions.data = crf.crf.end_transitions + crf.end_penalties
    twin.transitions.data = crf.crf.transitions + crf.penalties
    assert crf.decode(emissions, mask) == twin.decode(emissions, mask)
    empty = torch.cat([mask, torch.zeros(1, 9, dtype=torch.bool)])
    assert crf.decode(torch.cat([emissions, emissions[:1]]), empty) == [*twin.decode(emissions, mask), []]


def test_sequences_do_not_depend_on_how_many_numbers_are_held_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    crf = make_crf("bioes")
    emissions, mask = torch.randn(5, 9, len(crf.tag_set)), torch.arange(9) < torch.tensor([[9], [1], [4], [0], [7]])
    at_once = crf.decode(emissions, mask)
    for numbers in (1, 5 * len(crf.tag_set) * 2, 5 * len(crf.tag_set) * 4):  # one, two and four tags of nine
        monkeypatch.setattr("ner_elmo.tagger.network.crf.DECODED_NUMBERS", numbers)
        assert crf.decode(emissions, mask) == at_once


def test_extreme_scores_still_give_probabilities() -> None:
    crf = make_crf("bioes")
    emissions = torch.full((1, 3, len(crf.tag_set)), -1e3, dtype=torch.double)
    emissions[0, :, crf.tag_set.index("B-A")] = 1e3  # what scores best cannot follow itself
    found = crf.span_log_probabilities(emissions, torch.ones(1, 3, dtype=torch.bool), [[Span(0, 2, "A")]])
    assert all(math.isfinite(score) and score <= 0 for score in found[0])


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_batch_equals_its_sentences_alone_and_empty_ones_are_no_trouble(scheme: str) -> None:
    crf = make_crf(scheme)
    lengths = [3, 0, 5, 1]
    emissions = torch.randn(4, 5, len(crf.tag_set), dtype=torch.double)
    mask = torch.arange(5) < torch.tensor(lengths)[:, None]
    wanted = [[Span(0, 2, "A"), Span(1, 3, "B")], [], [Span(2, 5, "A")], [Span(0, 1, "B")]]
    tag_ids = torch.full((4, 5), -100).masked_fill(mask, 0)

    decoded = crf.decode(emissions, mask)
    log_z = crf.log_partition(emissions, mask)
    loss = crf.neg_log_likelihood(emissions, tag_ids, mask)
    marginals = token_marginals(crf, emissions, mask)
    scores = crf.span_log_probabilities(emissions, mask, wanted)
    assert decoded[1] == []
    assert log_z[1] == 0
    assert loss[1] == 0
    assert scores[1] == []
    assert marginals.sum(dim=2)[mask].allclose(torch.ones(9, dtype=torch.double))
    assert not marginals[~mask].any()
    for row, length in enumerate(lengths):
        if length:
            alone, all_real = emissions[row : row + 1, :length], torch.ones(1, length, dtype=torch.bool)
            assert crf.decode(alone, all_real) == [decoded[row]]
            assert torch.allclose(crf.log_partition(alone, all_real), log_z[row])
            assert crf.span_log_probabilities(alone, all_real, [wanted[row]])[0] == pytest.approx(scores[row])


@pytest.mark.parametrize("size", [1.0, 100.0])  # by products, by sums
def test_a_short_sentence_beside_a_very_long_one_has_its_own_gradient(size: float) -> None:
    """Behind its end weights go on growing, to more than float64 has an exponential of."""
    crf, lengths = make_crf("bioes", ("A", "B", "C", "D")), [900, 2, 300]
    emissions = (size * torch.randn(3, 900, len(crf.tag_set), dtype=torch.double)).requires_grad_()
    mask = torch.arange(900) < torch.tensor(lengths)[:, None]
    tag_ids = torch.zeros(3, 900, dtype=torch.long)
    together = torch.autograd.grad(
        crf.neg_log_likelihood(emissions, tag_ids, mask).sum(), [emissions, *crf.parameters()]
    )
    losses = [
        crf.neg_log_likelihood(one[None, :n], ids[None, :n], mask[:1, :n]).sum()
        for one, ids, n in zip(emissions, tag_ids, lengths, strict=True)
    ]
    for found, expected in zip(
        together,
        torch.autograd.grad(sum(losses), [emissions, *crf.parameters()]),
        strict=True,  # type: ignore[arg-type]
    ):
        assert torch.allclose(found, expected)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_span_probabilities_are_pytorch_crfs_normaliser_on_masked_emissions(scheme: str) -> None:
    crf = make_crf(scheme)
    emissions = torch.randn(1, 30, len(crf.tag_set), dtype=torch.double)
    mask = torch.ones(1, 30, dtype=torch.bool)
    log_z = crf.log_partition(emissions, mask).detach()
    for span in [Span(0, 1, "A"), Span(3, 7, "B"), Span(28, 30, "A"), Span(0, 30, "B"), Span(29, 30, "B")]:
        tagged = tags([Span(0, span.end - span.start, span.label)], span.end - span.start, scheme)
        masked = emissions.clone()
        for place, tag in enumerate(tagged, start=span.start):
            others = [index for index, name in enumerate(crf.tag_set) if name != tag]
            masked[0, place, others] = -900.0  # emissions are held within ±1000
        if span.end < 30:
            goes_on = [i for i, name in enumerate(crf.tag_set) if name in (f"I-{span.label}", f"M-{span.label}")]
            masked[0, span.end, goes_on] = -900.0
        slow = crf.log_partition(masked, mask).detach() - log_z
        assert crf.span_log_probabilities(emissions, mask, [[span]])[0] == pytest.approx(slow.tolist(), abs=1e-9)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_gradient_of_legal_entries_is_right_and_of_illegal_ones_zero(scheme: str) -> None:
    crf = make_crf(scheme, labels=("A",))
    emissions = torch.randn(1, 4, len(crf.tag_set), dtype=torch.double)
    mask = torch.ones(1, 4, dtype=torch.bool)
    gold = torch.zeros(1, 4, dtype=torch.long)

    def loss() -> torch.Tensor:
        return crf.neg_log_likelihood(emissions, gold, mask).sum()

    loss().backward()
    gradient = crf.crf.transitions.grad
    assert gradient is not None
    assert gradient.isfinite().all()
    assert not gradient[crf.penalties < 0].any()
    step = 1e-6
    for a, b in itertools.product(range(len(crf.tag_set)), repeat=2):
        with torch.no_grad():
            crf.crf.transitions[a, b] += step
            up = float(loss().detach())
            crf.crf.transitions[a, b] -= 2 * step
            down = float(loss().detach())
            crf.crf.transitions[a, b] += step
        assert float(gradient[a, b]) == pytest.approx((up - down) / (2 * step), abs=1e-6)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_an_illegal_sequence_has_probability_zero_and_nothing_overflows(scheme: str) -> None:
    crf = make_crf(scheme).float()
    illegal = torch.tensor([[0, crf.tag_set.index("M-A" if scheme == "bmes" else "I-A"), 0]])
    emissions = torch.zeros(1, 3, len(crf.tag_set), requires_grad=True)
    loss = crf.neg_log_likelihood(emissions, illegal, torch.ones(1, 3, dtype=torch.bool))
    assert float(torch.exp(-loss.detach())) == 0.0
    loss.sum().backward()
    assert loss.isfinite().all()
    assert emissions.grad is not None
    assert emissions.grad.isfinite().all()


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(SCHEMES),
    st.lists(st.lists(st.floats(-(2.0**100), 2.0**100, width=32), min_size=9, max_size=9), min_size=1, max_size=9),
)
def test_decoded_sequences_are_always_legal(scheme: str, rows: list[list[float]]) -> None:
    crf = make_crf(scheme).float()
    emissions = torch.tensor([[row[: len(crf.tag_set)] for row in rows]])
    mask = torch.ones(1, len(rows), dtype=torch.bool)
    (ids,) = crf.decode(emissions, mask)
    assert is_legal(tuple(crf.tag_set[i] for i in ids), scheme)
    assert crf.log_partition(emissions, mask).isfinite().all()


def test_probabilities_of_tags_are_those_of_enumeration() -> None:
    torch.manual_seed(0)
    crf = ConstrainedCrf(["B-X", "NN", "X"], TOKEN).double()
    for parameter in crf.parameters():
        torch.nn.init.normal_(parameter)
    emissions, mask = torch.randn(1, 3, 3, dtype=torch.double), torch.ones(1, 3, dtype=torch.bool)
    paths = enumerate_paths(crf, emissions[0])
    assert float(crf.log_partition(emissions, mask).detach()) == pytest.approx(paths.pop(()))
    assert len(paths) == 27
    every = [Span(t, t + 1, tag) for t, tag in itertools.product(range(3), crf.tag_set)]
    for span, log_p in zip(every, crf.span_log_probabilities(emissions, mask, [every])[0], strict=True):
        expected = sum(p for ids, p in paths.items() if crf.tag_set[ids[span.start]] == span.label)
        assert math.exp(log_p) == pytest.approx(expected)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_cost_towards_a_teacher_and_its_gradient_equal_enumeration(scheme: str) -> None:
    """Three sentences of 3, 1 and 2 tokens, of which one has tags alone, one a teacher alone, and one both."""
    crf, teacher = make_crf(scheme, ("A",), seed=1), make_crf(scheme, ("A",), seed=2)
    lengths, n_tags = [3, 1, 2], len(crf.tag_set)
    mask = torch.arange(3) < torch.tensor(lengths)[:, None]
    emissions = (2 * torch.randn(3, 3, n_tags, dtype=torch.double)).requires_grad_()
    theirs = 2 * torch.randn(3, 3, n_tags, dtype=torch.double)
    gold, taught = torch.tensor([0.3, 0.0, 0.2]).double(), torch.tensor([0.0, 0.5, 0.3]).double()
    tag_ids = torch.tensor([[*all_sequences(crf, n)[-1], *[0] * (3 - n)] for n in lengths])

    def log_probabilities(one: ConstrainedCrf, rows: torch.Tensor) -> dict[tuple[int, ...], torch.Tensor]:
        sequences = all_sequences(one, len(rows))
        scores = []
        for ids in sequences:
            score = one.crf.start_transitions[ids[0]] + one.crf.end_transitions[ids[-1]]
            score = score + sum(rows[t, i] for t, i in enumerate(ids))
            scores.append(score + sum(one.crf.transitions[a, b] for a, b in itertools.pairwise(ids)))
        return dict(zip(sequences, torch.log_softmax(torch.stack(scores), dim=0), strict=True))

    expected = torch.zeros((), dtype=torch.double)
    for row, length in enumerate(lengths):
        ours = log_probabilities(crf, emissions[row, :length])
        wanted = log_probabilities(teacher, theirs[row, :length])
        expected = expected - gold[row] * ours[tuple(tag_ids[row, :length].tolist())]
        for ids, log_p in ours.items():
            expected = expected - taught[row] * wanted[ids].detach().exp() * log_p

    found = crf.cross_entropy(emissions, mask, tag_ids, gold, teacher.expected(theirs, mask, taught), taught)
    assert float(found.detach()) == pytest.approx(float(expected.detach()), abs=1e-9)
    weights = [emissions, *crf.parameters()]
    for ours_, theirs_ in zip(torch.autograd.grad(found, weights), torch.autograd.grad(expected, weights), strict=True):
        assert torch.allclose(ours_, theirs_, atol=1e-9)


def test_who_is_its_own_teacher_has_nothing_to_learn() -> None:
    crf = make_crf("bioes")
    emissions = torch.randn(2, 4, len(crf.tag_set), dtype=torch.double, requires_grad=True)
    mask, taught = torch.ones(2, 4, dtype=torch.bool), torch.tensor([0.5, 0.5]).double()
    nothing = torch.zeros(2).double()
    tag_ids = torch.zeros(2, 4, dtype=torch.long)
    cost = crf.cross_entropy(emissions, mask, tag_ids, nothing, crf.expected(emissions, mask, taught), taught)
    cost.backward()
    for weight in (emissions, *crf.parameters()):
        assert weight.grad is not None
        assert float(weight.grad.abs().max()) < 1e-12


@pytest.mark.parametrize("n_labels", [1, 2, 5])
def test_scores_are_the_same_to_the_bit_in_any_company(n_labels: int) -> None:
    torch.manual_seed(0)
    scheme = "bioes"
    crf = ConstrainedCrf(tag_set([f"L{n}" for n in range(n_labels)], scheme), scheme)
    emissions = 2 * torch.randn(23, 9, len(crf.tag_set))
    mask = torch.ones(23, 9, dtype=torch.bool)
    spans = [[Span(0, 1, "L0"), Span(1, 3, "L0"), Span(4, 9, "L0")]] * 23
    together = crf.span_log_probabilities(emissions, mask, spans)
    for first, last in ((0, 1), (1, 4), (3, 9), (7, 23), (22, 23)):
        part = slice(first, last)
        assert crf.span_log_probabilities(emissions[part], mask[part], spans[part]) == together[part]
