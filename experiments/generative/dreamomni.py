"""DreamOmni: one diffusion transformer for drawing and for editing, on pairs composed of stickers.

Paper    Xia et al., DreamOmni: Unified Image Generation and Editing, CVPR 2025, arXiv 2412.17098 (dossier 063).
Claim    Text-to-image and editing trained together help each other, as edits teach operations and drawings concepts;
         pairs composed of stickers replace annotators; long skips in the transformer reach the same loss in about a
         quarter of the steps. GenEval 0.70; in-painting, instructions and drags better than specialised models.
Method   A convolutional autoencoder (32 x 32 pixels to 8 x 8 x 8) and a small language model that sees (trained on
         captions and instructions) are trained first and frozen. The flow is a transformer at 2x down-sampled tokens:
         last hidden states of words and image patches stand in one row with the noisy latent; the source's latent is
         concatenated by channels (or, the other wiring, stands in the row as tokens); block i of the upper half reads
         block N - 1 - i too. Rectified flow, logit-normal times, Euler with guidance, averaged parameters. Two
         resolutions, 16 pixels and then 32: positions interpolate. Stickers are digits, clothes and letters in colour
         on plain grounds or photographs: add, remove, replace, move, resize, fill a hole, put a letter from a picture
         of it. A third of the concepts (kind and colour) occurs only in drawings. Arms at equal FLOPs: joint (drawings
         and edits 1 : 1); drawings only; edits only; joint without skips; drawings first, then edits without replay;
         joint at 32 pixels alone; joint with the source as tokens.
Run      stagejax run dreamomni                 laptop
         stagejax run dreamomni --preset smoke  embedded digits, a minute
         stagejax plan dreamomni --preset pod --mesh data=32,fsdp=16
Holds if (1) on edits that call for a concept of which only drawings tell, joint succeeds 10 points or more above edits
         only (three seeds); (2) joint draws exactly what it is asked to at most 2 points less often than drawings only,
         which see twice as many drawings (three seeds); (3) with skips the final held-out loss without is reached in 60
         % of the steps or fewer (two seeds). Success of an edit: the right content in the quarters that it is about,
         the right place of what was moved or resized, all other pixels kept.
"""
