"""Models whose weights are distributions, for ODEs and sequences in JAX."""

from ._dynamics import (
    AbstractVectorField as AbstractVectorField,
    HybridVectorField as HybridVectorField,
    ModelVectorField as ModelVectorField,
    NeuralVectorField as NeuralVectorField,
    SecondOrderVectorField as SecondOrderVectorField,
    Trajectory as Trajectory,
    integrate as integrate,
)
from ._layer import (
    Bayesian as Bayesian,
    BayesianLinear as BayesianLinear,
    BayesianMLP as BayesianMLP,
)
from ._model import (
    Module as Module,
    compute_prior as compute_prior,
    entropy as entropy,
    flatten_means as flatten_means,
    flatten_raw_stdvs as flatten_raw_stdvs,
    flatten_stdvs as flatten_stdvs,
    freeze_means as freeze_means,
    freeze_params as freeze_params,
    freeze_stdvs as freeze_stdvs,
    gaussian_entropy as gaussian_entropy,
    get_parameter_count as get_parameter_count,
    get_parameter_groups as get_parameter_groups,
    get_parameters as get_parameters,
    kl_divergence as kl_divergence,
    laplacian_entropy as laplacian_entropy,
    load_model as load_model,
    sample_all_parameters as sample_all_parameters,
    save_model as save_model,
    unflatten_means as unflatten_means,
    unfreeze_all as unfreeze_all,
)
from ._parameter import (
    AbstractParameter as AbstractParameter,
    DeterministicParameter as DeterministicParameter,
    GaussianParameter as GaussianParameter,
    LaplacianParameter as LaplacianParameter,
    MultivariateGaussianParameter as MultivariateGaussianParameter,
    make_parameter as make_parameter,
)
from ._predict import (
    RunningSummary as RunningSummary,
    Summary as Summary,
    map_posterior as map_posterior,
    map_posterior_pure as map_posterior_pure,
    posterior_trajectories as posterior_trajectories,
    stream_posterior as stream_posterior,
    summarise as summarise,
)
from ._version import __version__ as __version__
