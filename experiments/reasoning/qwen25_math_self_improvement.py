"""Qwen2.5-Math: answers train a reward model, it selects the next fine-tuning data, and then it shapes RL's reward.

Paper    Yang et al., Qwen2.5-Math Technical Report: Toward Mathematical Expert Model via Self-Improvement, 2024,
         arXiv 2409.12122 (dossier 081).
Claim    Each product improves the next: a fine-tuned model's answers train a reward model (RM); answers that the RM
         selects give a better fine-tuned model, and that a better RM, which beside a verifier is the reward of GRPO
         and at inference picks among N answers: rm@8 > maj@8 > greedy almost everywhere, tools above chains of thought.
Method   Base on the questions of GSM8K -> continued pre-training (CPT) on these and on problems of one step, in two
         wordings, with solutions -> a loop on problems of two and three steps that start with a distracting sentence:
         SFT_0   CPT, tuned on 500 solved problems
         sample  8 answers to each of 512 further problems; for half of them no answer is known
         RM_0    the sampling model with a two-layer head, on the problems with a known answer of which 6 answers are
                 neither all right nor all wrong: -1 / (k (6 - k)) sum over right p, wrong n of log s(r_p - r_n)
         select  the 2 best right answers by the RM; without a known answer, right is what the vote says in which an
                 answer weighs s(r)
         SFT_1   CPT, tuned on the solved problems and the selected answers, as many steps -> sample -> RM_1
         GRPO    SFT_1, on the problems of which it solves 2 to 5 of 8: reward s(r / 2) + (right - 1), advantages in
                 the group of 8, clipped ratios, KL (k3) to SFT_1 in the loss
         then greedily, by majority of 8, and the one of 8 that RM_1 scores highest. Arms of as many drawn tokens, or
         none, and as many rows learned: SFT_0 for longer; RFT twice without an RM (all right answers, plain votes);
         RFT twice with it (SFT_2); GRPO by the verifier alone, by the RM alone, and shaped. Tool mode: the result of
         each step is computed by a calculator and put in, masked in every loss; SFT_0, and the loop in `long`.
Run      stagejax run qwen25_math_self_improvement
Holds if on held-out problems, greedy, means over three seeds, (1) SFT_1 is 2 points or more above SFT_0, and shaped
         GRPO 2 points or more above SFT_1; (2) rm@8 >= maj@8 > greedy for shaped GRPO on 2 or more of 3 test sets;
         (3) shaped GRPO is not below GRPO by the verifier alone; (4) it is above the arms without RL or without an RM,
         of as many drawn tokens; (5) SFT_0 with the tool is above SFT_0.
"""
