"""Multi-task learning through the life of a model: one network for several text tasks, and what happens to it later.

Paper    Torbarina et al., Challenges and Opportunities of Using Transformer-Based Multi-Task Learning in NLP Through ML
         Lifecycle: A Survey, 2023, arXiv 2308.08234 (dossier 038).
Claim    A survey, without figures of its own. What it says of multi-task learning (MTL) with transformers: it helps
         small tasks most and may hurt large ones; how tasks are sampled protects the small ones; hard sharing is the
         cheapest to serve; adapters keep tasks apart and make a new one cheap; MTL with continual learning is open.
Method   An encoder is pre-trained once (MLM on running text and the tasks' texts). Tasks have uneven sizes on purpose:
         agnews > sst2 > msrp > stsb > trec; ud (the tag of a word in its sentence) arrives later.
         Models     single-task ones, hard sharing (one encoder, a head a task), task adapters in a frozen encoder
         Sampling   shares p ~ n^a in the rows of a batch: proportional a = 1, tau = 2 a = 1/2, uniform a = 0, annealed
                    a = 1 - .8 (e - 1) / (E - 1)
         Losses     annealed with learned uncertainties, with dynamic weight average (DWA), with PCGrad on the encoder
         Scheme     annealed, distilled from the single-task models with teacher annealing (BAM)
         Budget     all have the same steps of the same rows in all: the single-task models of a column share them; a
                    generous column gives each of them as many steps as all of MTL.
         Serving    parameters, and the measured time for one text to be answered for all tasks, a figure of a machine.
         Arrival    ud comes to the annealed model: fine-tuned on ud alone (naive), with 5 % of the rows from old tasks
                    (replay), with the old heads' answers kept (LwF), jointly again from the encoder; and to the
                    adapters, of which the new one alone is trained.
         Shift      a model trained on two of four topics of agnews meets all four: left alone, fine-tuned on agnews,
                    trained again on all tasks by annealed shares from where it is; steps until it has recovered.
Run      stagejax run mtl_lifecycle_survey                      laptop: about 5 minutes on two cores
         stagejax run mtl_lifecycle_survey --preset smoke       seconds
         stagejax plan mtl_lifecycle_survey --preset pod --mesh data=16,fsdp=16
Holds if, in means over seeds and points of test scores (accuracy; of stsb, correlation), (1) each task's generous
         single-task model is 2 points or more above a constant answer, without which the rest says little; (2)
         annealed or tau = 2 sampling is 1 point or more above proportional in the mean over the two smallest tasks;
         (3) annealed hard sharing is at most 2 points below the generous single-task mean, with a third of the
         parameters or fewer; (4) naive fine-tuning on the new task costs the old ones more than 5 points in the mean;
         (5) adapters forget nothing, to the bit (by construction: this checks the code), and learn the new task within
         2 points of naive fine-tuning; (6) against single-task models of the same steps in all, the two smallest tasks
         gain more than the two largest.
"""
