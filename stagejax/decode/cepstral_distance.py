"""Mel-cepstral distance of utterances that need not be equally long, by dynamic time warping.

Letters: N pairs of utterances, T and U frames, M mel bands, C coefficients.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int


def mel_cepstra(frames: Float[np.ndarray, "*n M"], count: int = 13) -> Float[np.ndarray, "*n C"]:
    """Coefficients 1 to `count` - 1 of the orthonormal cosine transform (II) of log-mel amplitudes, half log energies.

    The 0th, how loud a frame is, is left out.

    >>> bool(np.allclose(mel_cepstra(np.ones((1, 8)), 3), [[0.0, 0.0]]))
    True
    """
    from scipy.fft import dct

    return dct(frames / 2, norm="ortho")[..., 1:count]


def cepstral_distance(
    a: Float[np.ndarray, "N T C"],
    b: Float[np.ndarray, "N U C"],
    lengths_a: Int[np.ndarray, " N"],
    lengths_b: Int[np.ndarray, " N"],
    bands: int,
) -> Float[np.ndarray, " N"]:
    """10 √2 / ln 10 times the mean distance of cepstra along the cheapest warping path, in dB.

    The cepstra of `mel_cepstra` over M bands are √(M / 2) times the coefficients c of log |H| = c_0 + Σ c_k cos, whose
    Euclidean distance it is: so it is the root mean square of differences of smooth log spectra.

    Reference: Kubichek 1993, Mel-cepstral distance measure for objective speech quality assessment; with warping:
    Skerry-Ryan et al. 2018, https://arxiv.org/abs/1803.09047, section 4.1 (MCD-DTW).

    >>> a, b = np.array([[[0.0], [1.0], [1.0]]]), np.array([[[0.0], [1.0]]])
    >>> cepstral_distance(a, b, np.array([3]), np.array([2]), 40).tolist()
    [0.0]
    """
    apart = np.sqrt(np.square(a[:, :, None] - b[:, None]).sum(-1))
    return 10 * np.sqrt(2) / np.log(10) * np.sqrt(2 / bands) * warped(apart, lengths_a, lengths_b)


def warped(
    cost: Float[np.ndarray, "N T U"], lengths_a: Int[np.ndarray, " N"], lengths_b: Int[np.ndarray, " N"]
) -> Float[np.ndarray, " N"]:
    """The cost of a place of the cheapest path from (0, 0) to the last frames of both, in the mean over its places.

    A path goes one frame on in one or in both. Of equally cheap paths the one with a step in both is taken.

    Reference: Sakoe and Chiba 1978, Dynamic programming algorithm optimization for spoken word recognition.

    >>> warped(np.array([[[1.0, 9.0], [9.0, 3.0]]]), np.array([2]), np.array([2])).tolist()
    [2.0]
    """
    N, T, U = cost.shape
    total, places = np.full((N, T + 1, U + 1), np.inf), np.zeros((N, T + 1, U + 1))
    total[:, 0, 0] = 0
    rows = np.arange(N)
    for i in range(1, T + 1):
        for j in range(1, U + 1):
            before = np.stack([total[:, i - 1, j - 1], total[:, i - 1, j], total[:, i, j - 1]])
            counts = np.stack([places[:, i - 1, j - 1], places[:, i - 1, j], places[:, i, j - 1]])
            best = before.argmin(0)
            total[:, i, j] = cost[:, i - 1, j - 1] + before[best, rows]
            places[:, i, j] = 1 + counts[best, rows]
    return total[rows, lengths_a, lengths_b] / places[rows, lengths_a, lengths_b]
