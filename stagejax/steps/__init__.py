"""Steps with a shape of their own: what a stage does where one gradient of one objective is not the whole of it.

Most are the `step` of a `Stage`, a pure function (part, state, batch, key) -> (state, metrics), and keep the loop, the
saves and the hand-over of every other stage:

    scheduled      options of the objective change from step to step    alternating    several models, turn by turn
    low_rank       kernels trained by few directions at a time          referenced     a model beside a frozen one
    learned        the maps of a growth are trained                     rollout        reinforcement learning on samples
    boosted        every step appends units                             self_training  labels of a teacher, its average
    codebooks      codes that nothing uses are given again              federated      clients side by side, a server
    full_batch     L-BFGS on all examples                               side_by_side   many small runs in one program
    distances      how far parameters are from where they began        timing         how long steps take, by turns
    distilling     a teacher's distributions, responses drawn anew    joint        several models, one loss of them all
    remembering    a queue of features, filled by an average          regularised  a network beside what it was
    watching       coordinates watched between checkpoints, dropped   perceptron   weights moved by mistakes alone
    probes         many heads on frozen features, side by side        defending    tuning that keeps what was taught
    lottery        entries that moved most, reset and trained alone     instances      a model fitted to each image
    self_sampling  programs sampled, executed, kept, learned         merging       updates merged with an older change
"""
