"""ANNCUR: the best items of a cross-encoder without scoring all of them, by a CUR factorisation of its scores.

Paper    Yadav et al., Efficient Nearest Neighbor Search for Cross-Encoder Models using Matrix Factorization, EMNLP
         2022, arXiv 2210.12579 (dossier 013).
Claim    For k > 10 it has a better recall of the exact top k for a number of cross-encoder calls than re-ranking what
         TF-IDF, a dual encoder, one distilled from as many scores, or features by fixed anchor items find; and its
         index is cheaper than distilling a dual encoder. [EMB]-CE suits it better than [CLS]-CE.
Method   Train a dual encoder by InfoNCE, mine hard negatives by it, train two cross-encoders against them: [CLS]-CE
         (linear in [CLS]) and [EMB]-CE (product of two contextual states at markers). Index: score k_q anchor queries
         with all items, R. Search: score a test query with k_i anchor items, c; estimate all its scores by
         c pinv(R[:, anchors]) R; spend the other k_r = m - k_i calls of the budget m on the best estimates. The
         reference is the cross-encoder's own exact ranking, on queries that are no anchors; draws of anchor items
         repeat the search. Every rival gets the same m calls; the distilled dual encoder learns from the same R.
Run      stagejax run anncur                           laptop: four minutes on two cores
         stagejax run anncur --preset smoke            seconds, generated pairs
         stagejax plan anncur --preset pod --mesh data=16,fsdp=16
Holds if each on every seed (mean over draws of anchor items), at two thirds or more of the budgets from 80 to 250:
         at k = 50 ANNCUR on [EMB]-CE recalls more than each of the five rivals (1) with the best of the splits of a
         budget, as the paper takes it, and (2) with half of it for anchors, the rivals too; (3) the same as (1) on
         [CLS]-CE; (4) at k = 1 one of the dual encoders recalls more than ANNCUR on [EMB]-CE with its best split.
         (5) On every seed [EMB]-CE's scores, less each query's mean, have smaller errors of the best approximations of
         ranks 10 and 30 than [CLS]-CE's. (6) Making R takes 10 % fewer FLOPs than making R and distilling from it.
Ours     Two seeds, ten draws each: (1), (2), (3) do not hold at this scale, (4), (5), (6) do. At k = 50 and 80, 160,
         250 calls ANNCUR on [EMB]-CE with its best split recalls 0.28, 0.50, 0.68 (± 0.015 at most), re-ranking the
         dual encoder's items 0.31, 0.51, 0.69, the distilled one's 0.33, 0.54, 0.71, TF-IDF's 0.78, 0.96, 0.99; fixed
         anchor items 0.16, 0.31, 0.48 (± 0.13), with CUR 0.25, 0.48, 0.67. Scores are far from a low rank: the best of
         rank 30 is off by 0.694 ± 0.013 on [EMB]-CE, 0.715 ± 0.011 on [CLS]-CE. At k = 1 and 80 calls the dual encoder
         has 0.79, ANNCUR 0.38. Distilling is 32 % of the FLOPs of both. With as many anchor items as anchor queries
         [CLS]-CE's error jumps from 0.17 to 3.5. 371 CPU seconds, about 3:40 on two idle cores.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from stagejax import Evaluation, Experiment, Stage
from stagejax.axes import Axes
from stagejax.data import BPE, Dataset, Portion, Source, Tokenizer, codec
from stagejax.data.retrieval.candidates import Candidates, candidate_texts
from stagejax.data.retrieval.tfidf import tf_idf
from stagejax.data.tasks.pairs import SYNONYMS, Graded, SentencePairs, SynonymPairs
from stagejax.data.vocabulary.learned import LearnedFrom
from stagejax.data.vocabulary.words import Words
from stagejax.inference import Frozen, scoring
from stagejax.inference.retrieval import cur, reranking
from stagejax.inference.retrieval.reranking import Budgets, best_split, even_split
from stagejax.models import bert
from stagejax.models.text.cross_encoder import MARKERS, CrossEncoder
from stagejax.models.text.sentence_encoder import SentenceEncoder
from stagejax.names import slug
from stagejax.objectives.retrieval import ranking
from stagejax.optimizer import adamw
from stagejax.report import Arm, Claim, Report, Table, by_seed, claim, shown
from stagejax.report.paired import lines

CLS_CE, EMB_CE = "CLS-CE", "EMB-CE"
POOLS = {CLS_CE: "cls", EMB_CE: "markers"}
ANNCUR, TFIDF, DUAL, DISTILLED = "ANNCUR", "TF-IDF", "dual encoder", "distilled dual encoder"
FIXED, FIXED_CUR = "fixed anchor items", "fixed anchor items + CUR"
PUPIL = {ce: f"{DISTILLED} from {ce}" for ce in POOLS}
RIVALS = (TFIDF, DUAL, DISTILLED, FIXED, FIXED_CUR)
RANKS = (1, 10, 30, 60)


@dataclass(frozen=True)
class Fit:
    """How a model is trained."""

    steps: int
    batch: int  # queries
    peak: float  # learning rate


def qnli(split: str) -> SentencePairs:
    """Questions and the sentences that answer them."""
    return SentencePairs((Graded(Dataset("qnli", split), "label", 1.0, "question", "sentence"),))


@dataclass(frozen=True)
class Config:
    """Everything that a run of this experiment depends on."""

    train: Source = field(default_factory=lambda: Portion(qnli("train"), stop=0.9))
    dev: Source = field(default_factory=lambda: Portion(qnli("train"), start=0.9))  # for the curves
    test: Source = field(default_factory=lambda: qnli("test"))  # items, anchor queries and test queries
    tokenizer: Tokenizer = field(default_factory=lambda: LearnedFrom(BPE(2048), Dataset("qnli"), "sentence"))
    query: int = 17  # tokens, [CLS] among them
    item: int = 33
    embed: int = 64
    layers: int = 2
    heads: int = 4
    mlp: int = 256
    init_std: float = 0.05
    types: int = 4  # of tokens: 4 mark those on both sides
    scan: bool = False
    dual: Fit = Fit(steps=400, batch=32, peak=2e-3)
    cross: Fit = Fit(steps=300, batch=8, peak=2e-3)
    distill: Fit = Fit(steps=200, batch=32, peak=1e-3)
    mined: int = 64  # hard negatives of a query
    drawn: int = 7  # of them in a step
    dev_batches: int = 8
    dev_batch: int = 16  # held-out queries, with 16 items each
    taught: int = 100  # best items of an anchor query, from which the distilled dual encoder draws
    items: int = 500
    anchors: int = 120  # anchor queries, k_q
    tests: int = 100  # test queries
    fixed: int = 40  # fixed anchor items
    counts: tuple[int, ...] = (15, 30, 60, 120, 240)  # of anchor items, at which errors are shown
    search: Budgets = field(default_factory=lambda: Budgets((10, 20, 40, 80, 120, 160, 200, 250), ks=(1, 10, 50, 100)))
    judged: tuple[int, int] = (80, 250)  # the claims look at budgets in this range
    k: int = 50  # of the claims
    seeds: tuple[int, ...] = (0, 1)
    save_every: int | None = None  # steps; None: every minute


def preset(name: str) -> Config:
    """The laptop preset, or the same experiment smaller or at the paper's scale."""
    if name == "smoke":
        words = {word for kinds in SYNONYMS.values() for pair in kinds for side in pair for word in side.split()}
        same, test = (SentencePairs((Graded(SynonymPairs(split), least=5.0),)) for split in ("train", "test"))
        return Config(
            Portion(same, stop=0.7), Portion(same, start=0.7), test, Words(tuple(sorted(words | {"the"}))),
            query=9, item=9, embed=16, layers=1, heads=2, mlp=32, dual=Fit(30, 16, 5e-3), cross=Fit(30, 4, 5e-3),
            distill=Fit(10, 8, 2e-3), mined=8, drawn=3, dev_batches=4, taught=10, items=40, anchors=20, tests=12,
            fixed=8, counts=(5, 20), search=Budgets((4, 10, 16), (1, 5), draws=3), judged=(10, 16), k=5, seeds=(0,),
        )  # fmt: skip
    if name == "pod":
        world = Graded(Dataset("zeshel"), "label", 1.0, "mention", "entity")  # TFDS has none: a folder of one's own
        test = Graded(Dataset("zeshel", "test"), "label", None, "mention", "entity")
        return Config(
            Portion(SentencePairs((world,))), SentencePairs((replace(world, source=Dataset("zeshel", "dev")),)),
            SentencePairs((test,)), LearnedFrom(BPE(30_519), Dataset("zeshel"), "entity"), query=128, item=128,
            embed=768, layers=12, heads=12, mlp=3072, init_std=0.02, types=2, scan=True,
            dual=Fit(1_000, 256, 1e-5), cross=Fit(800, 256, 1e-5), distill=Fit(2_000, 256, 1e-5), mined=64, drawn=63,
            dev_batch=256, items=10_000, anchors=500, tests=1_000, fixed=500, counts=(50, 100, 250, 500, 1_000),
            search=Budgets((10, 50, 100, 200, 500, 1_000), (1, 10, 50, 100)), judged=(50, 1_000), save_every=500,
        )  # fmt: skip
    return Config()


def pipeline(run: Any, cfg: Config) -> Report:
    """Two cross-encoders a seed, the exact scores of both, and every way to search them."""
    how = (cfg.tokenizer, cfg.train, (cfg.query, cfg.item))
    texts = {part: run.make(f"texts/{part}", read, getattr(cfg, part), *how) for part in ("train", "dev", "test")}
    arms: dict[str, dict[int, Arm]] = {label: {} for label in (DUAL, *POOLS, *PUPIL.values())}
    found: dict[str, list[Any]] = {ce: [] for ce in POOLS}
    for seed in cfg.seeds:
        pairs = candidates(cfg, texts["train"], drawn=0)
        dual = run.train(fit(cfg, f"dual/{seed}", seed, cfg.dual, pairs, texts["dev"]))
        arms[DUAL][seed] = Arm("", (dual,))
        mined = run.make(f"mined/{seed}", scoring.hard_negatives, dual, texts["train"], cfg.mined)
        for ce in POOLS:
            mark, own, row = f"{slug(ce)}/{seed}", (texts["test"], cfg), cfg.items * scoring.pair_flops(scorer(cfg, ce))
            stage = fit(cfg, mark, seed, cfg.cross, candidates(cfg, mined, drawn=cfg.drawn), texts["dev"])
            cross = run.train(replace(stage, model=scorer(cfg, ce), objective=ranking.listwise))
            rows = run.make(f"rows/{mark}", index, cross, *own, flops=row * cfg.anchors)
            exact = run.make(f"exact/{mark}", judge, cross, *own, flops=row * (cfg.tests + cfg.fixed))
            lesson = candidates(cfg, run.make(f"taught/{mark}", teach, rows, *own), always=0, drawn=2, scored=cfg.items)
            stage = fit(cfg, f"distilled/{mark}", seed, cfg.distill, lesson, texts["dev"])
            pupil = run.train(replace(stage, objective=ranking.distilled), dual)
            found[ce].append(run.make(f"search/{mark}", search, rows, exact, dual, pupil, *own).value)
            arms[ce][seed] = Arm("", (cross,), charged=(dual, rows))
            arms[PUPIL[ce]][seed] = Arm("", (dual, pupil), charged=(cross, rows))
    return report(cfg, arms, found)


# --- stages ---


def sizes(cfg: Config) -> dict[str, Any]:
    """The encoder that all models have."""
    own = {name: getattr(cfg, name) for name in ("embed", "layers", "heads", "mlp", "init_std", "types", "scan")}
    return own | {"vocab": cfg.tokenizer.vocab + MARKERS, "length": cfg.query + cfg.item + 3}


def scorer(cfg: Config, name: str) -> CrossEncoder:
    """The cross-encoder of that name."""
    return CrossEncoder(bert(**sizes(cfg)), cfg.query, cfg.item, POOLS[name])


def candidates(cfg: Config, made: Any, **fields: Any) -> Candidates:
    """Queries and candidates of an artifact."""
    return Candidates(of=made.fingerprint, arrays=made.value, query=cfg.query, item=cfg.item, batch=1, **fields)


def fit(cfg: Config, name: str, seed: int, how: Fit, data: Candidates, dev: Any) -> Stage:
    """A dual encoder by InfoNCE; what the other stages share. Held out: where the answer ranks among 16 sentences."""
    held_out = replace(candidates(cfg, dev, drawn=15), batch=cfg.dev_batch, count=cfg.dev_batches)
    return Stage(
        name=name, model=SentenceEncoder(bert(**sizes(cfg))), objective=ranking.in_batch, trainable=of_the_encoder,
        optimizer=adamw(how.peak, warmup=0.1, decay="linear"), data=replace(data, batch=how.batch, seed=seed),
        evaluate=Evaluation(held_out, cfg.dev_batches, every=how.steps // 2, objective=ranking.listwise),
        steps=how.steps, seed=seed, save_every=cfg.save_every,
    )  # fmt: skip


def of_the_encoder(path: str, axes: Axes) -> bool:
    """Whether a parameter has a part in vectors and scores: the head that predicts tokens has none."""
    return not path.startswith("encoder/head")


# --- texts and scores ---


def read(source: Source, tokenizer: Tokenizer, train: Source, lengths: tuple[int, int]) -> dict[str, np.ndarray]:
    """Queries with an answer, items, and which is whose."""
    return candidate_texts(source, codec(tokenizer, train), lengths)


def roles(texts: Any, cfg: Config) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Tokens of anchor queries, of test queries, which are others, and of items; the answers of the test queries."""
    answered = np.flatnonzero(texts.value["always"][:, 0] < cfg.items)
    order = answered[np.random.default_rng(0).permutation(len(answered))]
    anchors, tests = order[: cfg.anchors], order[cfg.anchors : cfg.anchors + cfg.tests]
    queries, items = texts.value["queries"], texts.value["items"][: cfg.items]
    return queries[anchors], queries[tests], items, texts.value["always"][tests]


def index(cross: Any, texts: Any, cfg: Config) -> dict[str, np.ndarray]:
    """R: the exact scores of the anchor queries with all items."""
    anchors, _, items, _ = roles(texts, cfg)
    return {"rows": scoring.exact_scores(Frozen.of(cross), anchors, items)}


def judge(cross: Any, texts: Any, cfg: Config) -> dict[str, np.ndarray]:
    """All exact scores of the test queries, the reference; and of the fixed anchor items, as if they were queries."""
    _, tests, items, _ = roles(texts, cfg)
    fixed = np.random.default_rng(0).permutation(len(items))[: cfg.fixed]
    asked = np.concatenate([tests, items[fixed, : cfg.query]])
    scores = scoring.exact_scores(Frozen.of(cross), asked, items)
    return {"tests": scores[: len(tests)], "fixed": scores[len(tests) :], "of": fixed}


def teach(rows: Any, texts: Any, cfg: Config) -> dict[str, np.ndarray]:
    """The anchor queries with their scores; what is drawn for each are the cross-encoder's best items."""
    scores, (anchors, _, items, _) = rows.value["rows"], roles(texts, cfg)
    found = {"queries": anchors, "items": items, "always": np.zeros((len(anchors), 0), np.int64), "scores": scores}
    return found | {"pool": reranking.best(scores, cfg.taught)}


def search(rows: Any, exact: Any, dual: Any, pupil: Any, texts: Any, cfg: Config) -> dict[str, np.ndarray]:
    """What every method recalls; the rank of the answers; errors of best approximations and of the factorisation."""
    (_, tests, items, answers), vocab = roles(texts, cfg), cfg.tokenizer.vocab
    R, S, F = (part.astype(np.float64) for part in (rows.value["rows"], exact.value["tests"], exact.value["fixed"]))
    fixed, top, plan = exact.value["of"], reranking.best(S, max(cfg.search.ks)), cfg.search
    guesses = {
        TFIDF: tf_idf(tests, items, vocab) @ tf_idf(items, items, vocab).T,
        DUAL: scoring.cosines(dual, tests, items),
        DISTILLED: scoring.cosines(pupil, tests, items),
    }
    found = {name: plan.plain(top, own) for name, own in guesses.items()}
    found[ANNCUR] = plan.recalls(top, len(items), lambda own: (own, S[:, own] @ cur.item_embeddings(R, own)))
    found[FIXED] = plan.recalls(top, len(fixed), lambda own: (fixed[own], S[:, fixed[own]] @ F[own]))
    found[FIXED_CUR] = plan.recalls(
        top, len(fixed), lambda own: (fixed[own], S[:, fixed[own]] @ cur.item_embeddings(F, fixed[own]))
    )
    placed = [(own >= np.take_along_axis(own, answers, 1)).sum(1) for own in (*guesses.values(), S)]
    both = np.concatenate([R, S])
    orders = [np.random.default_rng(draw).permutation(len(items)) for draw in range(plan.draws)]
    return found | {
        "mrr": np.array([(1 / place).mean() for place in placed]),
        "floor": np.array([cur.error_at_rank(own, RANKS) for own in (both, both - both.mean(1, keepdims=True))]),
        "error": np.array([np.mean([cur.errors(R, S, own[:count]) for own in orders], 0) for count in cfg.counts]),
    }


# --- report ---


def wins(cfg: Config, found: list[Any], k: int, split: Any, name: str, rival: str) -> float:
    """At which share of the judged budgets a method recalls more than another on every seed."""
    low, high = cfg.judged
    at = [b for b, calls in enumerate(cfg.search.calls) if low <= calls <= high]
    gaps = np.array([split(own[name]) - split(own[rival]) for own in found])[:, at, cfg.search.ks.index(k)]
    return float((gaps > 0).all(0).mean())


def judged(cfg: Config, arms: dict[str, dict[int, Arm]], found: dict[str, list[Any]] | None) -> tuple[Claim, ...]:
    """The claims, by the rules of the docstring; `found` is None in a plan."""

    def said(shares: dict[str, float]) -> str | None:
        return "; ".join(f"{rival} {share:.0%}" for rival, share in shares.items()) or None

    def beats(ce: str, split: Any, how: str) -> Claim:
        shares = {rival: wins(cfg, found[ce], cfg.k, split, ANNCUR, rival) for rival in RIVALS} if found else {}
        return claim(
            f"At k = {cfg.k} ANNCUR on {ce} recalls more than every rival, each with {how}",
            paper="better for k > 10", measured=said(shares),
            margin="on every seed at 2/3 of the judged budgets or more, each rival",
            holds=min(shares.values(), default=0) >= 2 / 3,
        )  # fmt: skip

    one, inner = cfg.search.ks[0], [RANKS.index(rank) for rank in (10, 30)]
    duals = {d: wins(cfg, found[EMB_CE], one, best_split, d, ANNCUR) for d in (DUAL, DISTILLED)} if found else {}
    nothing = [{"floor": np.full((2, len(RANKS)), np.nan)}]
    cls, emb = (np.array([own["floor"][1, inner] for own in (found or {}).get(ce, nothing)]) for ce in POOLS)
    costs = [(arm.charged[-1].cost.flops, arm.results[-1].cost.flops) for arm in arms[PUPIL[EMB_CE]].values()]
    cheaper = [more / (rows + more) for rows, more in costs]
    return (
        beats(EMB_CE, best_split, "the best split of a budget"),
        beats(EMB_CE, even_split, "half of a budget for anchors"),
        beats(CLS_CE, best_split, "the best split of a budget"),
        claim(
            f"At k = {one} a dual encoder recalls more than ANNCUR on {EMB_CE} with the best split",
            paper="better for k > 10 only", measured=said(duals),
            margin="one of the two, on every seed at 2/3 of the judged budgets or more",
            holds=max(duals.values(), default=0) >= 2 / 3,
        ),
        claim(
            f"{EMB_CE}'s scores, less each query's mean, are closer to ranks 10 and 30 than {CLS_CE}'s",
            paper="better suited to CUR", measured=found and f"{EMB_CE} {shown(emb)}; {CLS_CE} {shown(cls)}",
            margin="smaller errors at both on every seed", holds=bool((emb < cls).all()),
        ),
        claim(
            "An index is cheaper than an index and a dual encoder distilled from it",
            paper="cheaper", measured=float(np.mean(cheaper)), unit="%", margin="10 % of the FLOPs or more",
            holds=min(cheaper) >= 0.1,
        ),
    )  # fmt: skip


def tables(cfg: Config, found: dict[str, list[Any]]) -> tuple[Table, ...]:
    """Recalls by budget, errors of the factorisation, and how well each scorer ranks answers."""

    def table(title: str, columns: Any, rows: Any, note: str) -> Table:
        cells = tuple((*names, *(shown(column, ".3f") for column in np.array(own).T)) for *names, own in rows)
        return Table(title, columns, cells, note=f"{note} ± the standard deviation over seeds.")

    recalled = [
        table(
            f"{ce}: recall at k = {k} by calls, {how}", ("method", *map(str, cfg.search.calls)),
            [(name, [split(own[name])[:, j] for own in found[ce]]) for name in (ANNCUR, *RIVALS)],
            "Mean over draws of anchor items.",
        )
        for ce in POOLS for split, how in ((best_split, "best split"), (even_split, "half for anchors"))
        for j, k in enumerate(cfg.search.ks) if split is best_split or k == cfg.k
    ]  # fmt: skip
    parts = "test queries", "anchor queries", "test queries, best core"
    kinds = "as they are", "less each query's mean"
    scorers = TFIDF, DUAL, DISTILLED, "the cross-encoder itself"
    mrr = np.array([[own["mrr"] for own in found[ce]] for ce in POOLS]).swapaxes(0, 1)
    errors = [(ce, of, [own["error"][:, j] for own in found[ce]]) for ce in POOLS for j, of in enumerate(parts)]
    floors = [(ce, of, [own["floor"][j] for own in found[ce]]) for ce in POOLS for j, of in enumerate(kinds)]
    ill = f"With as many as the {cfg.anchors} anchor queries the inverse is ill-conditioned."
    floor = "From the singular values of all scores: a floor, no rival."
    worth = "What a scorer is worth, beside how well it is approximated; on the test queries."
    return (
        *recalled,
        table("Relative errors of CUR by anchor items", ("matrix", "of", *map(str, cfg.counts)), errors, ill),
        table("Errors of the best approximations by rank", ("matrix", "scores", *map(str, RANKS)), floors, floor),
        table("MRR of the answers", ("scorer", *POOLS), [(n, mrr[..., j]) for j, n in enumerate(scorers)], worth),
    )


def report(cfg: Config, arms: dict[str, dict[int, Arm]], found: dict[str, list[Any]]) -> Report:
    """Recall by budget of every method on both cross-encoders, what the matrices are like, and the claims."""
    known = found if found[EMB_CE][0] is not None else None
    j = cfg.search.ks.index(cfg.k)

    def drawn(ce: str) -> Any:
        means = {n: np.mean([best_split(own[n])[:, j] for own in found[ce]], 0) for n in (ANNCUR, *RIVALS)}
        title, said = f"{ce}: recall at k = {cfg.k}", "With the best split of every budget; mean over draws and seeds."
        return lines(title, means, at=cfg.search.calls, xlabel="calls a query", ylabel="recall", caption=said)

    return EXPERIMENT.report(
        judged(cfg, arms, known), arms=by_seed(arms, DUAL), baseline=DUAL, metric="mrr", rising=True, seeds=cfg.seeds,
        tables=tables(cfg, known) if known else (), figures=tuple(map(drawn, POOLS)) if known else (),
        link="https://arxiv.org/abs/2210.12579",
        notes=(
            "Curves show where the answer ranks among 16 held-out sentences, which no claim scores.",
            "Models are trained from scratch, not from BERT. So the cross-encoders' token types mark what stands on "
            "both sides: without that they stayed at chance in a try-out. The dual encoder pools by the mean.",
            "Those marks may tie the scores to common words, which would make TF-IDF the strong rival that it is here, "
            "and the scores far from a low rank: of words that only a test query has, no anchor query tells.",
            "The best split of a budget is chosen by what it recalls on the test queries, as in the paper's code.",
            "Learning rates were not searched: 2e-3, and half of it for distilling. Two seeds, for time.",
            "A fixed anchor item stands in a query's place, cut at its length; its index has "
            f"{cfg.fixed} rows of exact scores, ANNCUR's {cfg.anchors}. The best core reads all scores.",
            "That distilling costs a tenth more or above (the last claim) follows from the number of its steps and of "
            "the anchors: it is arithmetic, not a result.",
        ),
    )  # fmt: skip


EXPERIMENT = Experiment(
    name="anncur",
    title="ANNCUR: nearest neighbours for cross-encoders by CUR",
    reference="Yadav et al., EMNLP 2022, arXiv 2210.12579",
    paper=13,
    pipeline=pipeline,
    preset=preset,
)

if __name__ == "__main__":
    from stagejax.cli import run_module

    run_module("anncur")
