"""Models whose weights are distributions, for ODEs and sequences in JAX."""

import typing

from . import likelihoods as likelihoods, priors as priors
from ._check import AllFailedError as AllFailedError
from ._dynamics import (
    AbstractJumps as AbstractJumps,
    AbstractVectorField as AbstractVectorField,
    Doses as Doses,
    HybridVectorField as HybridVectorField,
    Jumps as Jumps,
    ModelVectorField as ModelVectorField,
    NeuralVectorField as NeuralVectorField,
    SecondOrderVectorField as SecondOrderVectorField,
    Solve as Solve,
    Trajectory as Trajectory,
    integrate as integrate,
)
from ._export import (
    load_model as load_model,
    posterior_to_datatree as posterior_to_datatree,
    prediction_to_datatree as prediction_to_datatree,
    save_model as save_model,
    trajectory_to_datatree as trajectory_to_datatree,
)
from ._infer import (
    ELBO as ELBO,
    Diagnosis as Diagnosis,
    ForwardGradient as ForwardGradient,
    ImportanceDiagnostics as ImportanceDiagnostics,
    Inference as Inference,
    MAPEstimate as MAPEstimate,
    Mode as Mode,
    NestedDiagnostics as NestedDiagnostics,
    NestedPosterior as NestedPosterior,
    NUTSDiagnostics as NUTSDiagnostics,
    diagnose as diagnose,
    elbo as elbo,
    ensemble as ensemble,
    importance as importance,
    infer as infer,
    laplace as laplace,
    linear_response as linear_response,
    map_estimate as map_estimate,
    nested_importance as nested_importance,
    nested_laplace as nested_laplace,
    nuts as nuts,
    pareto_smooth as pareto_smooth,
)
from ._layer import (
    Bayesian as Bayesian,
    BayesianLinear as BayesianLinear,
    BayesianMLP as BayesianMLP,
)
from ._model import (
    Module as Module,
    ParameterTable as ParameterTable,
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
    parameter_table as parameter_table,
    sample_all_parameters as sample_all_parameters,
    unflatten_means as unflatten_means,
    unfreeze_all as unfreeze_all,
)
from ._moved import __getattr__ as __getattr__
from ._parameter import (
    AbstractParameter as AbstractParameter,
    DeterministicParameter as DeterministicParameter,
    GaussianParameter as GaussianParameter,
    LaplacianParameter as LaplacianParameter,
    LowRankGaussianParameter as LowRankGaussianParameter,
    MultivariateGaussianParameter as MultivariateGaussianParameter,
    make_parameter as make_parameter,
)
from ._posterior import (
    AbstractPosterior as AbstractPosterior,
    DrawsPosterior as DrawsPosterior,
    EnsemblePosterior as EnsemblePosterior,
    JointPosterior as JointPosterior,
    Linearised as Linearised,
    MixturePosterior as MixturePosterior,
    PosteriorTable as PosteriorTable,
    PriorDraws as PriorDraws,
    posterior_table as posterior_table,
)
from ._predict import (
    Prediction as Prediction,
    RunningSummary as RunningSummary,
    Summary as Summary,
    map_posterior as map_posterior,
    map_posterior_pure as map_posterior_pure,
    posterior_trajectories as posterior_trajectories,
    predict as predict,
    stream_posterior as stream_posterior,
    summarise as summarise,
)
from ._prior import (
    Prior as Prior,
    correlation_factor as correlation_factor,
    kl_to_prior as kl_to_prior,
    log_prior as log_prior,
    sample_prior as sample_prior,
)
from ._problem import (
    AbstractProblem as AbstractProblem,
    Population as Population,
    Problem as Problem,
    Subject as Subject,
    noncentred as noncentred,
    read_events as read_events,
)
from ._version import __version__ as __version__

if typing.TYPE_CHECKING:  # imported when they are first asked for
    from . import calibration as calibration, train as train
