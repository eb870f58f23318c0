"""A model that hears: kept states are as good as computed ones, and losses and answers are those of the text."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from stagejax.data import MASK
from stagejax.data.sound.speech import Tones
from stagejax.data.sound.utterances import Speech, Utterances
from stagejax.inference import Frozen
from stagejax.inference.sound.hearing import answers_to, behaves, encoded, heard, near, recognised_words
from stagejax.models import llama
from stagejax.models.speech.recognizer import Recognizer
from stagejax.models.speech.speech_adapter import SpeechAdapter
from stagejax.objectives import causal_lm
from stagejax.objectives.sound.recognition import collapsed

EAR = Recognizer(embed=8, layers=1, heads=2, mlp=8)
ADAPTER = SpeechAdapter(8, 8, convolutions=2, inner=4)
NET = llama(vocab=12, embed=8, layers=1, heads=2, mlp=8)
SPEECH = Speech(source=Utterances(Tones(limit=40), words=(1, 2), longest=2560, size=5), batch=2)
MODELS = {"encoder": EAR.build(nnx.Rngs(0)), "adapter": ADAPTER.build(nnx.Rngs(1)), "llm": NET.build(nnx.Rngs(2))}


def spoken(count: int) -> dict[str, jax.Array]:
    return jax.tree.map(jnp.asarray, SPEECH.take_records(np.arange(count)))


def test_kept_states_are_heard_as_the_encoders_are() -> None:
    batch = spoken(2)
    states = jax.jit(lambda: encoded((MODELS["encoder"],), batch))()
    one = jax.jit(lambda: heard(MODELS, batch))()
    other = heard({"adapter": MODELS["adapter"]}, batch | {"states": states})
    np.testing.assert_allclose(one[0], other[0], atol=1e-5)
    np.testing.assert_array_equal(one[1], other[1])


@pytest.mark.slow
def test_losses_are_none_where_vectors_are_the_words() -> None:
    words = jnp.array([[5, 6, 7]])
    net, vectors, real = MODELS["llm"], MODELS["llm"].tokens(words), jnp.ones((1, 6), bool)
    models = {"llm": net, "adapter": lambda states, real: (states, real)}
    batch = {"states": vectors, "real": real, "aligned": words}
    assert float(near(models, batch, None)[0]) == 0
    told = {"targets": jnp.array([[0, 0, 0, 9, 2]]), "weights": jnp.array([[0.0, 0, 0, 1, 1]])}
    spoken = behaves(models, batch | told | {"tokens": jnp.array([[1, MASK, MASK, MASK, 9]])}, None)
    text = causal_lm(net, told | {"tokens": jnp.array([[1, 5, 6, 7, 9]])}, None)
    np.testing.assert_allclose(spoken[0], text[0], rtol=1e-5)


@pytest.mark.slow
def test_answers_do_not_depend_on_their_batch() -> None:
    values = {name: nnx.to_pure_dict(nnx.state(model, nnx.Param)) for name, model in MODELS.items()}
    configs = {"encoder": EAR, "llm": NET, "adapter": ADAPTER}
    nets = [Frozen(config, values[name], {}) for name, config in configs.items()]
    prompts = [np.int32([1, MASK, MASK, 7]), np.int32([1, 5, MASK, MASK, 7]), np.int32([1, MASK, 8])]
    all_at_once = answers_to(prompts, [0, 3, 4], SPEECH, nets, (6, 3), 2)
    assert [len(own) <= 3 for own in all_at_once] == [True] * 3
    assert answers_to(prompts[1:], [3, 4], SPEECH, nets, (6, 3), 2) == all_at_once[1:]
    batch = spoken(5)
    paths = collapsed(*MODELS["encoder"](batch["frames"], batch["real"])).tolist()
    assert recognised_words(SPEECH, nets[0]) == [[word - 1 for word in path if word] for path in paths]


def test_gradients_reach_the_adapter_through_the_model() -> None:
    batch = spoken(2) | {
        "tokens": jnp.array([[1, MASK, MASK, 7]] * 2),
        "targets": jnp.array([[0, 0, 0, 8]] * 2),
        "weights": jnp.array([[0.0, 0, 0, 1]] * 2),
    }
    graphdef, params = nnx.split(MODELS["adapter"])

    def loss(own: nnx.State) -> jax.Array:
        return behaves(MODELS | {"adapter": nnx.merge(graphdef, own)}, batch, None)[0]

    grads = jax.jit(jax.grad(loss))(params)
    assert all(float(jnp.abs(leaf).max()) > 0 for leaf in jax.tree.leaves(grads))
