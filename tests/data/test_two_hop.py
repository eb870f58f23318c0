"""Two-hop facts follow from the graph, no composition of an OOD fact is trained on, and noise spoils what it says."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stagejax.data.knowledge.two_hop import KINDS, FactGraph, Noise, TwoHop, TwoHopTests, rows_of
from stagejax.data.tokenizers import SEP, SPECIAL

GRAPH = FactGraph(entities=30, relations=6, degree=4, apart=0.2, untold=0.1, seed=3)
graphs = st.builds(
    FactGraph,
    entities=st.integers(4, 30),
    relations=st.integers(3, 6),
    degree=st.integers(1, 3),
    apart=st.floats(0.05, 0.5),
    untold=st.floats(0.05, 0.5),
    seed=st.integers(0, 100),
)


@settings(max_examples=40, deadline=None)
@given(graphs)
def test_parts_are_all_compositions_by_the_kinds_of_their_facts(graph: FactGraph) -> None:
    parts = graph.parts()
    tails = [{(h, r): t for h, r, t in own.tolist()} for own in (parts.id_atomic, parts.ood_atomic)]
    both = tails[0] | tails[1]
    assert len(both) == graph.entities * graph.degree == len(parts.id_atomic) + len(parts.ood_atomic)
    assert max(np.bincount([h for h, _ in both])) == graph.degree  # each entity has so many different relations
    entities, vocab = SPECIAL + graph.entities, graph.vocab
    assert all(SPECIAL <= h < entities <= r < vocab and SPECIAL <= t < entities for (h, r), t in both.items())

    def composed(first: dict, second: dict) -> set[tuple[int, ...]]:
        return {(h, r, s, b, t) for (h, r), b in first.items() for (c, s), t in second.items() if c == b}

    told, iid, ood = (set(map(tuple, own.tolist())) for own in (parts.told, parts.iid, parts.ood))
    assert not told & iid
    assert told | iid == composed(tails[0], tails[0])
    assert ood == composed(tails[1], tails[1])
    assert [len(own) for own in (told, iid, ood)] == [len(own) for own in parts[2:]]


def test_graphs_differ_by_seed_and_shares_are_as_asked() -> None:
    large = FactGraph(entities=200, relations=20, degree=10)
    parts = large.parts()
    assert len(parts.ood_atomic) == 200
    assert len(parts.iid) / (len(parts.iid) + len(parts.told)) == pytest.approx(0.05, abs=0.01)
    tails = np.concatenate([parts.id_atomic, parts.ood_atomic])[:, 2] - SPECIAL
    assert np.bincount(tails, minlength=200).max() < 30  # ten on average
    assert set(map(tuple, parts.iid)) != set(map(tuple, FactGraph(200, 20, 10, seed=1).parts().iid))


def test_an_epoch_has_every_atomic_fact_and_the_sampled_two_hop_facts_once() -> None:
    parts = GRAPH.parts()
    for written in (True, False):
        data = TwoHop(graph=GRAPH, written=written, ratio=1.5, batch=8, seed=5)
        rows = data.take(np.arange(data.size()))
        assert len(data.trained()) == round(1.5 * len(parts.id_atomic))
        wanted = [rows_of(own, written)[0] for own in (parts.id_atomic, parts.ood_atomic, data.trained())]
        told = np.concatenate([rows["tokens"], rows["targets"][:, -1:]], axis=1)
        assert sorted(map(tuple, told)) == sorted(map(tuple, np.concatenate(wanted)))
        np.testing.assert_array_equal(rows["tokens"][:, 1:], rows["targets"][:, :-1])
        learned = [tuple(row[weights > 0]) for row, weights in zip(rows["targets"], rows["weights"], strict=True)]
        ends = [tuple(row[row > 0])[-len(own) :] for row, own in zip(told, learned, strict=True)]
        assert learned == ends
        assert all(own[-1] == SEP for own in learned)
        assert {len(own) for own in learned} == ({2, 3} if written else {2})  # t, its end; and b
        assert data.targets() == pytest.approx(np.mean([len(own) for own in learned]))


def test_noise_spoils_its_share_of_what_it_names() -> None:
    graph = FactGraph(entities=200, relations=20, degree=10)
    clean = TwoHop(graph=graph, ratio=7.2, batch=8).trained()
    for noise, columns in (
        (Noise(0.3, answer=True), [4]),
        (Noise(0.3, bridge=True), [3]),
        (Noise(0.3, bridge=True, answer=True), [3, 4]),
    ):
        false = noise.spoil(graph, clean) != clean
        assert not false[:, [c for c in range(5) if c not in columns]].any()
        assert false[:, columns].mean() == pytest.approx(0.3, abs=0.02)
        if len(columns) == 2:
            assert (false[:, 3] == false[:, 4]).mean() > 0.99  # in the same rows, but where a draw is the right one
        spoilt = TwoHop(graph=graph, ratio=7.2, batch=8, noise=noise)
        assert spoilt.size() == TwoHop(graph=graph, ratio=7.2, batch=8).size()
        np.testing.assert_array_equal(spoilt.trained(), clean)
    assert (Noise(0.3, answer=True).spoil(graph, clean)[:, 4] >= SPECIAL).all()


def test_tests_are_clean_facts_of_each_kind_in_full_batches() -> None:
    data = TwoHop(graph=GRAPH, ratio=1.5, batch=8, noise=Noise(1.0, bridge=True))
    tests = TwoHopTests(of=data, most=30, batch=16)
    rows = tests.take(np.arange(tests.size()))
    there = rows["weights"].any(1)
    told = np.concatenate([rows["tokens"], rows["targets"][:, -1:]], axis=1)
    parts = GRAPH.parts()
    facts = (parts.id_atomic, parts.ood_atomic, data.trained(), parts.iid, parts.ood)
    for number, (kind, own) in enumerate(zip(KINDS, facts, strict=True)):
        np.testing.assert_array_equal(told[there & (rows["kind"] == number)], rows_of(own[:30], True)[0], err_msg=kind)
    assert tests.size() == 16 * tests.count >= there.sum() > tests.size() - 16
    assert {name: (leaf.shape, leaf.dtype) for name, leaf in tests.take(np.arange(16)).items()} == {
        name: (leaf.shape, leaf.dtype) for name, leaf in tests.spec().items()
    }


def test_another_entity_or_relation_is_never_the_same() -> None:
    facts = GRAPH.parts().iid
    for place in range(5):
        changed = GRAPH.with_another(facts, place)
        assert ((changed != facts) == (np.arange(5) == place)).all()
        assert ((changed[:, place] < SPECIAL + GRAPH.entities) == (place not in (1, 2))).all()
        assert changed.min() >= SPECIAL
        assert changed.max() < GRAPH.vocab


def test_errors_name_what_does_not_fit() -> None:
    with pytest.raises(ValueError, match="degree=7 of relations=6"):
        FactGraph(relations=6, degree=7)
    with pytest.raises(ValueError, match="shares between 0 and 1"):
        FactGraph(apart=0.0)
    with pytest.raises(ValueError, match="what of it is false"):
        Noise(0.2)
    with pytest.raises(ValueError, match="lower `ratio` to"):
        TwoHop(graph=GRAPH, ratio=99.0, batch=8).take(np.arange(2))
