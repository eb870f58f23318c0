"""Text and speech aligned without an aligner: the prior, the forward sum, the best monotonic path, binarisation.

A monotonic path gives every frame a token: the first frame the first one, the last frame the last one, and from one
frame to the next the same or the next token.

Letters: B batch, T frames, N tokens. Rows differ in how many of them are real: `frames_B` and `tokens_B`.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax.scipy.stats import betabinom
from jaxtyping import Array, Float, Int

_NEVER = -1e9


def beta_binomial_prior(
    tokens_B: Int[Array, " B"], frames_B: Int[Array, " B"], shape: tuple[int, int], scale: float = 1.0
) -> Float[Array, "B T N"]:
    """log p(token n | frame t): beta-binomial with N - 1 trials, a = scale t, b = scale (T + 1 - t) for t = 1 ... T.

    It leads from the first token to the last along the diagonal, narrower the larger the scale. Where there is no such
    token it is -1e9; frames beyond the last have the prior of the last.

    Args:
      shape: T and N of the result.

    Reference: Shih et al. 2021 (RAD-TTS), section 3.2; Badlani et al. 2021, One TTS Alignment to Rule Them All,
    https://arxiv.org/abs/2108.10447, section 2.1.

    >>> prior = beta_binomial_prior(jnp.array([2]), jnp.array([3]), (3, 2))
    >>> jnp.exp(prior)[0].round(2).tolist()
    [[0.75, 0.25], [0.5, 0.5], [0.25, 0.75]]
    """
    n_B11 = (tokens_B - 1)[:, None, None].astype(jnp.float32)
    k_N = jnp.arange(shape[1], dtype=jnp.float32)
    t_BT1 = jnp.minimum(jnp.arange(1, shape[0] + 1), frames_B[:, None])[..., None].astype(jnp.float32)
    log_p_BTN = betabinom.logpmf(k_N, n_B11, scale * t_BT1, scale * (frames_B[:, None, None] + 1 - t_BT1))
    return jnp.where(k_N <= n_B11, log_p_BTN, _NEVER)


def forward_sum(
    log_p_BTN: Float[Array, "B T N"], tokens_B: Int[Array, " B"], frames_B: Int[Array, " B"]
) -> Float[Array, " B"]:
    """-log of the sum over monotonic paths of the product of p(token of the path | frame), of each row, in nats.

    alpha_1(n) = p_1(1) at n = 1, alpha_t(n) = p_t(n) (alpha_(t-1)(n) + alpha_(t-1)(n - 1)); the sum is alpha_T(N). It
    is CTC without blanks, of labels that are all different.

    Reference: Badlani et al. 2021, https://arxiv.org/abs/2108.10447, equation 3.

    >>> even = jnp.log(jnp.full((1, 3, 2), 0.5))  # two paths of three frames over two tokens
    >>> round(float(jnp.exp(-forward_sum(even, jnp.array([2]), jnp.array([3])))[0]), 4)
    0.25
    """
    alphas_TBN = _forward(log_p_BTN, jnp.logaddexp)
    rows = jnp.arange(len(tokens_B))
    return -alphas_TBN[frames_B - 1, rows, tokens_B - 1]


def _forward(log_p_BTN: Array, either: object) -> Float[Array, "T B N"]:
    """alpha of all frames, or with the larger of two for their sum, delta of Viterbi."""
    N = log_p_BTN.shape[-1]
    first_BN = jnp.where(jnp.arange(N) == 0, log_p_BTN[:, 0], _NEVER)

    def step(before_BN: Array, log_p_BN: Array) -> tuple[Array, Array]:
        moved_BN = jnp.pad(before_BN[:, :-1], ((0, 0), (1, 0)), constant_values=_NEVER)
        after_BN = log_p_BN + either(before_BN, moved_BN)  # type: ignore[operator]
        return after_BN, after_BN

    _, others = jax.lax.scan(step, first_BN, log_p_BTN[:, 1:].swapaxes(0, 1))
    return jnp.concatenate([first_BN[None], others])


def monotonic_path(
    log_p_BTN: Float[Array, "B T N"], tokens_B: Int[Array, " B"], frames_B: Int[Array, " B"]
) -> Int[Array, "B T"]:
    """The token of every frame on the likeliest monotonic path (monotonic alignment search).

    Frames beyond the last have its token, the last. A row with fewer frames than tokens has no monotonic path.

    Reference: Kim et al. 2020 (Glow-TTS), https://arxiv.org/abs/2005.11129, algorithm 1; Viterbi 1967.

    >>> p = jnp.log(jnp.array([[[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]]]))
    >>> monotonic_path(p, jnp.array([2]), jnp.array([3])).tolist()
    [[0, 1, 1]]
    """
    _, T, _ = log_p_BTN.shape
    deltas_TBN, rows = _forward(log_p_BTN, jnp.maximum), jnp.arange(len(tokens_B))
    last_B = tokens_B - 1

    def back(later_B: Array, given: tuple[Array, Array]) -> tuple[Array, Array]:
        t, delta_BN = given  # of frame t, whose token is found from that of frame t + 1
        stays, moves = delta_BN[rows, later_B], delta_BN[rows, jnp.maximum(later_B - 1, 0)]
        token_B = jnp.where((later_B > 0) & (moves > stays), later_B - 1, later_B)
        token_B = jnp.where(t >= frames_B - 1, last_B, token_B)
        return token_B, token_B

    _, path_TB = jax.lax.scan(back, last_B, (jnp.arange(T), deltas_TBN), reverse=True)
    return path_TB.swapaxes(0, 1)


def durations(path_BT: Int[Array, "B T"], frames_B: Int[Array, " B"], tokens: int) -> Int[Array, "B N"]:
    """How many frames each token has on a path.

    >>> durations(jnp.array([[0, 1, 1, 1]]), jnp.array([3]), 3).tolist()
    [[1, 2, 0]]
    """
    real_BT = jnp.arange(path_BT.shape[1]) < frames_B[:, None]
    return ((path_BT[..., None] == jnp.arange(tokens)) & real_BT[..., None]).sum(1)


def regulated(durations_BN: Int[Array, "B N"], frames: int) -> tuple[Int[Array, "B T"], Int[Array, " B"]]:
    """The length regulator: the token of each of so many frames, and how many frames the durations give.

    Frames beyond have the last token; what is longer than `frames` is cut off.

    Reference: Ren et al. 2019 (FastSpeech), https://arxiv.org/abs/1905.09263, section 3.2.

    >>> regulated(jnp.array([[1, 0, 2]]), 4)
    (Array([[0, 2, 2, 2]], dtype=int32), Array([3], dtype=int32))
    """
    ends_BN = durations_BN.cumsum(1)
    token_BT = (jnp.arange(frames)[:, None] >= ends_BN[:, None]).sum(-1)
    return jnp.minimum(token_BT, durations_BN.shape[1] - 1), jnp.minimum(ends_BN[:, -1], frames)


def binarisation(
    log_soft_BTN: Float[Array, "B T N"], path_BT: Int[Array, "B T"], frames_B: Int[Array, " B"]
) -> Float[Array, ""]:
    """-mean over frames of log A_soft at the token of the hard path: the soft alignment comes near to it.

    Reference: Badlani et al. 2021, https://arxiv.org/abs/2108.10447, equation 6.

    >>> round(float(binarisation(jnp.log(jnp.full((1, 2, 2), 0.5)), jnp.array([[0, 1]]), jnp.array([2]))), 4)
    0.6931
    """
    real_BT = jnp.arange(path_BT.shape[1]) < frames_B[:, None]
    on_path_BT = jnp.take_along_axis(log_soft_BTN, path_BT[..., None], -1)[..., 0]
    return -(on_path_BT * real_BT).sum() / real_BT.sum()
