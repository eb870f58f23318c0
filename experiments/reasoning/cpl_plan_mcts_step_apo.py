"""CPL: tree search over the steps of plans, and preferences between single steps that are shifted by advantages.

Paper    Wang et al., CPL: Critical Plan Step Learning Boosts LLM Generalization in Reasoning Tasks, 2024,
         arXiv 2409.08642 (dossier 058: abstract, code and reviews were read, no table).
Claim    A search over abstract plans, of which only the last node writes the solution, finds which steps are critical;
         learning these by Step-APO makes a model better on tasks it was not trained on, too, where a search over
         steps of solutions teaches one task's solutions.
Method   Word problems of 2 and 3 operations with an aside; a plan names operations and operands, not numbers. The base
         reads plans with solutions, and solutions alone, of these problems and of three other kinds: other verbs, 4
         operations, and backward ones (the end is given, the start is asked). Training asks the first kind alone, and
         is told whether an answer is right. Two rounds:
         1 search    MCTS over plan steps, trees abreast: PUCT with c = 1.5 and prior exp(mean log-probability); a
                     leaf's V is backed up, then 5 (root) or 3 children drawn at temperature 0.7; +1 / -1 at answers.
                     Round 1: the base, and a value head of random values. Round 2: round 1's policy and value net
         2 SFT       from the base, on at most 4 right paths of each problem
         3 Step-APO  from SFT, its frozen copy the reference: -log σ(β Δ - α (Q_w - Q_l)), β = 0.3, α = 1, Δ the gain in
                     log-probability of one step over its sibling's; every plan step with Q > 0 before every one with
                     Q < 0 at its node, of solutions the best before the worst with Q times 0.3
         4 value     from the base, MSE of tanh(head) and Q behind each step of all paths
         Arms    (a) rejection sampling: SFT on right answers drawn one by one, two rounds; (b) SFT on paths of the
                 search; from (b)'s model, on the same trees: (c) DPO on whole answers, (d) step-DPO (α = 0), (e)
                 Step-APO; (f) the whole system with a search over steps of solutions. Every search or draw of a round
                 has at least the tokens of the search over plans; all arms have equal steps.
         Controls  (e) with its margins shuffled among pairs; (e) with sides by coin: how far luck reaches.
Run      stagejax run cpl_plan_mcts_step_apo
         stagejax run cpl_plan_mcts_step_apo --preset smoke
         stagejax plan cpl_plan_mcts_step_apo --preset pod --mesh data=16,fsdp=16
Holds if in greedy answers that are right, means over three seeds: (1) on held-out problems (e) is 3 points or more above
         (b) of as many steps; (2) and not below (d); (3) on the mean of the three other kinds (e) is above (f), and
         above the base.
"""
