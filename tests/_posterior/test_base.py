"""What a posterior of one's own has without doing anything for it."""

import jax.numpy as jnp
import numpy as np
import pytest

import BayesianJaxModels as bjm

PRIOR = bjm.Prior(default=bjm.priors.Normal(0.0, 1.0))


class Doubled(bjm.AbstractPosterior):
    """As little as there can be."""

    model: bjm.AbstractParameter

    def draw(self, key):
        return self.model


class Three(Doubled):
    """Made of three draws."""

    @property
    def num_items(self):
        return 3


@pytest.fixture
def posterior():
    return Doubled(bjm.make_parameter([0.5, 2.0]))


def test_without_draw_there_is_no_posterior():
    class Nothing(bjm.AbstractPosterior):
        model: bjm.AbstractParameter

    with pytest.raises(TypeError, match="abstract method '?draw"):
        Nothing(bjm.make_parameter(1.0))


def test_it_is_one_part_and_not_made_of_draws(posterior):
    weights, parts = posterior.parts()
    assert weights.dtype == np.float64
    np.testing.assert_array_equal(weights, [1.0])
    assert parts[0] is posterior
    assert len(parts) == 1
    assert posterior.num_items is None
    assert posterior.item_weights is None
    assert posterior.chains == (1, 0)
    assert Three(posterior.model).chains == (1, 3)


@pytest.mark.parametrize(
    ("ability", "use"),
    [
        ("draw_and_log_prob", lambda p, key: p.draw_and_log_prob(key)),
        ("noise_size", lambda p, key: p.noise_size),
        ("displaced_and_log_prob", lambda p, _: p.displaced_and_log_prob(jnp.ones(2))),
        ("mean_log_prior", lambda p, key: p.mean_log_prior(PRIOR)),
        ("item", lambda p, key: p.item(0)),
    ],
)
def test_what_is_missing_is_named_with_the_kind_that_lacks_it(
    ability, use, posterior, key
):
    message = (
        f"A Doubled has no `{ability}`: its class does not define it. Take a model "
        "with parameters or a `JointPosterior`"
    )
    with pytest.raises(NotImplementedError, match=message):
        use(posterior, key)


def test_an_unknown_density_and_unknown_moments_say_what_to_take(posterior):
    with pytest.raises(
        NotImplementedError, match="A Doubled has no density .* `JointPosterior` or a"
    ):
        posterior.log_prob(posterior.model)
    with pytest.raises(
        NotImplementedError, match="moments of a Doubled are not known. Start from a"
    ):
        posterior.moments()
