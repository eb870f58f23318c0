"""Adaptive prompting: a frozen model is led step by step, and each step is checked, corrected and made larger or smaller.

Paper    Think Beyond Size: Adaptive Prompting for More Effective Reasoning, 2024, arXiv 2410.08130
         (dossier 089: abstract and first paragraphs; prompts, thresholds and tables were not read).
Claim    Not a static template but prompts that adapt while a problem is solved (guided steps, validation of each,
         correction of what fails, as many steps as the problem needs) let small models come near large ones in
         arithmetic and logic, without training.
Method   A prompt can only call up what a model has read. A small decoder is pre-trained once a seed on problems of a
         number that changes 1 to 4 times: single steps as two calculations, one, one by parts, behind its sentence or
         behind a plan; verdicts on right and spoilt steps, with a reason, and on whole solutions; a right step behind
         a rejected one; whole chains, answers alone, chains rewritten behind a right or spoilt one; bare sums. Then it
         is frozen, and all arms have the same skills. The controller (see `adaptive_prompts`), of its own rules:
         complexity, the numbers of a problem but one, sets the calculations at most, and whether steps begin with one
         or two; a greedy guided step; P(ok) of the model's verdict against a threshold, then checks that need no
         answer: a step that was there, a number that was nowhere, a second calculation by the model; a rejected step
         is asked for again behind itself and the reason, smaller, restated, behind a plan, at temperature 0.7; after two
         retries it goes back one step, twice at most; an answer must pass a check of all; two failures in a row make
         steps smaller and allow two more, three clean ones make them larger; 24 steps at most.
         Static       direct; chain (CoT); its vote, as a plain majority and weighted by the model's check of the whole
                      chain, of as many samples as take the controller's tokens or more; one rewriting (self-refine)
         Ablations    no validator; an oracle (the problem's program) and a coin that rejects as often; no mechanical
                      checks; no correction; no adaptation; no backtracking; a fixed number of steps, that of validation
         Size         the chain of a model with four times the parameters, of the same texts and steps
         Problems     programs that are in no training text: 1 to 4 changes, half with an irrelevant number; 5 to 7;
                      with two irrelevant numbers
         Threshold and temperature of the vote are chosen from three each on validation problems, for each seed.
         Tokens are those that pass the model where prefixes are kept: read anew, and drawn; verdicts and second
         calculations count.
Run      stagejax run adaptive_prompting                   laptop
         stagejax run adaptive_prompting --preset smoke
         stagejax plan adaptive_prompting --preset pod --mesh data=16,fsdp=16
Holds if in means over seeds, of right answers over the three sets: (1) the controller is 5 points or more above the
         chain, and above its plain vote at equal tokens; (2) it is no less right than the larger model's chain;
         (3) right steps made wrong by corrections are fewer than wrong ones made right; (4) what the validator knows
         matters: it is above the coin.
"""
