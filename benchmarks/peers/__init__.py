"""Peers in the same table as our strategies: other programs, each with its own learner, asked as its users would ask it.

    python -m benchmarks.peers --out DIR --datasets phishing,bananas --strategies uncertainty --budgets 0.1 --delays 0,50

takes the options of `streamlearn evaluate`, and --peers NAMES. Same streams, evaluation rows, delays, seeds and curves; the
tables list peers beside our strategies against our random queries. So a peer's area is its learner's and its strategy's
together: `*-random` is the same learner, asking by chance, and what a peer has over it is its strategy's.

river-entropy: EntropySampler with the discount factor by which it spends its budget, around StandardScaler |
    LogisticRegression (SoftmaxRegression for more classes), defaults; a label is learned once, as river does.
skactiveml-probabilistic, -variable, -split, -fixed: StreamProbabilisticAL (with an RBF kernel, since scikit-learn's classifiers
    count no labels nearby), VariableUncertainty, Split and FixedUncertainty with their default budget managers;
    LogisticRegression, defaults, on standardised rows, refitted on all labels so far.
vw-active: `--active --loss_function logistic` with the mellowness by which it spends its budget, labels weighted by the
    importance that it asked with; two classes only.

In their favour: river's discount and VW's mellowness are fitted on the very stream that is played (they have no budget), so
that they ask least and still get nine tenths of the labels; scalers see every event; scikit-activeml is told the classes
beforehand; until two classes are known labels are given unasked, since who knows one class may never ask. Against them:
nobody gets more than ⌈budget · n⌉ labels of n events; what is asked beyond is refused, and counted. Nobody is told of a
refusal: scikit-activeml's budget managers take it for a query not made, and loosen.
"""
