"""Published datasets at full size, as TensorFlow Datasets prepares them, and what of each is held out.

A builder's own `test` split is often missing, or has no labels: then its validation split, or the last hundredth of its
records, stands for it.
"""

from stagejax.data.named import TFDS

C4 = TFDS("c4/en", test="validation")
C4_MULTILINGUAL = TFDS("c4/multilingual", train="en+zh", test="en-validation+zh-validation")
WIKIPEDIA = TFDS("wikipedia/20230601.en", train="train[:99%]", test="train[99%:]")
IMAGENET = TFDS("imagenet2012", test="validation")
#: UniRef50 with InterPro superfamilies: no builder of TFDS. Prepare one, of records {"id", "sequence", "family"}.
UNIREF50 = TFDS("uniref50")
#: Molecules for language models: no builders of TFDS. Prepare them, of records {"smiles"}: PubChem 10M and MOSES.
PUBCHEM = TFDS("pubchem10m", train="train[:99%]", test="train[99%:]")
MOSES = TFDS("moses")
#: Measured affinities of proteins of one chain: prepare a builder of records as `binding.MeasuredBinders` names them.
BINDINGDB = TFDS("bindingdb")


def trec_in_tfds(kinds: tuple[str, ...]) -> tuple[str, ...]:
    """Names of TREC's six kinds of questions in the order of TFDS, where numbers come before locations.

    >>> trec_in_tfds(("description", "entity", "abbreviation", "human", "location", "number"))[-2:]
    ('number', 'location')
    """
    *others, location, number = kinds
    return (*others, number, location)
