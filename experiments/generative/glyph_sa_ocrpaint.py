"""SA-OcrPaint: words that a text-to-image generator loses are saved by annealing its layout and painting them again.

Paper    Lakhanpal, Chopra, Jain, Chadha and Luo, Refining Text-to-Image Generation: Towards Accurate Training-Free
         Glyph-Enhanced Image Generation, WACV 2025, arXiv 2403.16422 (dossier 011).
Claim    A plug-in without training lifts the word F1 of TextDiffuser by more than 23 % on prompts with long and many
         words (LenCom-Eval) and by 13.5 % on MARIO-Eval; two rounds of painting are best.
Method   Frozen models, trained here: a planner (language model: words to boxes as tokens of pixels), a diffusion
         transformer with flow matching on grey pages, shown plain glyphs in the boxes (blurred, some missing) and the
         prompt, and a reader of words (CTC) by other writers. Both generators know pages of 1 to 3 words of 1 to 3
         digits; every character is a real digit of MNIST. The wrapper: words without a box get one; boxes are annealed
         (energy of overlap, page, aspect, distance and order; translate, rescale, swap, free row; first temperature at
         80 % uphill, factor .95); pages are drawn and read; words that are not read in their boxes are masked, their
         glyphs rendered anew, and painted again while the rest of the page is known; the better page is kept.
         Arms on the same weights: base; best of k by the reader, at equal network evaluations; missing boxes alone;
         SA by its rule of stopping and to the end; OcrPaint; both, for 1 to 4 rounds; SA with best of k. Another
         reader, by yet other writers, judges all. Prompts: short (1-2 words, 1-3 digits), long (1-2 words, 4-6),
         crowded (5-7 words, 1-3).
Run      stagejax run glyph_sa_ocrpaint                 laptop: minutes on two cores
         stagejax run glyph_sa_ocrpaint --preset smoke  under a minute
         stagejax plan glyph_sa_ocrpaint --preset pod --mesh data=16,fsdp=16
Holds if in the mean over seeds, on long and crowded prompts, the word F1 of SA + OcrPaint (2 rounds) is 10 points or
         more above the base's, and above that of the best of 3 at as many network evaluations; SA alone leaves a mean
         IoU of pairs of boxes below .01; and rounds 3 and 4 together add less than half of what rounds 1 and 2 add.
"""
